#include "lifetime.h"

#define DATE_ROUNDING_NS NS_PER_S
#define BACKDATED_S 60
#define SUSPECT_MIN_NS (NS_PER_S / 2)
#define WALL_AGREES_NS (3 * NS_PER_S)
#define GUARD_MAX_NS (2 * NS_PER_S)
#define REFRESH_AHEAD_S 10
/* A new token is held back no longer than this, with and without an older one to serve. */
#define HELD_BACK_MAX_NS (10 * NS_PER_S)
#define HELD_BACK_ALONE_MAX_NS (4 * NS_PER_S)

/* d(1 - rho) and d(1 + rho): what d of the server's time is on a clock that drifts. */
static struct duration drift_short(struct duration d)
{
	return duration_sub(d, duration_ns(ns_distance(d.ns, 0) / (1000000 / SKEW_DRIFT_PPM)));
}

static struct duration drift_long(struct duration d)
{
	return duration_add(d, duration_ns(ns_distance(d.ns, 0) / (1000000 / SKEW_DRIFT_PPM)));
}

/* The server's instant `s` on our clock if theta is `theta`, as far from `from`. */
static struct duration until_server(int64_t s, struct duration theta, struct boot_time from)
{
	return duration_sub(duration_sub(duration_s(s), theta), duration_ns(from.ns));
}

static void judge_end(struct lifetime *l, const struct lifetime_evidence *e, bool with_claims)
{
	struct duration life =
		drift_short(duration_sub(e->expires_in, duration_ns(DATE_ROUNDING_NS)));

	l->end = boot_add(e->sent.boot, life);
	l->by_exp = false;
	if (with_claims && e->sample && e->claims.has_exp) {
		struct boot_time end = boot_add(e->sent.boot,
			drift_short(until_server(e->claims.exp, l->hi0, e->sent.boot)));

		l->by_exp = boot_before(end, l->end);
		l->end = boot_min(l->end, end);
	}
}

static void judge_start(struct lifetime *l, const struct lifetime_evidence *e, bool with_claims)
{
	const struct jwt_claims *c = &e->claims;
	bool known = with_claims && e->sample && (c->has_nbf || c->has_iat);
	struct duration guard = l->spread, ahead = DURATION_ZERO;

	if (e->background)
		guard = duration_max(guard, duration_min(duration_ns(GUARD_MAX_NS),
						    duration_ns(e->expires_in.ns / 20)));
	if (known) {
		int64_t from = c->has_nbf ? c->nbf : c->iat;

		if (c->has_iat && c->iat > from)
			from = c->iat;
		if (from < e->sample->date_s - BACKDATED_S) {
			l->valid = l->guard_until = e->received;
			return;
		}
		ahead = duration_max(
			DURATION_ZERO, drift_long(until_server(from, e->sample->lo, e->received)));
	}
	/* Whoever looks an opaque token up asks only whether it has ended: nobody has to wait. */
	l->valid = e->received;
	if (with_claims && (c->has_nbf || c->has_iat))
		l->valid = boot_add(boot_add(e->received, ahead), l->spread);
	l->guard_until = boot_add(boot_add(e->received, ahead), guard);
}

/* Dates and clocks can be wrong in any way, and then the token was good all the time. So there is
 * an end to caution: callers wait for a few seconds because of it, and no longer; and where that
 * would be far too short it helps nobody. */
static void bound_caution(struct lifetime *l)
{
	struct duration ahead = duration_sub(boot_since(l->valid, l->received), l->spread);

	if (ahead.ns > HELD_BACK_MAX_NS) {
		l->valid = boot_sub(l->valid, ahead);
		l->guard_until = boot_sub(l->guard_until, ahead);
	}
	l->valid = boot_min(l->valid, boot_add(l->received, duration_ns(HELD_BACK_ALONE_MAX_NS)));
	l->guard_until =
		boot_min(l->guard_until, boot_add(l->received, duration_ns(HELD_BACK_MAX_NS)));
}

/* What counts of the distance between the server's clocks: it may cost a tenth of a life. */
static struct duration spread_counted(struct duration spread, struct duration issued)
{
	return duration_min(spread, duration_ns(issued.ns / 10));
}

static bool servable(const struct lifetime *l)
{
	struct boot_time dead = lifetime_dead(l);

	/* a second at least: what is handed out says how many whole seconds it is good for */
	return boot_since(dead, l->received).ns >= NS_PER_S &&
	       boot_since(dead, l->valid).ns >= NS_PER_S;
}

enum lifetime_verdict lifetime_begin(struct lifetime *ret, const struct lifetime_evidence *e,
	const struct lifetime_policy *policy)
{
	struct lifetime l = {
		.sent = e->sent,
		.received = e->received,
		.issued = e->expires_in,
		.margin = duration_min(policy->use_margin, duration_ns(e->expires_in.ns / 10)),
		.spread = spread_counted(e->spread, e->expires_in),
		.wall_ref = clock_wall_offset(&e->sent),
		.wall_ref_at = e->sent.boot,
	};
	enum lifetime_verdict verdict = LIFETIME_FINE;

	if (e->sample) {
		l.dated = true;
		l.hi0 = duration_add(e->sample->hi, duration_ns(SKEW_DATE_STALENESS_NS));
	}
	judge_end(&l, e, true);
	judge_start(&l, e, true);
	if (!servable(&l)) {
		judge_end(&l, e, false);
		judge_start(&l, e, false);
		verdict = LIFETIME_CLAIMS_IGNORED;
	}
	if (!servable(&l))
		return LIFETIME_DEAD;
	bound_caution(&l);
	*ret = l;
	return verdict;
}

struct boot_time lifetime_dead(const struct lifetime *l)
{
	struct duration lost = duration_add(l->step, l->bent);

	return boot_sub(boot_sub(boot_sub(l->end, lost), l->spread), l->margin);
}

void lifetime_look(struct lifetime *l, const struct clock_reading *now)
{
	l->bent = duration_max(l->bent, duration_sub(now->slew, l->sent.slew));
}

/* m: how long before `dead` its refresh begins, jitter aside. */
static struct duration refresh_ahead(const struct lifetime *l, const struct lifetime_policy *policy)
{
	struct duration m;

	if (!policy->refresh_margin_auto)
		return duration_min(policy->refresh_margin, duration_ns(l->issued.ns / 2));
	m = duration_max(duration_ns(l->issued.ns / 20 * 3), duration_s(REFRESH_AHEAD_S));
	return duration_min(m, duration_ns(l->issued.ns / 4));
}

static struct boot_time not_in_first_half(const struct lifetime *l, struct boot_time at)
{
	struct duration served = boot_since(lifetime_dead(l), l->received);

	return boot_max(at, boot_add(l->received, duration_ns(served.ns / 2)));
}

struct boot_time lifetime_refresh_latest(
	const struct lifetime *l, const struct lifetime_policy *policy)
{
	return not_in_first_half(l, boot_sub(lifetime_dead(l), refresh_ahead(l, policy)));
}

struct boot_time lifetime_over(const struct lifetime *l)
{
	return boot_add(lifetime_dead(l), l->margin);
}

struct boot_time lifetime_refresh_at(
	const struct lifetime *l, const struct lifetime_policy *policy, struct random *random)
{
	struct duration m = refresh_ahead(l, policy);
	struct duration jitter = random_duration(random, duration_ns(m.ns / 4));

	return not_in_first_half(l, boot_sub(boot_sub(lifetime_dead(l), m), jitter));
}

struct duration lifetime_suspect(const struct lifetime *l, const struct clock_reading *now)
{
	struct duration s = duration_sub(clock_wall_offset(now), l->wall_ref);

	return s.ns > SUSPECT_MIN_NS ? s : DURATION_ZERO;
}

/* Did the wall clock step by what was seen? That is a lower bound: the step may be more by the
 * rounding of both Dates, both round trips, and drift, which was taken off and may be the other
 * way.
 */
static bool wall_agrees(const struct lifetime *l, const struct skew_sample *sample,
	struct duration suspect, struct duration seen, struct duration widening)
{
	struct duration trips = duration_add(boot_since(l->received, l->sent.boot),
		boot_since(sample->received, sample->sent.boot));
	struct duration below = duration_add(trips, duration_add(widening, widening));

	return seen.ns <= ns_add(suspect.ns, WALL_AGREES_NS) &&
	       suspect.ns <= ns_add(ns_add(seen.ns, below.ns), WALL_AGREES_NS);
}

enum lifetime_step lifetime_exchange(
	struct lifetime *l, const struct skew_sample *sample, struct duration spread)
{
	struct duration suspect = lifetime_suspect(l, &sample->sent);
	struct duration widening = skew_widening(&l->sent, &sample->sent);
	struct duration seen, news, counts, before = l->step;
	bool more;

	l->spread = duration_max(l->spread, spread_counted(spread, l->issued));
	/* Without a Date of its own nothing tells whether time was lost since: a suspicion stays.
	 */
	if (!l->dated)
		return LIFETIME_STEP_NONE;
	/* Responses may overtake each other: one sent before a step says nothing of what came
	 * after.
	 */
	if (!boot_before(sample->sent.boot, l->wall_ref_at)) {
		l->wall_ref = clock_wall_offset(&sample->sent);
		l->wall_ref_at = sample->sent.boot;
	}
	seen = duration_sub(duration_sub(sample->lo, l->hi0), widening);
	/* The clocks of a cluster differ by that much, and the spread has taken it off already. */
	if (seen.ns <= 0 || seen.ns <= duration_max(l->spread, spread).ns)
		return LIFETIME_STEP_NONE;
	/* What was counted already explains no step of our wall clock: a machine may be paused
	 * again and again. */
	news = duration_sub(seen, before);
	more = seen.ns > l->step_most.ns;
	l->step_second = duration_max(l->step_second, duration_min(seen, l->step_most));
	l->step_most = duration_max(l->step_most, seen);
	counts = l->step_second;
	if (suspect.ns && news.ns > 0 && wall_agrees(l, sample, suspect, news, widening))
		counts = duration_max(counts, seen);
	l->step = duration_max(l->step, counts);
	if (l->step.ns > before.ns)
		return LIFETIME_STEP_COUNTED;
	/* What was counted may be read more sharply, by the rounding of a Date. */
	if (!more || (before.ns && news.ns <= DATE_ROUNDING_NS))
		return LIFETIME_STEP_NONE;
	return LIFETIME_STEP_ALONE;
}
