/* What the estimator promises for any history: random clocks, delays, pauses and lies, by seed. */
#include "clock_model.h"
#include "core/probe.h"
#include "core/skew.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS NS_PER_MS
#define S NS_PER_S

#define assert_holds(condition, seed) \
	do { \
		if (!(condition)) \
			fail_msg("seed %llu: %s", (unsigned long long)(seed), #condition); \
	} while (0)

/* From microseconds to half a minute; mostly what networks do. */
static int64_t some_delay(struct clock_model *m)
{
	return model_up_to(m, random_next(&m->random) % 8 ? 60 * MS : 30 * S);
}

static int64_t some_pause(struct clock_model *m)
{
	static const int64_t most[] = {100 * MS, 5 * S, 3600 * S, 30 * 86400 * S};

	return model_up_to(m, most[random_next(&m->random) % 4]);
}

static int64_t width(const struct skew_estimate *e)
{
	return e->hi.ns - e->lo.ns;
}

static struct skew_estimate query(const struct skew *s, const struct clock_model *m)
{
	struct skew_estimate e;

	skew_query(s, &m->now, &e);
	return e;
}

static enum skew_verdict add_exchange(struct skew *s, const struct exchange *x, uint64_t seed)
{
	struct skew_sample sample;

	assert_holds(skew_sample_of(x, &sample), seed);
	return skew_add(s, &sample, NULL);
}

/* Invariants 1 and 3: one clock that drifts within rho and writes its Date afresh, while NTP may
 * bend ours one way or the other. */
static void one_live_clock_is_one_group_around_the_truth(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 600; seed++) {
		struct skew s = {0};
		struct clock_model m;

		clock_model_init(&m, seed);
		m.slew_ppm = seed % 3 ? (int64_t)(seed % 5) * 250 - 500 : 0;
		for (int n = 0; n < 120; n++) {
			struct skew_estimate before, after;
			struct exchange x = model_exchange(&m, some_delay(&m), some_delay(&m), 0);

			before = query(&s, &m);
			assert_holds(add_exchange(&s, &x, seed) == SKEW_AGREES, seed);
			after = query(&s, &m);
			assert_holds(after.known && after.consistent, seed);
			assert_holds(after.clocks == 1 && !after.spread.ns, seed);
			assert_holds(
				m.theta >= after.tight_lo.ns && m.theta <= after.tight_hi.ns, seed);
			assert_holds(m.theta >= after.lo.ns && m.theta <= after.hi.ns, seed);
			assert_holds(after.point.ns >= after.tight_lo.ns &&
					     after.point.ns <= after.tight_hi.ns,
				seed);
			/* a nanosecond each way: the drift is rounded up a second time */
			assert_holds(!before.known || width(&after) <= width(&before) + 2, seed);
			for (int k = 0; k < 3; k++) {
				before = query(&s, &m);
				model_pass(&m, some_pause(&m));
				after = query(&s, &m);
				assert_holds(width(&after) >= width(&before), seed);
				assert_holds(
					after.lo.ns <= before.lo.ns && after.hi.ns >= before.hi.ns,
					seed);
				assert_holds(m.theta >= after.tight_lo.ns &&
						     m.theta <= after.tight_hi.ns,
					seed);
			}
		}
		assert_int_equal(query(&s, &m).samples, 120);
	}
}

/* Invariant 2: a Date that is kept for up to a second may split into groups, and the whole interval
 * still holds the truth. */
static void stale_dates_are_allowed_for(void **state)
{
	unsigned split = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 600; seed++) {
		struct skew s = {0};
		struct clock_model m;

		clock_model_init(&m, seed);
		for (int n = 0; n < 120; n++) {
			int64_t stale = random_next(&m.random) % 4 ? model_up_to(&m, S) : S;
			struct exchange x =
				model_exchange(&m, some_delay(&m), some_delay(&m), stale);
			struct skew_estimate e;

			add_exchange(&s, &x, seed);
			model_pass(&m, some_pause(&m));
			e = query(&s, &m);
			assert_holds(m.theta >= e.lo.ns && m.theta <= e.hi.ns, seed);
			split += e.clocks > 1;
		}
	}
	assert_true(split > 1000); /* or this shows nothing */
}

/* Two machines behind one name, less than 5 s apart: both clocks lie in the interval once both have
 * been heard lately, and the spread is how far they are apart. */
static void cluster_is_seen_as_one(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 300; seed++) {
		struct clock_model m;
		struct skew s = {0};
		int64_t other, ahead = 0;
		int in_a_row = 0;

		clock_model_init(&m, seed);
		m.ppm_max = 1;
		other = 1500 * MS + model_up_to(&m, 3000 * MS);
		for (int n = 0; n < 100; n++) {
			struct skew_estimate e;
			struct exchange x;

			if (random_next(&m.random) % 2 || in_a_row == 5) {
				ahead = ahead ? 0 : other;
				in_a_row = 0;
			}
			in_a_row++;
			m.theta += ahead;
			x = model_exchange(
				&m, model_up_to(&m, 30 * MS), model_up_to(&m, 30 * MS), 0);
			m.theta -= ahead;
			add_exchange(&s, &x, seed);
			model_pass(&m, model_up_to(&m, 2 * S));
			if (n < 60)
				continue;
			e = query(&s, &m);
			assert_holds(!e.consistent, seed);
			assert_holds(e.lo.ns <= m.theta && m.theta <= e.hi.ns, seed);
			assert_holds(
				e.lo.ns <= m.theta + other && m.theta + other <= e.hi.ns, seed);
			if (e.clocks == 2)
				assert_holds(llabs(e.spread.ns - other) <= 600 * MS, seed);
		}
	}
}

/* Anything at all: no more than four groups, ordered bounds, verdict and miss in step, and the
 * state settles on one clock once only one answers. */
static void nonsense_does_no_harm(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 400; seed++) {
		struct random r = {seed};
		struct skew s = {0};
		struct clock_reading now = {.boot = {0}};
		struct skew_estimate e;

		for (int n = 0; n < 200; n++) {
			struct skew_sample sample = {.sent = now};
			struct duration miss;

			sample.lo.ns = (int64_t)random_next(&r) >> (random_next(&r) % 64);
			sample.hi = duration_add(sample.lo, random_duration(&r, duration_s(2)));
			if (skew_add(&s, &sample, &miss) == SKEW_CONFLICTS)
				assert_holds(miss.ns >= 0, seed);
			else
				assert_holds(miss.ns == 0, seed);
			now.boot.ns += random_duration(&r, duration_s(1000)).ns;
			now.slew.ns += random_duration(&r, duration_ms(2)).ns - MS;
			skew_query(&s, &now, &e);
			assert_holds(e.known && e.clocks >= 1 && e.clocks <= SKEW_GROUPS_MAX, seed);
			assert_holds(e.lo.ns <= e.tight_lo.ns && e.tight_hi.ns <= e.hi.ns, seed);
			assert_holds(e.spread.ns >= 0 && e.spread.ns <= SKEW_SPREAD_MAX_NS, seed);
		}
		for (int n = 0; n < 8 + SKEW_CONFLICT_MEMORY; n++) {
			struct skew_sample sample = {.sent = now, .lo = {S / 2}, .hi = {S / 2}};

			skew_add(&s, &sample, NULL);
		}
		skew_query(&s, &now, &e);
		assert_holds(e.clocks == 1 && e.consistent, seed);
		assert_holds(e.tight_lo.ns == S / 2 && e.tight_hi.ns == S / 2, seed);
	}
}

/* Our wall clock is no witness: with any steps of it, every figure is the same. */
static void wall_clock_moves_nothing(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 50; seed++) {
		struct skew quiet = {0}, stepped = {0};
		struct clock_model m;

		clock_model_init(&m, seed);
		for (int n = 0; n < 100; n++) {
			struct exchange x = model_exchange(&m, some_delay(&m), some_delay(&m), 0),
					y = x;
			struct skew_estimate a, b;
			struct clock_reading moved;

			y.sent.wall.ns -= model_up_to(&m, 86400 * S);
			y.received.wall.ns += model_up_to(&m, 86400 * S);
			add_exchange(&quiet, &x, seed);
			add_exchange(&stepped, &y, seed);
			model_pass(&m, some_pause(&m));
			moved = m.now;
			moved.wall.ns = model_up_to(&m, INT64_MAX);
			skew_query(&quiet, &m.now, &a);
			skew_query(&stepped, &moved, &b);
			assert_holds(a.lo.ns == b.lo.ns && a.hi.ns == b.hi.ns, seed);
			assert_holds(a.point.ns == b.point.ns, seed);
			assert_holds(a.consistent == b.consistent && a.clocks == b.clocks, seed);
		}
	}
}

/* The figures: a round trip of 40 ms, one unaligned exchange as a token request is, then aligned
 * ones up to eight. The delays of both ways vary, and are not the same. */
static void eight_aligned_exchanges_find_the_offset(void **state)
{
	int64_t worst = 0, sum = 0, square_us = 0;
	unsigned runs = 4000;

	(void)state;
	for (uint64_t seed = 1; seed <= runs; seed++) {
		struct skew s = {0};
		struct skew_estimate e;
		struct probe_plan plan;
		struct clock_model m;
		int64_t error;

		clock_model_init(&m, seed);
		probe_init(&plan, true);
		for (int n = 0; n < 8; n++) {
			int64_t forward = 15 * MS + model_up_to(&m, 10 * MS);
			struct exchange x = model_exchange(&m, forward, 40 * MS - forward, 0);
			struct skew_sample sample;

			assert_holds(skew_sample_of(&x, &sample), seed);
			if (n == 0)
				probe_posted(&plan, &sample, duration_ms(40));
			else
				assert_holds(probe_ended(&plan, &sample, duration_ms(40),
						     m.now.boot) == PROBE_USED,
					seed);
			assert_holds(skew_add(&s, &sample, NULL) == SKEW_AGREES, seed);
			if (n < 7) {
				struct boot_time at;

				probe_want(&plan, 1, false);
				at = probe_next(&plan, &s, &m.now);
				/* the timer is late, as timers are */
				model_pass(&m, boot_since(at, m.now.boot).ns + model_up_to(&m, MS));
				probe_sent(&plan, m.now.boot);
			}
		}
		e = query(&s, &m);
		assert_holds(m.theta >= e.tight_lo.ns && m.theta <= e.tight_hi.ns, seed);
		error = e.point.ns - m.theta;
		sum += error / 1000;
		square_us += error / 1000 * (error / 1000);
		worst = llabs(error) > worst ? llabs(error) : worst;
	}
	print_message(
		"# 8 exchanges over 40 ms: bias %lld us, mean square %lld us^2, worst %lld us\n",
		(long long)(sum / runs), (long long)(square_us / runs), (long long)(worst / 1000));
	assert_true(worst <= 20 * MS);
	assert_true(llabs(sum / runs) <= 1000);
	assert_true(square_us / runs <= 10000 * 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_live_clock_is_one_group_around_the_truth),
		cmocka_unit_test(stale_dates_are_allowed_for),
		cmocka_unit_test(cluster_is_seen_as_one),
		cmocka_unit_test(nonsense_does_no_harm),
		cmocka_unit_test(wall_clock_moves_nothing),
		cmocka_unit_test(eight_aligned_exchanges_find_the_offset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
