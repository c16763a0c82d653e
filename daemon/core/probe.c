#include "probe.h"

#define WIDTH_ENOUGH_NS (100 * NS_PER_MS)
#define AIM_AHEAD_NS (2 * NS_PER_MS)
/* A wake-up this late (after a suspend) has missed the start of its second. */
#define AIM_MISSED_NS (50 * NS_PER_MS)
#define PROOF_WITHIN_S 2
#define PROOF_APART_S 10

void probe_init(struct probe_plan *p, bool enabled)
{
	*p = (struct probe_plan){.enabled = enabled, .planned = BOOT_TIME_NEVER};
}

void probe_want_series(struct probe_plan *p)
{
	probe_want(p, PROBES_AT_START, false);
	p->until_narrow = true;
}

void probe_want(struct probe_plan *p, unsigned n, bool urgent)
{
	/* only a series ends early, and this is a wish of its own */
	if (!p->wanted)
		p->until_narrow = false;
	if (p->wanted < n)
		p->wanted = n;
	p->urgent |= urgent;
	if (urgent)
		p->planned = BOOT_TIME_NEVER;
}

static void note_rtt(struct probe_plan *p, struct duration rtt)
{
	if (rtt.ns > 0 && (!p->rtt_min.ns || rtt.ns < p->rtt_min.ns))
		p->rtt_min = rtt;
}

void probe_posted(struct probe_plan *p, const struct skew_sample *sample, struct duration rtt)
{
	note_rtt(p, rtt);
	p->planned = BOOT_TIME_NEVER;
	p->has_post = sample != NULL;
	if (sample)
		p->post = *sample;
}

static bool narrow_enough(
	const struct probe_plan *p, const struct skew *s, const struct clock_reading *now)
{
	struct skew_estimate e;
	int64_t enough = p->rtt_min.ns + p->rtt_min.ns / 4;

	skew_query(s, now, &e);
	if (enough < WIDTH_ENOUGH_NS)
		enough = WIDTH_ENOUGH_NS;
	return e.known && e.consistent && ns_sub(e.tight_hi.ns, e.tight_lo.ns) <= enough;
}

/* The earliest s >= at for which s + rtt_min/2 + theta is a whole second. */
static struct boot_time aim(const struct probe_plan *p, const struct skew *s,
	const struct clock_reading *now, int64_t at)
{
	struct skew_estimate e;
	int64_t into_second;

	skew_query(s, now, &e);
	if (!e.known)
		return (struct boot_time){at};
	into_second = ns_add(ns_add(at, p->rtt_min.ns / 2), e.point.ns) % NS_PER_S;
	if (into_second < 0)
		into_second += NS_PER_S;
	return (struct boot_time){into_second ? ns_add(at, NS_PER_S - into_second) : at};
}

struct boot_time probe_next(
	struct probe_plan *p, const struct skew *s, const struct clock_reading *now)
{
	int64_t open = p->not_before.ns; /* no HEAD before this, however urgent */

	if (!p->enabled || p->foreign || p->in_flight || !p->wanted)
		return BOOT_TIME_NEVER;
	if (!p->urgent && p->until_narrow && narrow_enough(p, s, now)) {
		p->until_narrow = false;
		p->wanted = 0;
		return BOOT_TIME_NEVER;
	}
	if (p->planned.ns != BOOT_TIME_NEVER.ns &&
		ns_sub(now->boot.ns, p->planned.ns) <= AIM_MISSED_NS)
		return p->planned;
	if (p->sent_count >= PROBES_IN_WINDOW) {
		int64_t room = ns_add(
			p->sent[p->sent_count % PROBES_IN_WINDOW].ns, PROBE_WINDOW_S * NS_PER_S);

		open = room > open ? room : open;
	}
	if (p->urgent) {
		p->planned.ns = open > now->boot.ns ? open : now->boot.ns;
	} else {
		int64_t ahead = ns_add(now->boot.ns, AIM_AHEAD_NS);

		p->planned = aim(p, s, now, open > ahead ? open : ahead);
	}
	return p->planned;
}

void probe_sent(struct probe_plan *p, struct boot_time now)
{
	p->in_flight = true;
	p->urgent = false;
	p->planned = BOOT_TIME_NEVER;
	p->sent[p->sent_count++ % PROBES_IN_WINDOW] = now;
	if (p->wanted)
		p->wanted--;
}

enum probe_verdict probe_ended(struct probe_plan *p, const struct skew_sample *sample,
	struct duration rtt, struct boot_time now)
{
	p->in_flight = false;
	if (!sample) {
		/* Whoever still needs to know asks again. The pause grows, to leave a server that
		 * is down in peace. */
		unsigned shift = p->failures < 4 ? p->failures : 4;

		p->failures++;
		p->wanted = 0;
		p->not_before = boot_add(now, duration_s(INT64_C(5) << shift));
		return PROBE_USED;
	}
	p->failures = 0;
	note_rtt(p, rtt);
	if (!p->judged) {
		struct duration apart, since;

		/* A later disagreement is evidence of a step. Between this HEAD and the POST just
		 * before it, only another clock explains one. */
		p->judged = true;
		since = boot_since(sample->sent.boot, p->post.received);
		if (p->has_post && since.ns <= PROOF_WITHIN_S * NS_PER_S) {
			apart = duration_max(duration_sub(sample->lo, p->post.hi),
				duration_sub(p->post.lo, sample->hi));
			if (apart.ns > PROOF_APART_S * NS_PER_S) {
				p->foreign = true;
				return PROBE_FOREIGN;
			}
		}
	}
	return PROBE_USED;
}
