/* The estimator, step by step: which exchanges are evidence, and what groups make of it. What it
 * promises for any history is in test_skew_properties.c. */
#include "clock_model.h"
#include "core/exchange.h"
#include "core/skew.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define LENGTH(a) (sizeof(a) / sizeof(*(a)))
#define MS NS_PER_MS
#define S NS_PER_S

static struct exchange good_exchange(void)
{
	return (struct exchange){
		.status = 200,
		.sent = {.boot = {1000 * S}},
		.received = {.boot = {1000 * S + 40 * MS}},
		.date = "Tue, 14 Nov 2023 22:13:20 GMT", /* 1700000000 */
	};
}

static void sample_bounds_theta(void **state)
{
	struct exchange x = good_exchange();
	struct skew_sample sample;

	(void)state;
	assert_true(skew_sample_of(&x, &sample));
	assert_int_equal(sample.date_s, 1700000000);
	assert_int_equal(sample.sent.boot.ns, 1000 * S);
	assert_int_equal(sample.received.ns, 1000 * S + 40 * MS);
	/* [D - tr, D + 1 s - ts], and 100 ppm of the 40 ms: theta is meant as of ts */
	assert_int_equal(sample.lo.ns, 1699998999 * S + 960 * MS - 4001);
	assert_int_equal(sample.hi.ns, 1699999001 * S + 4001);
}

static void clockless_exchange_gives_none(void **state)
{
	static const struct {
		const char *what, *date, *age;
		long status;
		int64_t received_ns, slept_ns;
		bool usable;
	} cases[] = {
		{"plain", NULL, "", 200, 40 * MS, 0, true},
		{"an error has a Date too", NULL, "", 503, 40 * MS, 0, true},
		{"in no time", NULL, "", 200, 0, 0, true},
		{"Age 0", NULL, "0", 200, 40 * MS, 0, true},
		{"no response", NULL, "", 0, 40 * MS, 0, false},
		{"no Date", "", "", 200, 40 * MS, 0, false},
		{"Age 1", NULL, "1", 200, 40 * MS, 0, false},
		{"Age 00007", NULL, "00007", 200, 40 * MS, 0, false},
		{"Age beyond 64 bits", NULL, "99999999999999999999999", 200, 40 * MS, 0, false},
		{"Age in words", NULL, "old", 200, 40 * MS, 0, false},
		{"Age 0 and more", NULL, "0, 5", 200, 40 * MS, 0, false},
		{"received before sent", NULL, "", 200, -1, 0, false},
		{"slept in it", NULL, "", 200, 3600 * S, 3590 * S, false},
		{"slept a blink", NULL, "", 200, 40 * MS, 2 * MS, false},
		{"two readings, one instant apart", NULL, "", 200, 40 * MS, MS, true},
		{"the same, the other way", NULL, "", 200, 40 * MS, -MS / 2, true},
		{"no date", "yesterday", "", 200, 40 * MS, 0, false},
		{"30 February", "Wed, 30 Feb 2022 00:00:00 GMT", "", 200, 40 * MS, 0, false},
		{"1970", "Thu, 01 Jan 1970 00:00:00 GMT", "", 200, 40 * MS, 0, true},
		{"the last second of 63 bits", "Fri, 11 Apr 2262 23:47:16 GMT", "", 200, 40 * MS, 0,
			true},
		{"one more", "Fri, 11 Apr 2262 23:47:17 GMT", "", 200, 40 * MS, 0, false},
		{"9999", "Fri, 31 Dec 9999 23:59:59 GMT", "", 200, 40 * MS, 0, false},
		{"1066", "Sat, 14 Oct 1066 09:00:00 GMT", "", 200, 40 * MS, 0, false},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct exchange x = good_exchange();
		struct skew_sample sample = {.date_s = 77};

		x.status = cases[i].status;
		x.received.boot.ns = x.sent.boot.ns + cases[i].received_ns;
		x.received.suspended.ns = cases[i].slept_ns;
		if (cases[i].date)
			snprintf(x.date, sizeof(x.date), "%s", cases[i].date);
		snprintf(x.age, sizeof(x.age), "%s", cases[i].age);
		if (skew_sample_of(&x, &sample) != cases[i].usable)
			fail_msg("%s", cases[i].what);
		if (!cases[i].usable)
			assert_int_equal(sample.date_s, 77); /* untouched */
		else
			assert_true(sample.lo.ns < sample.hi.ns);
	}
}

static void widening_is_drift_and_slew(void **state)
{
	static const struct {
		int64_t passed, slewed, expected;
	} cases[] = {
		{0, 0, 0},
		{1, 0, 1},
		{S, 0, 100000 + 1},
		{10000 * S, 0, S + 1},
		{S, 99999, 200000},            /* the crystal's drift is not in the slew */
		{S, 5 * MS, 5 * MS + 100001},  /* adjtimex can do 500 ppm and more */
		{S, -5 * MS, 5 * MS + 100001}, /* either way */
		{450 * 86400 * S, 0, 3888 * S + 1},
		{INT64_MAX, 0, INT64_MAX / 10000 + 1},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct clock_reading a = {.slew = {7 * MS}}, b = a;

		b.boot.ns += cases[i].passed;
		b.slew.ns += cases[i].slewed;
		assert_int_equal(skew_widening(&a, &b).ns, cases[i].expected);
		assert_int_equal(skew_widening(&b, &a).ns, cases[i].expected);
	}
}

/* A sample of theta in [lo, hi] ms, at `at` seconds. */
static struct skew_sample sample_ms(int64_t at, int64_t lo, int64_t hi)
{
	return (struct skew_sample){
		.sent = {.boot = {at * S}},
		.received = {at * S + 40 * MS},
		.lo = {lo * MS},
		.hi = {hi * MS},
	};
}

static enum skew_verdict add_ms(
	struct skew *s, int64_t at, int64_t lo, int64_t hi, int64_t *ret_miss)
{
	struct skew_sample sample = sample_ms(at, lo, hi);
	struct duration miss = {-1};
	enum skew_verdict verdict = skew_add(s, &sample, &miss);

	if (ret_miss)
		*ret_miss = miss.ns;
	return verdict;
}

static struct skew_estimate query_at(const struct skew *s, int64_t at)
{
	struct clock_reading now = {.boot = {at * S}};
	struct skew_estimate e;

	skew_query(s, &now, &e);
	return e;
}

static void nothing_is_known_at_first(void **state)
{
	struct skew s = {0};
	struct skew_estimate e = query_at(&s, 5);

	(void)state;
	assert_false(e.known);
	assert_int_equal(e.samples, 0);
	assert_int_equal(e.clocks, 0);
	assert_int_equal(e.spread.ns, 0);
}

static void one_sample_is_an_estimate(void **state)
{
	struct skew s = {0};
	struct skew_estimate e;

	(void)state;
	assert_int_equal(add_ms(&s, 100, -40, 1000, NULL), SKEW_AGREES);
	e = query_at(&s, 100);
	assert_true(e.known);
	assert_true(e.consistent);
	assert_int_equal(e.clocks, 1);
	assert_int_equal(e.samples, 1);
	assert_int_equal(e.spread.ns, 0);
	assert_int_equal(e.point.ns, 480 * MS);
	assert_int_equal(e.tight_lo.ns, -40 * MS);
	assert_int_equal(e.tight_hi.ns, 1000 * MS);
	assert_int_equal(e.lo.ns, -40 * MS);
	assert_int_equal(e.hi.ns, 2000 * MS); /* Date may be stale by sigma */
	/* 100 ppm of 1000 s later */
	e = query_at(&s, 1100);
	assert_int_equal(e.point.ns, 480 * MS);
	assert_int_equal(e.tight_lo.ns, -140 * MS - 1);
	assert_int_equal(e.tight_hi.ns, 1100 * MS + 1);
	assert_int_equal(e.lo.ns, -140 * MS - 1);
	assert_int_equal(e.hi.ns, 2100 * MS + 1);
}

static void agreeing_samples_are_intersected(void **state)
{
	struct skew s = {0};
	struct skew_estimate e;
	int64_t miss;

	(void)state;
	add_ms(&s, 100, 0, 1000, NULL);
	assert_int_equal(add_ms(&s, 100, 600, 1600, &miss), SKEW_AGREES);
	assert_int_equal(miss, 0);
	assert_int_equal(add_ms(&s, 100, -300, 700, NULL), SKEW_AGREES);
	e = query_at(&s, 100);
	assert_int_equal(e.tight_lo.ns, 600 * MS);
	assert_int_equal(e.tight_hi.ns, 700 * MS);
	assert_int_equal(e.clocks, 1);
	assert_int_equal(e.samples, 3);
	/* a touch is an agreement */
	assert_int_equal(add_ms(&s, 100, 700, 900, NULL), SKEW_AGREES);
	e = query_at(&s, 100);
	assert_int_equal(e.tight_lo.ns, 700 * MS);
	assert_int_equal(e.tight_hi.ns, 700 * MS);
	/* long after, what was known exactly is known to +-0.1 s */
	assert_int_equal(add_ms(&s, 1100, 790, 2000, NULL), SKEW_AGREES);
	e = query_at(&s, 1100);
	assert_int_equal(e.tight_lo.ns, 790 * MS);
	assert_int_equal(e.tight_hi.ns, 800 * MS + 1);
}

static void conflict_opens_a_group(void **state)
{
	struct skew s = {0};
	struct skew_estimate e;
	int64_t miss;

	(void)state;
	add_ms(&s, 100, 0, 1000, NULL);
	assert_int_equal(add_ms(&s, 100, 3000, 3500, &miss), SKEW_CONFLICTS);
	assert_int_equal(miss, 2000 * MS);
	e = query_at(&s, 100);
	assert_false(e.consistent);
	assert_int_equal(e.clocks, 2);
	assert_int_equal(e.lo.ns, 0);
	assert_int_equal(e.hi.ns, 4500 * MS);
	assert_int_equal(e.spread.ns, 2750 * MS); /* 3250 - 500 */
	/* one each: the younger is the better witness */
	assert_int_equal(e.point.ns, 3250 * MS);
	assert_int_equal(e.tight_lo.ns, 3000 * MS);
	assert_int_equal(e.tight_hi.ns, 3500 * MS);
	/* the old one again: more witnesses; and what agrees with one of the groups misses nothing
	 */
	assert_int_equal(add_ms(&s, 100, 200, 400, &miss), SKEW_CONFLICTS);
	assert_int_equal(miss, 0);
	e = query_at(&s, 100);
	assert_int_equal(e.clocks, 2);
	assert_int_equal(e.point.ns, 300 * MS);
	/* below both: the nearer one counts */
	assert_int_equal(add_ms(&s, 100, -900, -700, &miss), SKEW_CONFLICTS);
	assert_int_equal(miss, 900 * MS);
}

/* A sample so wide that it fits two groups settles nothing and harms neither. */
static void sample_may_agree_with_several(void **state)
{
	struct skew s = {0};
	struct skew_estimate e;

	(void)state;
	add_ms(&s, 100, 0, 1000, NULL);
	add_ms(&s, 100, 3000, 4000, NULL);
	assert_int_equal(add_ms(&s, 100, 500, 3200, NULL), SKEW_AGREES);
	e = query_at(&s, 100);
	assert_int_equal(e.clocks, 2);
	assert_int_equal(e.lo.ns, 500 * MS);
	assert_int_equal(e.hi.ns, 4200 * MS);
}

/* A clock is stepped by a second; asked once an hour, what was known before widens faster than it
 * is forgotten, until it agrees again. Both are then the same interval, and no two clocks. */
static void groups_that_became_one_are_one(void **state)
{
	struct skew s = {0};
	struct skew_estimate e;
	int64_t hours;

	(void)state;
	for (int n = 0; n < 5; n++)
		add_ms(&s, 0, 0, 50, NULL);
	for (hours = 1; add_ms(&s, hours * 3600, 1000, 1050, NULL) == SKEW_CONFLICTS; hours++)
		assert_int_equal(query_at(&s, hours * 3600).clocks, 2);
	assert_int_equal(hours, 3);
	/* 50 ms and three hours of 100 ppm reach as far as the new interval */
	assert_int_equal(query_at(&s, hours * 3600).clocks, 1);
	add_ms(&s, hours * 3600, 1010, 1020, NULL);
	e = query_at(&s, hours * 3600);
	assert_int_equal(e.clocks, 1);
	assert_int_equal(e.tight_lo.ns, 1010 * MS);
	assert_int_equal(e.tight_hi.ns, 1020 * MS);
	for (int n = 0; n < SKEW_CONFLICT_MEMORY; n++)
		add_ms(&s, hours * 3600, 1010, 1020, NULL);
	assert_true(query_at(&s, hours * 3600).consistent);
}

/* Two that begin alike are two still. */
static void groups_with_one_border_in_common_are_two(void **state)
{
	struct skew s = {0};
	struct skew_estimate e;

	(void)state;
	add_ms(&s, 0, 0, 500, NULL);
	add_ms(&s, 0, 600, 1000, NULL);
	/* after 1000 s each reaches 100 ms farther */
	assert_int_equal(add_ms(&s, 1000, 550, 900, NULL), SKEW_AGREES);
	e = query_at(&s, 1000);
	assert_int_equal(e.clocks, 2);
	assert_int_equal(s.groups[0].lo.ns, s.groups[1].lo.ns);
}

static void steps_are_no_spread(void **state)
{
	static const struct {
		int64_t apart_ms, spread_ms;
	} cases[] = {{2000, 2000}, {5000, 5000}, {5001, 0}, {30000, 0}, {-4000, 4000}, {-6000, 0}};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct skew s = {0};

		add_ms(&s, 100, 0, 1000, NULL);
		add_ms(&s, 100, cases[i].apart_ms, cases[i].apart_ms + 1000, NULL);
		assert_int_equal(query_at(&s, 100).spread.ns, cases[i].spread_ms * MS);
	}
}

static void bogus_sample_is_forgotten_soon(void **state)
{
	struct skew s = {0};

	(void)state;
	for (int64_t at = 0; at < 10; at++)
		add_ms(&s, at, 0, 1000, NULL);
	add_ms(&s, 10, 90000, 91000, NULL);
	/* it never was the better witness */
	assert_int_equal(query_at(&s, 10).point.ns, 500 * MS);
	add_ms(&s, 11, 0, 1000, NULL);
	add_ms(&s, 12, 0, 1000, NULL);
	assert_int_equal(query_at(&s, 12).clocks, 2);
	add_ms(&s, 13, 0, 1000, NULL);
	assert_int_equal(query_at(&s, 13).clocks, 1);
}

static void real_step_is_believed_after_eight(void **state)
{
	struct skew s = {0};
	struct skew_estimate e;

	(void)state;
	for (int64_t at = 0; at < 10; at++)
		add_ms(&s, at, 0, 1000, NULL);
	for (int64_t n = 1; n <= 8; n++) {
		add_ms(&s, 10 + n, 30000, 31000, NULL);
		e = query_at(&s, 10 + n);
		/* of the latest five: from the third on the new one has more */
		assert_int_equal(e.point.ns, n < 3 ? 500 * MS : 30500 * MS);
		assert_int_equal(e.clocks, n < 8 ? 2 : 1);
		assert_false(e.consistent);
	}
}

static void conflict_is_remembered_for_32(void **state)
{
	struct skew s = {0};

	(void)state;
	add_ms(&s, 0, 0, 1000, NULL);
	assert_int_equal(add_ms(&s, 1, 9000, 9500, NULL), SKEW_CONFLICTS);
	/* the lone group goes with the third miss; that miss is the last conflict */
	for (int64_t at = 2; at < 5; at++)
		assert_int_equal(add_ms(&s, at, 0, 1000, NULL), SKEW_CONFLICTS);
	for (int64_t n = 1; n <= 32; n++) {
		assert_false(query_at(&s, 5).consistent);
		assert_int_equal(add_ms(&s, 5, 0, 1000, NULL), SKEW_AGREES);
	}
	assert_true(query_at(&s, 5).consistent);
	assert_int_equal(query_at(&s, 5).clocks, 1);
}

static void fifth_clock_displaces_the_least(void **state)
{
	struct skew s = {0};
	struct skew_estimate e;

	(void)state;
	for (int64_t clock = 0; clock < 4; clock++)
		for (int n = 0; n < 2; n++)
			add_ms(&s, 0, clock * 2000, clock * 2000 + 500, NULL);
	e = query_at(&s, 0);
	assert_int_equal(e.clocks, 4);
	assert_int_equal(e.lo.ns, 0);
	assert_int_equal(e.hi.ns, 7500 * MS);
	assert_int_equal(e.spread.ns, 0); /* 6 s */
	/* the second one answers again; of the latest eight the first answered one */
	assert_int_equal(add_ms(&s, 0, 2400, 2600, NULL), SKEW_CONFLICTS);
	e = query_at(&s, 0);
	assert_int_equal(e.clocks, 4);
	assert_int_equal(e.lo.ns, 0);
	add_ms(&s, 0, -9000, -8900, NULL);
	e = query_at(&s, 0);
	assert_int_equal(e.clocks, 4);
	assert_int_equal(e.lo.ns, -9000 * MS);
	assert_int_equal(e.hi.ns, 7500 * MS);
	add_ms(&s, 0, -9000, -8900, NULL);
	add_ms(&s, 0, -9000, -8900, NULL);
	e = query_at(&s, 0);
	assert_int_equal(e.point.ns, -8950 * MS);
}

static bool has_group_at(const struct skew *s, int64_t lo_ms)
{
	for (size_t i = 0; i < SKEW_GROUPS_MAX; i++)
		if (s->groups[i].born && s->groups[i].lo.ns == lo_ms * MS)
			return true;
	return false;
}

static void least_is_not_the_oldest(void **state)
{
	struct skew s = {0};

	(void)state;
	for (int64_t clock = 0; clock < 4; clock++)
		for (int n = 0; n < 2; n++)
			add_ms(&s, 0, clock * 2000, clock * 2000 + 500, NULL);
	/* the oldest goes on answering */
	for (int n = 0; n < 2; n++)
		add_ms(&s, 0, 0, 500, NULL);
	add_ms(&s, 0, -9000, -8900, NULL);
	assert_true(has_group_at(&s, 0));
	assert_false(has_group_at(&s, 2000));
	assert_true(has_group_at(&s, 4000));
	assert_true(has_group_at(&s, 6000));
	assert_true(has_group_at(&s, -9000));
}

/* Answers may overtake one another: an older exchange is judged with the drift between. */
static void order_of_arrival_does_not_matter(void **state)
{
	struct skew s = {0};
	struct skew_estimate e;

	(void)state;
	add_ms(&s, 1100, 500, 600, NULL);
	assert_int_equal(add_ms(&s, 100, 650, 1650, NULL), SKEW_AGREES);
	e = query_at(&s, 100);
	assert_int_equal(e.tight_lo.ns, 650 * MS);
	assert_int_equal(e.tight_hi.ns, 700 * MS + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sample_bounds_theta),
		cmocka_unit_test(clockless_exchange_gives_none),
		cmocka_unit_test(widening_is_drift_and_slew),
		cmocka_unit_test(nothing_is_known_at_first),
		cmocka_unit_test(one_sample_is_an_estimate),
		cmocka_unit_test(agreeing_samples_are_intersected),
		cmocka_unit_test(conflict_opens_a_group),
		cmocka_unit_test(sample_may_agree_with_several),
		cmocka_unit_test(groups_that_became_one_are_one),
		cmocka_unit_test(groups_with_one_border_in_common_are_two),
		cmocka_unit_test(steps_are_no_spread),
		cmocka_unit_test(bogus_sample_is_forgotten_soon),
		cmocka_unit_test(real_step_is_believed_after_eight),
		cmocka_unit_test(conflict_is_remembered_for_32),
		cmocka_unit_test(fifth_clock_displaces_the_least),
		cmocka_unit_test(least_is_not_the_oldest),
		cmocka_unit_test(order_of_arrival_does_not_matter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
