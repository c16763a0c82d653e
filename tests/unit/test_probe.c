/* When HEADs are sent: aimed at a second boundary of the server, reached by timers that are late,
 * bounded whatever happens, and never again where another clock answers. */
#include "clock_model.h"
#include "core/probe.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LENGTH(a) (sizeof(a) / sizeof(*(a)))
#define MS NS_PER_MS
#define S NS_PER_S

static struct clock_reading reading_at(int64_t boot_ns)
{
	return (struct clock_reading){.boot = {boot_ns}};
}

/* theta in [lo, hi] as an exchange that left at `sent` and took 40 ms says. */
static struct skew_sample sample_of(int64_t sent, int64_t lo, int64_t hi)
{
	return (struct skew_sample){
		.sent = reading_at(sent), .received = {sent + 40 * MS}, .lo = {lo}, .hi = {hi}};
}

static bool is_never(struct boot_time t)
{
	return t.ns == BOOT_TIME_NEVER.ns;
}

static void nothing_without_a_wish(void **state)
{
	struct clock_reading now = reading_at(100 * S);
	struct probe_plan p;
	struct skew s = {0};

	(void)state;
	probe_init(&p, true);
	assert_true(is_never(probe_next(&p, &s, &now)));
	probe_want(&p, 1, false);
	assert_false(is_never(probe_next(&p, &s, &now)));
	probe_init(&p, false);
	probe_want(&p, 6, true);
	probe_want_series(&p);
	assert_true(is_never(probe_next(&p, &s, &now)));
}

/* s = k - mid - rtt_min/2, the first at least 2 ms ahead. */
static void aims_at_the_boundary(void **state)
{
	static const struct {
		int64_t now_ms, mid_ms, rtt_ms, expected_ms;
	} cases[] = {
		{100000, 0, 0, 101000},
		{99998, 0, 0, 100000},
		{99999, 0, 0, 101000}, /* a millisecond is too short to plan for */
		{100000, 0, 40, 100980},
		{100000, 300, 40, 100680},
		{100000, -300, 40, 100280},
		{100000, 1700000000300, 40, 100680},
		{100000, 980, 40, 101000},
		{100000, 977, 40, 100003},
		{100000, 978, 40, 100002},
		{100000, 979, 40, 101001},
		{100000, -1700000000000, 2000, 101000},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct clock_reading now = reading_at(cases[i].now_ms * MS);
		struct skew_sample sample = sample_of(
			now.boot.ns, (cases[i].mid_ms - 500) * MS, (cases[i].mid_ms + 500) * MS);
		struct probe_plan p;
		struct skew s = {0};

		skew_add(&s, &sample, NULL);
		probe_init(&p, true);
		probe_posted(&p, &sample, duration_ms(cases[i].rtt_ms));
		probe_want(&p, 1, false);
		assert_int_equal(probe_next(&p, &s, &now).ns, cases[i].expected_ms * MS);
	}
}

/* The instant is asked for again at every wake-up, also at the one it was planned for: it must not
 * run away. */
static void planned_instant_is_reached(void **state)
{
	static const int64_t late_us[] = {0, 1, 900, 2000, 20000, 50000};
	struct skew_sample sample = sample_of(100 * S, -500 * MS, 500 * MS);

	(void)state;
	for (size_t i = 0; i < LENGTH(late_us); i++) {
		struct clock_reading now = reading_at(100 * S + 40 * MS);
		struct probe_plan p;
		struct skew s = {0};
		struct boot_time at;

		skew_add(&s, &sample, NULL);
		probe_init(&p, true);
		probe_posted(&p, &sample, duration_ms(40));
		probe_want_series(&p);
		at = probe_next(&p, &s, &now);
		assert_int_equal(at.ns, 100 * S + 980 * MS);
		/* wake-ups for other reasons */
		for (int64_t ns = now.boot.ns; ns < at.ns; ns += 7 * MS) {
			now = reading_at(ns);
			assert_int_equal(probe_next(&p, &s, &now).ns, at.ns);
		}
		now = reading_at(at.ns + late_us[i] * 1000);
		assert_true(probe_next(&p, &s, &now).ns <= now.boot.ns);
	}
}

static void missed_boundary_is_aimed_at_anew(void **state)
{
	struct skew_sample sample = sample_of(100 * S, -500 * MS, 500 * MS);
	struct clock_reading now = reading_at(100 * S + 40 * MS);
	struct probe_plan p;
	struct skew s = {0};

	(void)state;
	skew_add(&s, &sample, NULL);
	probe_init(&p, true);
	probe_posted(&p, &sample, duration_ms(40));
	probe_want(&p, 1, false);
	assert_int_equal(probe_next(&p, &s, &now).ns, 100 * S + 980 * MS);
	now = reading_at(8 * 3600 * S + 300 * MS); /* slept */
	assert_int_equal(probe_next(&p, &s, &now).ns, 8 * 3600 * S + 980 * MS);
	now = reading_at(8 * 3600 * S + 980 * MS + 50 * MS + 1000); /* a little is too late, too */
	assert_int_equal(probe_next(&p, &s, &now).ns, (8 * 3600 + 1) * S + 980 * MS);
}

static void aims_anew_when_a_post_taught_something(void **state)
{
	struct skew_sample first = sample_of(100 * S, -500 * MS, 500 * MS);
	struct skew_sample second = sample_of(100 * S, 200 * MS, 600 * MS);
	struct clock_reading now = reading_at(100 * S + 40 * MS);
	struct probe_plan p;
	struct skew s = {0};

	(void)state;
	skew_add(&s, &first, NULL);
	probe_init(&p, true);
	probe_posted(&p, &first, duration_ms(40));
	probe_want(&p, 1, false);
	assert_int_equal(probe_next(&p, &s, &now).ns, 100 * S + 980 * MS);
	skew_add(&s, &second, NULL); /* [200, 500] */
	probe_posted(&p, &second, duration_ms(20));
	assert_int_equal(probe_next(&p, &s, &now).ns, 100 * S + 640 * MS);
}

static void urgent_ones_leave_at_once(void **state)
{
	struct skew_sample sample = sample_of(100 * S, -20 * MS, 20 * MS);
	struct clock_reading now = reading_at(100 * S + 300 * MS);
	struct probe_plan p;
	struct skew s = {0};

	(void)state;
	skew_add(&s, &sample, NULL);
	probe_init(&p, true);
	probe_posted(&p, &sample, duration_ms(40));
	probe_want(&p, 1, false);
	probe_next(&p, &s, &now);
	probe_want(&p, 2, true);
	assert_int_equal(probe_next(&p, &s, &now).ns, now.boot.ns);
	now = reading_at(100 * S + 320 * MS);
	assert_true(probe_next(&p, &s, &now).ns <= now.boot.ns);
	probe_sent(&p, now.boot);
	assert_true(is_never(probe_next(&p, &s, &now))); /* one at a time */
	assert_int_equal(probe_ended(&p, &sample, duration_ms(40), now.boot), PROBE_USED);
	/* only the first of them is */
	assert_int_equal(probe_next(&p, &s, &now).ns, 100 * S + 980 * MS);
}

static void wishes_do_not_add_up(void **state)
{
	struct skew_sample sample = sample_of(100 * S, -500 * MS, 500 * MS);
	struct clock_reading now = reading_at(100 * S);
	unsigned sent = 0;
	struct probe_plan p;
	struct skew s = {0};

	(void)state;
	skew_add(&s, &sample, NULL);
	probe_init(&p, true);
	for (int i = 0; i < 10; i++)
		probe_want(&p, 2, false);
	probe_want(&p, 1, false);
	while (!is_never(probe_next(&p, &s, &now))) {
		now.boot = probe_next(&p, &s, &now);
		probe_sent(&p, now.boot);
		probe_ended(&p, &sample, duration_ms(40), now.boot);
		sent++;
	}
	assert_int_equal(sent, 2);
}

/* Drives a plan like the broker does, against a server whose exchanges take `rtt`. Returns how many
 * HEADs were sent until nothing more was due or the time was over. */
static unsigned drive(
	struct probe_plan *p, struct skew *s, struct clock_model *m, int64_t rtt, int64_t until)
{
	unsigned sent = 0;

	for (;;) {
		struct boot_time at = probe_next(p, s, &m->now);
		int64_t forward = rtt * 3 / 8 + model_up_to(m, rtt / 4);
		struct skew_sample sample;
		struct exchange x;

		if (is_never(at) || at.ns > until)
			return sent;
		if (at.ns > m->now.boot.ns)
			model_pass(m, at.ns - m->now.boot.ns + model_up_to(m, MS));
		at = probe_next(p, s, &m->now);
		assert_true(at.ns <= m->now.boot.ns);
		probe_sent(p, m->now.boot);
		sent++;
		x = model_exchange(m, forward, rtt - forward, 0);
		assert_true(skew_sample_of(&x, &sample));
		assert_int_equal(
			probe_ended(p, &sample, duration_ns(rtt), m->now.boot), PROBE_USED);
		skew_add(s, &sample, NULL);
	}
}

/* One POST and the series: six HEADs and six seconds at most, down to max(100 ms, 1.25 rtt). */
static void series_narrows_and_stops(void **state)
{
	/* Each HEAD leaves half of the width and half of a round trip: 1040, 540, 290, 165, 102.5,
	 * 71 ms. */
	static const struct {
		int64_t rtt_ms;
		unsigned heads;
	} cases[] = {{1, 4}, {40, 5}, {70, 6}, {300, 4}, {1500, 2}};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		int64_t rtt = cases[i].rtt_ms * MS, enough = rtt + rtt / 4;
		unsigned all = 0;

		enough = enough > 100 * MS ? enough : 100 * MS;
		for (uint64_t seed = 1; seed <= 200; seed++) {
			struct skew_estimate e;
			struct clock_model m;
			struct probe_plan p;
			struct skew s = {0};
			struct skew_sample sample;
			struct exchange x;
			unsigned sent;

			clock_model_init(&m, seed);
			probe_init(&p, true);
			x = model_exchange(&m, rtt / 2, rtt / 2, 0);
			assert_true(skew_sample_of(&x, &sample));
			probe_posted(&p, &sample, duration_ns(rtt));
			skew_add(&s, &sample, NULL);
			probe_want_series(&p);
			sent = drive(&p, &s, &m, rtt, INT64_MAX);
			all += sent;
			assert_true(sent <= PROBES_AT_START);
			skew_query(&s, &m.now, &e);
			assert_true(e.consistent);
			assert_true(m.theta >= e.tight_lo.ns && m.theta <= e.tight_hi.ns);
			if (sent < PROBES_AT_START)
				assert_true(e.tight_hi.ns - e.tight_lo.ns <= enough);
			else
				assert_true(e.tight_hi.ns - e.tight_lo.ns <= 2 * enough);
			/* what is wanted after a refresh is sent however narrow it is */
			probe_want(&p, 2, false);
			assert_int_equal(drive(&p, &s, &m, rtt, INT64_MAX), 2);
		}
		assert_in_range(all, 200 * cases[i].heads - 100, 200 * cases[i].heads + 20);
	}
}

/* Where 100 ms are enough, a microsecond more is not. */
static void series_ends_at_its_width(void **state)
{
	struct clock_reading now = reading_at(100 * S);

	(void)state;
	for (int64_t more_us = 0; more_us < 2; more_us++) {
		struct skew_sample sample = sample_of(100 * S, -50 * MS, 50 * MS + more_us * 1000);
		struct probe_plan p;
		struct skew s = {0};

		skew_add(&s, &sample, NULL);
		probe_init(&p, true);
		probe_posted(&p, &sample, duration_ms(40));
		probe_want_series(&p);
		assert_int_equal(is_never(probe_next(&p, &s, &now)), more_us == 0);
		assert_int_equal(is_never(probe_next(&p, &s, &now)), more_us == 0);
	}
}

/* Also a series that ran to its end does not cut short what is wanted later. */
static void later_wish_is_no_series(void **state)
{
	struct skew_sample wide = sample_of(100 * S, -500 * MS, 500 * MS);
	struct skew_sample narrow = sample_of(100 * S, -20 * MS, 20 * MS);
	struct clock_reading now = reading_at(100 * S);
	struct probe_plan p;
	struct skew s = {0};

	(void)state;
	skew_add(&s, &wide, NULL);
	probe_init(&p, true);
	probe_want_series(&p);
	for (int i = 0; i < PROBES_AT_START; i++) {
		now.boot = probe_next(&p, &s, &now);
		assert_false(is_never(now.boot));
		probe_sent(&p, now.boot);
		probe_ended(&p, &wide, duration_ms(40), now.boot);
	}
	assert_true(is_never(probe_next(&p, &s, &now)));
	skew_add(&s, &narrow, NULL);
	probe_want(&p, 1, false);
	assert_false(is_never(probe_next(&p, &s, &now)));
}

static void window_bounds_them_all(void **state)
{
	struct skew_sample sample = sample_of(100 * S, -500 * MS, 500 * MS);

	(void)state;
	for (uint64_t seed = 0; seed < 50; seed++) {
		struct clock_reading now = reading_at(100 * S);
		struct random random = {seed};
		struct boot_time sent[400];
		struct probe_plan p;
		struct skew s = {0};

		skew_add(&s, &sample, NULL);
		probe_init(&p, true);
		for (size_t n = 0; n < LENGTH(sent); n++) {
			struct boot_time at;

			/* whoever can, asks for more all the time */
			probe_want(&p, 6, random_next(&random) % 2);
			at = probe_next(&p, &s, &now);
			assert_false(is_never(at));
			now.boot = boot_max(at, now.boot);
			sent[n] = now.boot;
			probe_sent(&p, now.boot);
			if (n >= PROBES_IN_WINDOW)
				assert_true(boot_since(sent[n], sent[n - PROBES_IN_WINDOW]).ns >=
					    PROBE_WINDOW_S * S);
			now.boot = boot_add(now.boot, random_duration(&random, duration_s(3)));
			probe_ended(&p, &sample, duration_ms(40), now.boot);
		}
	}
}

/* The width has to be more than max(250 ms, 3 round trips), by age or otherwise. */
static void age_starts_a_series(void **state)
{
	static const struct {
		int64_t width_ms, rtt_ms, limit_ms;
	} cases[] = {
		{40, 20, 250}, {100, 40, 250}, {100, 100, 300}, {300, 200, 600}, {200, 1, 250}};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		int64_t half = cases[i].width_ms * MS / 2;
		struct skew_sample sample = sample_of(100 * S, -half, half);
		struct clock_reading now = reading_at(100 * S);
		struct boot_time at;
		struct probe_plan p;
		struct skew s = {0};
		unsigned sent = 0;
		struct skew_estimate e;

		skew_add(&s, &sample, NULL);
		probe_init(&p, true);
		probe_posted(&p, &sample, duration_ms(cases[i].rtt_ms));
		/* 200 microseconds a second, both ends together */
		at = probe_look_at_age(&p, &s, &now);
		assert_in_range(at.ns - now.boot.ns,
			(cases[i].limit_ms - cases[i].width_ms) * 5 * S,
			(cases[i].limit_ms - cases[i].width_ms) * 5 * S + S);
		now.boot.ns = at.ns - 2 * S;
		assert_true(probe_look_at_age(&p, &s, &now).ns > now.boot.ns);
		assert_true(is_never(probe_next(&p, &s, &now)));
		now.boot = at;
		assert_true(is_never(probe_look_at_age(&p, &s, &now)));
		skew_query(&s, &now, &e);
		assert_true(e.tight_hi.ns - e.tight_lo.ns > cases[i].limit_ms * MS);
		/* none of them narrows it */
		while (!is_never(at = probe_next(&p, &s, &now))) {
			assert_true(at.ns > now.boot.ns);
			assert_true(is_never(probe_look_at_age(&p, &s, &now)));
			now.boot = at;
			probe_sent(&p, now.boot);
			assert_true(is_never(probe_look_at_age(&p, &s, &now)));
			probe_ended(&p, &sample, duration_ms(cases[i].rtt_ms), now.boot);
			sent++;
		}
		assert_int_equal(sent, PROBES_BY_AGE);
	}
}

/* Nothing is known, or nothing may be asked: age does not matter. */
static void age_of_nothing(void **state)
{
	struct skew_sample sample = sample_of(100 * S, -500 * MS, 500 * MS);
	struct clock_reading now = reading_at(1000000 * S);
	struct probe_plan p;
	struct skew s = {0};

	(void)state;
	probe_init(&p, true);
	assert_true(is_never(probe_look_at_age(&p, &s, &now)));
	skew_add(&s, &sample, NULL);
	probe_init(&p, false);
	assert_true(is_never(probe_look_at_age(&p, &s, &now)));
	probe_init(&p, true);
	p.foreign = true;
	assert_true(is_never(probe_look_at_age(&p, &s, &now)));
	assert_int_equal(p.wanted, 0);
}

/* Where no HEAD narrows it, there are so many in an hour, and the other wishes are not held up. */
static void age_has_a_budget(void **state)
{
	struct skew_sample sample = sample_of(100 * S, -500 * MS, 500 * MS);
	struct clock_reading now = reading_at(100 * S);
	struct boot_time sent[100];
	struct probe_plan p;
	struct skew s = {0};
	size_t n = 0;

	(void)state;
	skew_add(&s, &sample, NULL);
	probe_init(&p, true);
	while (n < LENGTH(sent)) {
		struct boot_time at = probe_next(&p, &s, &now);

		if (is_never(at)) {
			at = probe_look_at_age(&p, &s, &now);
			now.boot = is_never(at) ? now.boot : at;
			continue;
		}
		now.boot = at;
		probe_sent(&p, now.boot);
		probe_ended(&p, &sample, duration_ms(40), now.boot);
		if (n >= PROBES_BY_AGE_IN_AN_HOUR)
			assert_true(
				now.boot.ns - sent[n - PROBES_BY_AGE_IN_AN_HOUR].ns >= 3600 * S);
		sent[n++] = now.boot;
	}
	assert_true(now.boot.ns < 100 * S + 9 * INT64_C(3600) * S);
	probe_want(&p, 1, true);
	assert_int_equal(probe_next(&p, &s, &now).ns, now.boot.ns);
}

/* A series by age narrows a cluster's clock, too, where a conflict is never forgotten. */
static void age_of_a_cluster(void **state)
{
	struct skew_sample one = sample_of(100 * S, -20 * MS, 20 * MS);
	struct skew_sample other = sample_of(100 * S, 3 * S, 3 * S + 300 * MS);
	struct clock_reading now = reading_at(100 * S);
	struct probe_plan p;
	struct skew s = {0};

	(void)state;
	skew_add(&s, &one, NULL);
	skew_add(&s, &one, NULL);
	skew_add(&s, &other, NULL);
	probe_init(&p, true);
	probe_want_series(&p);
	assert_false(is_never(probe_next(&p, &s, &now)));
	probe_init(&p, true);
	now.boot.ns += 3000 * S;
	assert_true(is_never(probe_look_at_age(&p, &s, &now)));
	assert_false(is_never(probe_next(&p, &s, &now)));
	one.sent = now;
	skew_add(&s, &one, NULL);
	assert_true(is_never(probe_next(&p, &s, &now)));
}

static void conflicts_are_asked_about_three_times(void **state)
{
	struct skew_sample sample = sample_of(100 * S, -500 * MS, 500 * MS);
	struct clock_reading now = reading_at(100 * S);
	struct probe_plan p;
	struct skew s = {0};

	(void)state;
	skew_add(&s, &sample, NULL);
	probe_init(&p, true);
	for (int post = 0; post < 3; post++) {
		probe_posted(&p, &sample, duration_ms(40));
		for (int i = 0; i < 6; i++) {
			probe_want_after_conflict(&p);
			if (i >= PROBES_FOR_CONFLICTS) {
				assert_true(is_never(probe_next(&p, &s, &now)));
				continue;
			}
			assert_int_equal(probe_next(&p, &s, &now).ns, now.boot.ns);
			probe_sent(&p, now.boot);
			now.boot.ns += S;
			probe_ended(&p, &sample, duration_ms(40), now.boot);
		}
		now.boot.ns += 600 * S;
	}
}

/* Whatever was asked before: a step of our wall clock has a place in the window. */
static void a_step_finds_room(void **state)
{
	struct skew_sample sample = sample_of(100 * S, -500 * MS, 500 * MS);
	struct clock_reading now = reading_at(100 * S);
	struct probe_plan p;
	struct skew s = {0};

	(void)state;
	skew_add(&s, &sample, NULL);
	probe_init(&p, true);
	for (int i = 0; i < PROBES_IN_WINDOW; i++) {
		if (i == PROBES_IN_WINDOW - 1) {
			probe_want(&p, 1, true);
			assert_int_equal(probe_next(&p, &s, &now).ns, 400 * S);
			probe_want_after_step(&p);
		} else {
			probe_want(&p, 1, true);
		}
		assert_int_equal(probe_next(&p, &s, &now).ns, now.boot.ns);
		probe_sent(&p, now.boot);
		now.boot.ns += S;
		probe_ended(&p, &sample, duration_ms(40), now.boot);
	}
	/* once */
	probe_want_after_step(&p);
	assert_int_equal(probe_next(&p, &s, &now).ns, 400 * S);
	assert_int_equal(probe_knock_from(&p).ns, 400 * S);
}

/* The same room is there for a knock: not even a step takes it while one is under way, and what was
 * planned for later waits behind its answer. */
static void a_knock_finds_room(void **state)
{
	struct skew_sample sample = sample_of(100 * S, -500 * MS, 500 * MS);
	struct clock_reading now = reading_at(100 * S);
	struct probe_plan p;
	struct skew s = {0};

	(void)state;
	skew_add(&s, &sample, NULL);
	probe_init(&p, true);
	for (int i = 0; i < PROBES_IN_WINDOW - 1; i++) {
		assert_true(probe_knock_from(&p).ns <= now.boot.ns);
		probe_want(&p, 1, true);
		assert_int_equal(probe_next(&p, &s, &now).ns, now.boot.ns);
		probe_sent(&p, now.boot);
		now.boot.ns += S;
		probe_ended(&p, &sample, duration_ms(40), now.boot);
	}
	probe_want(&p, 1, true);
	assert_int_equal(probe_next(&p, &s, &now).ns, 400 * S);
	assert_true(probe_knock_from(&p).ns <= now.boot.ns);
	probe_knock_left(&p);
	probe_want_after_step(&p);
	assert_int_equal(probe_next(&p, &s, &now).ns, 400 * S);
	/* it is as if it had never been */
	probe_knock_ended(&p, now.boot, false);
	probe_want_after_step(&p);
	assert_int_equal(probe_next(&p, &s, &now).ns, now.boot.ns);
	p.after_step = false;
	probe_knock_left(&p);
	probe_knock_ended(&p, now.boot, true);
	assert_int_equal(probe_knock_from(&p).ns, 400 * S);
	assert_int_equal(probe_next(&p, &s, &now).ns, 401 * S);
	probe_want_after_step(&p);
	assert_int_equal(probe_next(&p, &s, &now).ns, 400 * S);
}

/* At once, and then aimed until it is narrow. */
static void measuring_on_demand(void **state)
{
	struct skew_sample wide = sample_of(100 * S, -500 * MS, 500 * MS);
	struct skew_sample narrow = sample_of(100 * S, -20 * MS, 20 * MS);

	(void)state;
	for (int becomes_narrow = 0; becomes_narrow < 2; becomes_narrow++) {
		struct clock_reading now = reading_at(100 * S + 100 * MS);
		struct probe_plan p;
		struct skew s = {0};
		unsigned sent = 0;

		skew_add(&s, &wide, NULL);
		probe_init(&p, true);
		assert_false(probe_is_busy(&p, &s, &now));
		probe_want_measure(&p);
		for (; probe_is_busy(&p, &s, &now); sent++) {
			struct boot_time at = probe_next(&p, &s, &now);

			assert_int_equal(at.ns == now.boot.ns, sent == 0);
			now.boot = at;
			probe_sent(&p, now.boot);
			assert_true(probe_is_busy(&p, &s, &now));
			if (becomes_narrow && sent == 2)
				skew_add(&s, &narrow, NULL);
			probe_ended(&p, &wide, duration_ms(40), now.boot);
		}
		assert_int_equal(sent, becomes_narrow ? 3 : PROBES_ON_DEMAND);
		assert_true(is_never(probe_next(&p, &s, &now)));
		/* also where it is narrow already */
		probe_want_measure(&p);
		assert_int_equal(probe_next(&p, &s, &now).ns, now.boot.ns);
	}
}

/* 5, 10, 20, 40, 80, 80 ... s: a server that is down, or one without a Date, is not rung at,
 * however urgent it is. */
static void silence_makes_pauses(void **state)
{
	static const int64_t pauses_s[] = {5, 10, 20, 40, 80, 80, 80, 80, 80, 80};
	struct skew_sample sample = sample_of(100 * S, -500 * MS, 500 * MS);
	struct clock_reading now = reading_at(100 * S);
	struct probe_plan p;
	struct skew s = {0};

	(void)state;
	skew_add(&s, &sample, NULL);
	probe_init(&p, true);
	for (size_t i = 0; i < LENGTH(pauses_s); i++) {
		probe_want(&p, 3, true);
		assert_int_equal(probe_next(&p, &s, &now).ns, now.boot.ns);
		probe_sent(&p, now.boot);
		now.boot.ns += S;
		assert_int_equal(probe_ended(&p, NULL, DURATION_ZERO, now.boot), PROBE_USED);
		assert_true(is_never(probe_next(&p, &s, &now))); /* not even wanted any more */
		probe_want(&p, 1, true);
		assert_int_equal(probe_next(&p, &s, &now).ns, now.boot.ns + pauses_s[i] * S);
		now.boot.ns += pauses_s[i] * S;
	}
	probe_sent(&p, now.boot);
	probe_ended(&p, &sample, duration_ms(40), now.boot);
	probe_want(&p, 1, true);
	probe_sent(&p, now.boot);
	probe_ended(&p, NULL, DURATION_ZERO, now.boot);
	probe_want(&p, 1, true);
	assert_int_equal(probe_next(&p, &s, &now).ns, now.boot.ns + 5 * S);
}

static void another_clock_is_proved_once(void **state)
{
	static const struct {
		const char *what;
		int64_t head_after_ms, apart_ms;
		bool no_post, not_first, foreign;
	} cases[] = {
		{"the same clock", 500, 0, false, false, false},
		{"far behind", 500, -20000, false, false, true},
		{"far ahead", 500, 20000, false, false, true},
		{"up to 2 s later", 2000, 20000, false, false, true},
		{"later than that, a step explains it", 2001, 20000, false, false, false},
		{"10 s apart, as a step may be", 500, 10900, false, false, false},
		{"more than 10 s apart", 500, 11100, false, false, true},
		{"10 s behind", 500, -10900, false, false, false},
		{"more than 10 s behind", 500, -11200, false, false, true},
		{"without a POST to hold it against", 500, 20000, true, false, false},
		{"not the first: evidence", 500, 20000, false, true, false},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		/* [D - tr, D + 1 s - ts] each */
		struct skew_sample post = sample_of(100 * S, -40 * MS, S);
		struct skew_sample head = sample_of(post.received.ns + cases[i].head_after_ms * MS,
			cases[i].apart_ms * MS - 40 * MS, cases[i].apart_ms * MS + S);
		struct clock_reading now = {.boot = head.received};
		enum probe_verdict verdict;
		struct probe_plan p;
		struct skew s = {0};

		probe_init(&p, true);
		probe_posted(&p, cases[i].no_post ? NULL : &post, duration_ms(40));
		if (cases[i].not_first) {
			probe_sent(&p, post.sent.boot);
			assert_int_equal(
				probe_ended(&p, &post, duration_ms(40), post.received), PROBE_USED);
		}
		probe_want(&p, 3, false);
		probe_sent(&p, head.sent.boot);
		verdict = probe_ended(&p, &head, duration_ms(40), now.boot);
		if (verdict != (cases[i].foreign ? PROBE_FOREIGN : PROBE_USED))
			fail_msg("%s", cases[i].what);
		probe_want(&p, 3, true);
		assert_int_equal(is_never(probe_next(&p, &s, &now)), cases[i].foreign);
	}
}

static void shortest_round_trip_is_kept(void **state)
{
	struct skew_sample sample = sample_of(100 * S, -500 * MS, 500 * MS);
	struct probe_plan p;

	(void)state;
	probe_init(&p, true);
	assert_int_equal(p.rtt_min.ns, 0);
	probe_posted(&p, NULL, duration_ms(300));
	assert_int_equal(p.rtt_min.ns, 300 * MS);
	probe_posted(&p, &sample, duration_ms(400));
	assert_int_equal(p.rtt_min.ns, 300 * MS);
	probe_sent(&p, sample.sent.boot);
	probe_ended(&p, &sample, duration_ms(40), sample.received);
	assert_int_equal(p.rtt_min.ns, 40 * MS);
	probe_posted(&p, &sample, DURATION_ZERO); /* two readings of one instant measure nothing */
	assert_int_equal(p.rtt_min.ns, 40 * MS);
	probe_sent(&p, sample.sent.boot);
	probe_ended(&p, NULL, duration_ms(1), sample.received); /* no answer, no round trip */
	assert_int_equal(p.rtt_min.ns, 40 * MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_without_a_wish),
		cmocka_unit_test(aims_at_the_boundary),
		cmocka_unit_test(planned_instant_is_reached),
		cmocka_unit_test(missed_boundary_is_aimed_at_anew),
		cmocka_unit_test(aims_anew_when_a_post_taught_something),
		cmocka_unit_test(urgent_ones_leave_at_once),
		cmocka_unit_test(wishes_do_not_add_up),
		cmocka_unit_test(series_narrows_and_stops),
		cmocka_unit_test(series_ends_at_its_width),
		cmocka_unit_test(later_wish_is_no_series),
		cmocka_unit_test(window_bounds_them_all),
		cmocka_unit_test(age_starts_a_series),
		cmocka_unit_test(age_of_nothing),
		cmocka_unit_test(age_has_a_budget),
		cmocka_unit_test(age_of_a_cluster),
		cmocka_unit_test(conflicts_are_asked_about_three_times),
		cmocka_unit_test(a_step_finds_room),
		cmocka_unit_test(a_knock_finds_room),
		cmocka_unit_test(measuring_on_demand),
		cmocka_unit_test(silence_makes_pauses),
		cmocka_unit_test(another_clock_is_proved_once),
		cmocka_unit_test(shortest_round_trip_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
