#include "skew.h"

#include "exchange.h"
#include "http_date.h"

#include <stdlib.h>
#include <string.h>

bool skew_sample_of(const struct exchange *x, struct skew_sample *ret)
{
	struct duration date, drift;
	int64_t date_s;
	char *end;

	if (!x->status || !x->date[0])
		return false;
	/* It came from a cache: the Date is from the origin, an unknown time ago. */
	if (x->age[0] && (strtoull(x->age, &end, 10) != 0 || *end))
		return false;
	if (boot_before(x->received.boot, x->sent.boot))
		return false;
	/* A millisecond of slack: the two clocks of the difference are not read in one instruction.
	 */
	if (ns_distance(x->received.suspended.ns, x->sent.suspended.ns) > NS_PER_MS)
		return false;
	if (http_date_parse(x->date, strlen(x->date), &date_s))
		return false;
	date = duration_s(date_s);
	/* Further off than we can count: all such dates would look alike, and agree. */
	if (date.ns == INT64_MAX || date.ns == INT64_MIN)
		return false;
	/* Theta is wanted as of `sent`, and the server wrote Date up to a round trip later. */
	drift = skew_widening(&x->sent, &x->received);
	*ret = (struct skew_sample){
		.sent = x->sent,
		.received = x->received.boot,
		.date_s = date_s,
		.lo = duration_sub(duration_sub(date, duration_ns(x->received.boot.ns)), drift),
		.hi = duration_add(duration_sub(duration_add(date, duration_s(1)),
					   duration_ns(x->sent.boot.ns)),
			drift),
	};
	return true;
}

struct duration skew_widening(const struct clock_reading *a, const struct clock_reading *b)
{
	/* Divide first: a product of nanoseconds over months would not fit. */
	int64_t drift = ns_distance(b->boot.ns, a->boot.ns) / (1000000 / SKEW_DRIFT_PPM) + 1;
	int64_t bent = ns_distance(b->slew.ns, a->slew.ns);

	/* Both: NTP may bend our clock the way the crystals are off anyway. */
	return duration_ns(a->boot.ns == b->boot.ns ? 0 : ns_add(drift, bent));
}

static unsigned bits_in(unsigned value)
{
	return (unsigned)__builtin_popcount(value);
}

static struct duration group_midpoint(const struct skew_group *g)
{
	return duration_ns(g->lo.ns + ns_sub(g->hi.ns, g->lo.ns) / 2);
}

/* Is a a better witness than b? `window` selects the exchanges that count. */
static bool group_outranks(const struct skew_group *a, const struct skew_group *b, unsigned window)
{
	unsigned reached_a = bits_in(a->reach & window), reached_b = bits_in(b->reach & window);

	return reached_a != reached_b ? reached_a > reached_b : a->born > b->born;
}

static const struct skew_group *best_group(const struct skew *s)
{
	const struct skew_group *best = NULL;

	for (size_t i = 0; i < SKEW_GROUPS_MAX; i++) {
		const struct skew_group *g = &s->groups[i];

		if (g->born && (!best || group_outranks(g, best, 31)))
			best = g;
	}
	return best;
}

static struct skew_group *place_for_group(struct skew *s)
{
	struct skew_group *least = NULL;

	for (size_t i = 0; i < SKEW_GROUPS_MAX; i++) {
		struct skew_group *g = &s->groups[i];

		if (!g->born)
			return g;
		if (!least || group_outranks(least, g, 255))
			least = g;
	}
	return least;
}

/* Two groups that a sample narrowed to the same interval say the same from now on, and would be
 * told apart as two clocks for ever: the older goes on for both. */
static void merge_equal_groups(struct skew *s)
{
	for (size_t i = 0; i < SKEW_GROUPS_MAX; i++)
		for (size_t j = 0; j < SKEW_GROUPS_MAX; j++) {
			struct skew_group *a = &s->groups[i], *b = &s->groups[j];

			if (!a->born || a->born >= b->born || a->lo.ns != b->lo.ns ||
				a->hi.ns != b->hi.ns || a->at.boot.ns != b->at.boot.ns)
				continue;
			a->reach |= b->reach;
			*b = (struct skew_group){0};
		}
}

enum skew_verdict skew_add(
	struct skew *s, const struct skew_sample *sample, struct duration *ret_miss)
{
	struct duration miss = DURATION_ZERO;
	bool hit = false, missed = false;

	s->exchanges++;
	if (s->conflict_left)
		s->conflict_left--;
	for (size_t i = 0; i < SKEW_GROUPS_MAX; i++) {
		struct skew_group *g = &s->groups[i];
		struct duration widening, lo, hi;

		if (!g->born)
			continue;
		g->reach = (uint8_t)(g->reach << 1);
		widening = skew_widening(&g->at, &sample->sent);
		lo = duration_max(duration_sub(g->lo, widening), sample->lo);
		hi = duration_min(duration_add(g->hi, widening), sample->hi);
		if (lo.ns <= hi.ns) {
			g->lo = lo;
			g->hi = hi;
			g->at = sample->sent;
			g->reach |= 1;
			g->n++;
			hit = true;
		} else {
			struct duration gap = duration_sub(lo, hi);

			miss = missed ? duration_min(miss, gap) : gap;
			missed = true;
		}
	}
	if (!hit)
		*place_for_group(s) = (struct skew_group){
			.lo = sample->lo,
			.hi = sample->hi,
			.at = sample->sent,
			.reach = 1,
			.n = 1,
			.born = s->exchanges,
		};
	for (size_t i = 0; i < SKEW_GROUPS_MAX; i++) {
		struct skew_group *g = &s->groups[i];

		if (g->born && (!g->reach || (g->n == 1 && !(g->reach & 7))))
			*g = (struct skew_group){0};
	}
	merge_equal_groups(s);
	if (missed)
		s->conflict_left = SKEW_CONFLICT_MEMORY;
	if (ret_miss)
		*ret_miss = hit ? DURATION_ZERO : miss;
	return missed ? SKEW_CONFLICTS : SKEW_AGREES;
}

void skew_query(const struct skew *s, const struct clock_reading *now, struct skew_estimate *ret)
{
	const struct skew_group *best = best_group(s);
	struct duration lo = DURATION_ZERO, hi = DURATION_ZERO;
	struct duration first_mid = DURATION_ZERO, last_mid = DURATION_ZERO;
	unsigned clocks = 0;

	*ret = (struct skew_estimate){.samples = s->exchanges};
	if (!best)
		return;
	for (size_t i = 0; i < SKEW_GROUPS_MAX; i++) {
		const struct skew_group *g = &s->groups[i];
		struct duration widening, g_lo, g_hi, mid;

		if (!g->born)
			continue;
		widening = skew_widening(&g->at, now);
		g_lo = duration_sub(g->lo, widening);
		g_hi = duration_add(g->hi, widening);
		mid = group_midpoint(g);
		lo = clocks ? duration_min(lo, g_lo) : g_lo;
		hi = clocks ? duration_max(hi, g_hi) : g_hi;
		first_mid = clocks ? duration_min(first_mid, mid) : mid;
		last_mid = clocks ? duration_max(last_mid, mid) : mid;
		clocks++;
		if (g == best) {
			ret->tight_lo = g_lo;
			ret->tight_hi = g_hi;
		}
	}
	ret->known = true;
	ret->clocks = clocks;
	ret->consistent = clocks == 1 && !s->conflict_left;
	ret->point = group_midpoint(best);
	ret->lo = lo;
	ret->hi = duration_add(hi, duration_ns(SKEW_DATE_STALENESS_NS));
	ret->spread = duration_sub(last_mid, first_mid);
	if (ret->spread.ns > SKEW_SPREAD_MAX_NS)
		ret->spread = DURATION_ZERO;
}
