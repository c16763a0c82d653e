#include "tally.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GUARD_S 2
#define WALL_AGREES_S 3
#define COLD_S 10 /* as long as the first series of HEADs may take */

void tally_init(struct tally *t, struct sim *sim, bool cluster)
{
	*t = (struct tally){.sim = sim, .cluster = cluster, .point_error = {-1}};
}

void tally_fini(struct tally *t)
{
	free(t->posts);
	*t = (struct tally){0};
}

void tally_fail(struct tally *t, const char *format, ...)
{
	char *at;
	int written;
	va_list arguments;

	if (t->failure_count++ >= TALLY_FAILURES_MAX)
		return;
	at = t->failures[t->failure_count - 1];
	written = snprintf(at, sizeof(*t->failures), "at %.3f s: ", (double)t->sim->now.ns / 1e9);
	va_start(arguments, format);
	vsnprintf(at + written, sizeof(*t->failures) - (size_t)written, format, arguments);
	va_end(arguments);
}

void tally_disturbed(struct tally *t, struct duration lost)
{
	t->blind = t->ever_disturbed = true;
	t->disturbed_at = t->sim->now;
	t->blind_ends = (struct true_time){INT64_MAX};
	t->exchanges_since = 0;
	t->generation_then = t->generation;
	t->lost = lost;
}

void tally_wall_stepped(struct tally *t, struct duration by)
{
	if (t->lost.ns && llabs(by.ns - t->lost.ns) <= WALL_AGREES_S * NS_PER_S)
		t->blind = false;
}

bool tally_blind(const struct tally *t)
{
	return t->blind && t->sim->now.ns < t->blind_ends.ns;
}

size_t tally_posted(struct tally *t, struct boot_time now)
{
	if (t->post_count == t->post_room)
		t->posts = sim_grow(t->posts, &t->post_room, sizeof(*t->posts));
	t->posts[t->post_count] = (struct tally_post){.at = t->sim->now, .boot = now};
	return t->post_count++;
}

void tally_head_answered(struct tally *t, struct boot_time sent)
{
	size_t place;

	if (t->answered_count > PROBES_IN_WINDOW)
		memmove(t->answered, t->answered + 1, --t->answered_count * sizeof(t->answered[0]));
	for (place = t->answered_count; place && boot_before(sent, t->answered[place - 1]); place--)
		t->answered[place] = t->answered[place - 1];
	t->answered[place] = sent;
	if (++t->answered_count > PROBES_IN_WINDOW &&
		boot_since(t->answered[PROBES_IN_WINDOW], t->answered[0]).ns <
			PROBE_WINDOW_S * NS_PER_S)
		tally_fail(t, "more than %d HEADs were answered in %d s", PROBES_IN_WINDOW,
			PROBE_WINDOW_S);
}

void tally_restarted(struct tally *t)
{
	t->restarts++;
	t->answered_count = 0;
}

void tally_exchanged(struct tally *t, struct true_time sent)
{
	t->exchanges++;
	if (sent.ns >= t->disturbed_at.ns && ++t->exchanges_since >= 2)
		t->blind = false;
}

void tally_token_came(struct tally *t, struct true_time sent, uint64_t generation)
{
	if (t->post_count) {
		t->posts[t->post_count - 1].token = true;
		t->posts[t->post_count - 1].came = t->sim->now;
	}
	if (generation <= t->generation)
		tally_fail(t, "generation %llu came after %llu", (unsigned long long)generation,
			(unsigned long long)t->generation);
	t->generation = generation;
	t->dead = BOOT_TIME_NEVER;
	if (sent.ns >= t->disturbed_at.ns && t->blind_ends.ns == INT64_MAX)
		t->blind_ends = (struct true_time){t->sim->now.ns + GUARD_S * NS_PER_S};
}

void tally_estimate(struct tally *t, const struct skew *skew, const struct server *server,
	const struct clock_reading *now)
{
	struct skew_estimate e;
	struct duration error = DURATION_ZERO; /* to the nearest of a cluster's clocks */
	bool within = true, tight = false;

	skew_query(skew, now, &e);
	if (!e.known || tally_blind(t))
		return;
	for (unsigned i = 0; i < server_clocks(server); i++) {
		struct duration theta = server_theta(server, i, now->boot);
		struct duration off = duration_ns(llabs(e.point.ns - theta.ns));

		error = i ? duration_min(error, off) : off;
		within &= e.lo.ns <= theta.ns && theta.ns <= e.hi.ns;
		tight |= e.tight_lo.ns <= theta.ns && theta.ns <= e.tight_hi.ns;
	}
	if (!t->cluster && e.samples && e.samples <= TALLY_EXCHANGES &&
		!t->early[e.samples - 1].taken) {
		t->early[e.samples - 1].taken = true;
		t->early[e.samples - 1].covered = within;
		t->early[e.samples - 1].error =
			duration_sub(e.point, server_theta(server, 0, now->boot));
	}
	t->estimates++;
	t->covered += within;
	t->tight_covered += tight;
	if (e.clocks > t->clocks_most)
		t->clocks_most = e.clocks;
	if (e.samples == TALLY_POINT_AT && t->point_error.ns < 0)
		t->point_error = error;
}

void tally_look(struct tally *t, const struct skew *skew, const struct server *server,
	const struct clock_reading *now)
{
	struct duration error, off;
	struct skew_estimate e;

	skew_query(skew, now, &e);
	/* The first series takes some seconds. */
	if (!e.known || t->cluster || t->sim->now.ns < COLD_S * NS_PER_S)
		return;
	error = duration_sub(e.point, server_theta(server, 0, now->boot));
	off = duration_ns(llabs(error.ns));
	t->looks++;
	t->look_squares_s2 += (double)off.ns / 1e9 * ((double)off.ns / 1e9);
	t->look_worst = duration_max(t->look_worst, off);
	t->look_widest = duration_max(t->look_widest, duration_sub(e.hi, e.lo));
}

void tally_source(struct tally *t, const struct token_source *source)
{
	struct boot_time dead;

	if (!source->current.token.text || source->current.generation != t->generation)
		return;
	dead = lifetime_dead(&source->current.life);
	if (boot_before(t->dead, dead))
		tally_fail(t, "dead of generation %llu moved out by %lld ns",
			(unsigned long long)t->generation, (long long)boot_since(dead, t->dead).ns);
	t->dead = dead;
}

void tally_rejected(struct tally *t, uint64_t generation)
{
	t->rejected[t->rejected_count++ % TALLY_REJECTED] = generation;
}

static bool was_rejected(const struct tally *t, uint64_t generation)
{
	for (size_t i = 0; i < TALLY_REJECTED; i++)
		if (t->rejected[i] == generation)
			return true;
	return false;
}

void tally_served(struct tally *t, uint64_t generation, bool awaited)
{
	t->served++;
	if (awaited)
		tally_fail(t, "generation %llu was served while it was being replaced",
			(unsigned long long)generation);
	if (generation < t->generation && was_rejected(t, generation))
		tally_fail(t, "generation %llu was served, though rejected and replaced by %llu",
			(unsigned long long)generation, (unsigned long long)t->generation);
}

void tally_api(struct tally *t, enum api_verdict verdict, struct true_time served, bool blind,
	uint64_t generation)
{
	bool disturbed_since = t->ever_disturbed && t->disturbed_at.ns >= served.ns;

	if (verdict == API_TAKES)
		return;
	if (verdict == API_REVOKED) {
		t->refused_revoked++;
	} else if (blind || (verdict == API_TOO_EARLY && generation <= t->generation_then)) {
		t->refused_blind++;
	} else if (disturbed_since) {
		t->refused_overtaken++;
	} else if (t->cluster && served.ns < COLD_S * NS_PER_S) {
		t->refused_cold++;
	} else {
		*(verdict == API_EXPIRED ? &t->refused_late : &t->refused_early) += 1;
		tally_fail(t, "the API refuses generation %llu: %s (handed out at %.3f s)",
			(unsigned long long)generation,
			verdict == API_EXPIRED ? "expired" : "not valid yet",
			(double)served.ns / 1e9);
	}
}

unsigned tally_posts_in(const struct tally *t, struct duration window, struct true_time from,
	struct true_time until, bool minting)
{
	size_t first = 0;
	unsigned now = 0, most = 0;

	for (size_t i = 0; i < t->post_count && t->posts[i].at.ns < until.ns; i++) {
		if (t->posts[i].at.ns < from.ns) {
			first = i + 1;
			continue;
		}
		for (; boot_since(t->posts[i].boot, t->posts[first].boot).ns >= window.ns; first++)
			now -= !minting || !t->posts[first].barren;
		now += !minting || !t->posts[i].barren;
		if (now > most)
			most = now;
	}
	return most;
}
