#include "probe.h"

#define WIDTH_ENOUGH_NS (100 * NS_PER_MS)
#define WIDTH_AGED_NS (250 * NS_PER_MS)
#define HOUR_S 3600
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
		p->until_narrow = p->by_age = false;
	if (p->wanted < n)
		p->wanted = n;
	p->urgent |= urgent;
	if (urgent)
		p->planned = BOOT_TIME_NEVER;
}

void probe_want_after_step(struct probe_plan *p)
{
	probe_want(p, 1, true);
	p->after_step = true;
}

void probe_want_after_conflict(struct probe_plan *p)
{
	if (p->for_conflicts == PROBES_FOR_CONFLICTS)
		return;
	p->for_conflicts++;
	probe_want(p, 1, true);
}

void probe_want_measure(struct probe_plan *p)
{
	probe_want(p, PROBES_ON_DEMAND, true);
	p->until_narrow = true;
}

/* When there is room for one more, and then no more than `most` in the window. */
static struct boot_time room_from(const struct probe_plan *p, unsigned most)
{
	if (p->sent_count < most)
		return (struct boot_time){INT64_MIN};
	return boot_add(
		p->sent[(p->sent_count - most) % PROBES_IN_WINDOW], duration_s(PROBE_WINDOW_S));
}

bool probe_may_measure(
	const struct probe_plan *p, const struct clock_reading *now, struct boot_time *ret_at)
{
	struct boot_time room =
		room_from(p, PROBES_IN_WINDOW - PROBES_KEPT_BACK - PROBES_ON_DEMAND + 1);

	if (!boot_before(now->boot, room))
		return true;
	*ret_at = room;
	return false;
}

struct boot_time probe_knock_from(const struct probe_plan *p)
{
	return room_from(p, PROBES_IN_WINDOW);
}

void probe_knock_left(struct probe_plan *p)
{
	p->knocking = true;
	p->planned = BOOT_TIME_NEVER; /* there may be no room then */
}

void probe_knock_ended(struct probe_plan *p, struct boot_time now, bool answered)
{
	p->knocking = false;
	if (answered)
		p->sent[p->sent_count++ % PROBES_IN_WINDOW] = now;
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
	p->for_conflicts = 0;
	p->has_post = sample != NULL;
	if (sample)
		p->post = *sample;
}

static int64_t at_least(int64_t ns, int64_t least)
{
	return ns < least ? least : ns;
}

/* Wider than this, age has told on it. */
static int64_t width_aged(const struct probe_plan *p)
{
	return at_least(3 * p->rtt_min.ns, WIDTH_AGED_NS);
}

/* Each further halving costs as much as the one before and gains half the time, so where age is the
 * reason, two thirds of what is too wide are enough. A cluster is never consistent, and age widens
 * what is known of each of its clocks. */
static bool narrow_enough(
	const struct probe_plan *p, const struct skew *s, const struct clock_reading *now)
{
	int64_t enough = at_least(p->rtt_min.ns + p->rtt_min.ns / 4, WIDTH_ENOUGH_NS);
	struct skew_estimate e;

	skew_query(s, now, &e);
	return e.known && (e.consistent || p->by_age) &&
	       ns_sub(e.tight_hi.ns, e.tight_lo.ns) <= (p->by_age ? width_aged(p) / 3 * 2 : enough);
}

/* Does a series go on? */
static bool is_wanted(
	const struct probe_plan *p, const struct skew *s, const struct clock_reading *now)
{
	if (!p->enabled || p->foreign || !p->wanted)
		return false;
	return p->urgent || !p->until_narrow || !narrow_enough(p, s, now);
}

bool probe_is_busy(
	const struct probe_plan *p, const struct skew *s, const struct clock_reading *now)
{
	return p->in_flight || is_wanted(p, s, now);
}

/* When the best group's interval will be as wide as that; skew.c widens it at both ends. */
static struct boot_time wide_at(
	const struct skew_estimate *e, int64_t width, const struct clock_reading *now)
{
	int64_t left = ns_sub(width, ns_sub(e->tight_hi.ns, e->tight_lo.ns));

	if (left < 0)
		return now->boot;
	if (left > INT64_MAX / 1000000) /* more years than there are */
		return BOOT_TIME_NEVER;
	return boot_add(now->boot, duration_ns(left / (2 * SKEW_DRIFT_PPM) * 1000000 + NS_PER_S));
}

struct boot_time probe_look_at_age(
	struct probe_plan *p, const struct skew *s, const struct clock_reading *now)
{
	struct boot_time at;
	struct skew_estimate e;

	if (!p->enabled || p->foreign || p->in_flight || p->wanted)
		return BOOT_TIME_NEVER;
	skew_query(s, now, &e);
	if (!e.known)
		return BOOT_TIME_NEVER;
	at = wide_at(&e, width_aged(p), now);
	if (p->by_age_count >= PROBES_BY_AGE_IN_AN_HOUR)
		at = boot_max(
			at, boot_add(p->by_age_sent[p->by_age_count % PROBES_BY_AGE_IN_AN_HOUR],
				    duration_s(HOUR_S)));
	if (boot_before(now->boot, at))
		return at;
	probe_want(p, PROBES_BY_AGE, false);
	p->until_narrow = p->by_age = true;
	return BOOT_TIME_NEVER;
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
	unsigned kept = !p->after_step + p->knocking;
	unsigned most = PROBES_IN_WINDOW - kept;
	/* no HEAD before this, however urgent */
	int64_t open = boot_max(p->not_before, room_from(p, most)).ns;

	if (p->in_flight)
		return BOOT_TIME_NEVER;
	if (!is_wanted(p, s, now)) {
		if (p->enabled && !p->foreign)
			p->wanted = 0;
		return BOOT_TIME_NEVER;
	}
	if (p->planned.ns != BOOT_TIME_NEVER.ns &&
		ns_sub(now->boot.ns, p->planned.ns) <= AIM_MISSED_NS)
		return p->planned;
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
	p->urgent = p->after_step = false;
	p->planned = BOOT_TIME_NEVER;
	p->sent[p->sent_count++ % PROBES_IN_WINDOW] = now;
	if (p->by_age)
		p->by_age_sent[p->by_age_count++ % PROBES_BY_AGE_IN_AN_HOUR] = now;
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
