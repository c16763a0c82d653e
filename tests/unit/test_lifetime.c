/* Valid, dead and refresh by tables computed by hand. What holds for any clocks is in
 * test_lifetime_properties.c. */
#include "core/lifetime.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define LENGTH(a) (sizeof(a) / sizeof(*(a)))
#define MS NS_PER_MS
#define S NS_PER_S

/* The exchange of every table: it left at 1000 s, its answer came 200 ms later, and its Date was D.
 */
#define SENT (1000 * S)
#define RECEIVED (SENT + 200 * MS)
#define D INT64_C(1700000000)
#define ABSENT INT64_MIN

static const struct skew_sample dated = {
	.sent = {.boot = {SENT}},
	.received = {RECEIVED},
	.date_s = D,
	.lo = {D * S - RECEIVED},
	.hi = {(D + 1) * S - SENT},
};

static struct lifetime_policy usual_policy(void)
{
	return (struct lifetime_policy){.use_margin = {5 * S}, .refresh_margin_auto = true};
}

static struct lifetime_evidence evidence_of(int64_t expires_in_s)
{
	return (struct lifetime_evidence){
		.sent = {.boot = {SENT}},
		.received = {RECEIVED},
		.sample = &dated,
		.expires_in = duration_s(expires_in_s),
	};
}

static struct lifetime begin(int64_t expires_in_s)
{
	struct lifetime_policy policy = usual_policy();
	struct lifetime_evidence e = evidence_of(expires_in_s);
	struct lifetime l;

	assert_int_equal(lifetime_begin(&l, &e, &policy), LIFETIME_FINE);
	return l;
}

static void opaque_tokens(void **state)
{
	static const struct {
		int64_t expires_in_s, use_margin_ms, spread_ms;
		bool undated, background;
		/* after `sent`; after `received` */
		int64_t dead_us, valid_ms, guard_ms;
	} cases[] = {
		/* (L - 1 s)(1 - 100 ppm) - min(5 s, L/10) */
		{10, 5000, 0, false, false, 7999100, 0, 0},
		{50, 5000, 0, false, false, 43995100, 0, 0},
		{51, 5000, 0, false, false, 44995000, 0, 0},
		{300, 5000, 0, false, false, 293970100, 0, 0},
		{3600, 5000, 0, false, false, 3593640100, 0, 0},
		{86400, 5000, 0, false, false, 86385360100, 0, 0},
		{172800, 5000, 0, false, false, 172776720100, 0, 0},
		{38880000, 5000, 0, false, false, 38876106000100, 0, 0},
		/* a Date is not needed */
		{3600, 5000, 0, true, false, 3593640100, 0, 0},
		{3600, 0, 0, false, false, 3598640100, 0, 0},
		{3600, 60000, 0, false, false, 3538640100, 0, 0},
		{300, 60000, 0, false, false, 268970100, 0, 0},
		/* clocks of a cluster: dead earlier by the spread; nobody waits, as it names no
		   beginning */
		{3600, 5000, 2500, false, false, 3591140100, 0, 2500},
		{3600, 5000, 2500, true, false, 3591140100, 0, 2500},
		/* replacing another: max(spread, min(2 s, L/20)) of caution, and only of that */
		{10, 5000, 0, false, true, 7999100, 0, 500},
		{39, 5000, 0, false, true, 34096200, 0, 1950},
		{3600, 5000, 0, false, true, 3593640100, 0, 2000},
		{3600, 5000, 1500, false, true, 3592140100, 0, 2000},
		{3600, 5000, 4000, false, true, 3589640100, 0, 4000},
		/* which is a tenth of its life at most */
		{3600, 5000, 4500, false, true, 3589140100, 0, 4500},
		{50, 5000, 5000, false, false, 38995100, 0, 5000},
		{40, 5000, 5000, false, false, 30996100, 0, 4000},
		{30, 5000, 5000, false, false, 22997100, 0, 3000},
		{10, 5000, 5000, false, true, 6999100, 0, 1000},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct lifetime_policy policy = usual_policy();
		struct lifetime_evidence e = evidence_of(cases[i].expires_in_s);
		struct lifetime l;

		policy.use_margin = duration_ms(cases[i].use_margin_ms);
		e.spread = duration_ms(cases[i].spread_ms);
		e.background = cases[i].background;
		if (cases[i].undated)
			e.sample = NULL;
		assert_int_equal(lifetime_begin(&l, &e, &policy), LIFETIME_FINE);
		assert_int_equal(lifetime_dead(&l).ns - SENT, cases[i].dead_us * 1000);
		assert_int_equal(l.valid.ns - RECEIVED, cases[i].valid_ms * MS);
		assert_int_equal(l.guard_until.ns - RECEIVED, cases[i].guard_ms * MS);
		assert_int_equal(l.issued.ns, cases[i].expires_in_s * S);
		assert_int_equal(l.dated, !cases[i].undated);
		assert_false(l.by_exp);
	}
}

/* Of a JWT whose expires_in is an hour. theta is between D - RECEIVED and, with a Date that was
 * stale by a second, D + 2 s - SENT. */
static void jwt_claims_are_evidence(void **state)
{
	static const struct {
		int64_t iat, nbf, exp, spread_ms;
		bool undated, ignored, by_exp;
		int64_t end_us;             /* after `sent` */
		int64_t valid_us, guard_us; /* after `received`; for a token in the background */
	} cases[] = {
		{ABSENT, ABSENT, D + 3600, 0, false, false, true, 3597640200, 0, 2000000},
		{ABSENT, ABSENT, D + 3601, 0, false, false, false, 3598640100, 0, 2000000},
		{ABSENT, ABSENT, D + 3602, 0, false, false, false, 3598640100, 0, 2000000},
		{ABSENT, ABSENT, D + 6000, 0, false, false, false, 3598640100, 0, 2000000},
		{ABSENT, ABSENT, D + 1000, 0, false, false, true, 997900200, 0, 2000000},
		{D, D, D + 3600, 0, false, false, true, 3597640200, 0, 2000000},
		/* the issuer rounded up */
		{D + 1, ABSENT, ABSENT, 0, false, false, false, 3598640100, 1000100, 3000100},
		{ABSENT, D + 1, ABSENT, 0, false, false, false, 3598640100, 1000100, 3000100},
		{D + 1, D - 5, ABSENT, 0, false, false, false, 3598640100, 1000100, 3000100},
		{D - 5, D + 1, ABSENT, 0, false, false, false, 3598640100, 1000100, 3000100},
		{D + 1, ABSENT, ABSENT, 2500, false, false, false, 3598640100, 3500100, 3500100},
		/* a few seconds before Date are not backdated */
		{D - 60, ABSENT, ABSENT, 2500, false, false, false, 3598640100, 2500000, 2500000},
		{D - 61, ABSENT, ABSENT, 2500, false, false, false, 3598640100, 0, 0},
		{D - 300, D - 300, D + 3600, 2500, false, false, true, 3597640200, 0, 0},
		{D - 300, D, ABSENT, 2500, false, false, false, 3598640100, 2500000, 2500000},
		/* good only later: it waits, but not for ever */
		{D, D + 3, D + 3600, 0, false, false, true, 3597640200, 3000300, 5000300},
		{D, D + 4, D + 3600, 0, false, false, true, 3597640200, 4000000, 6000400},
		{D, D + 4, D + 3600, 1000, false, false, true, 3597640200, 4000000, 6000400},
		{D, D + 8, D + 3600, 2500, false, false, true, 3597640200, 4000000, 10000000},
		{D, D + 9, D + 3600, 0, false, false, true, 3597640200, 4000000, 10000000},
		/* so much is no clock: nothing would be gained by seconds */
		{D, D + 11, D + 3600, 0, false, false, true, 3597640200, 0, 2000000},
		{D, D + 600, D + 3600, 0, false, false, true, 3597640200, 0, 2000000},
		{D, D + 600, D + 3600, 2500, false, false, true, 3597640200, 2500000, 2500000},
		/* contradictions */
		{D, D + 4000, ABSENT, 0, false, true, false, 3598640100, 0, 2000000},
		{D, ABSENT, D - 10, 0, false, true, false, 3598640100, 0, 2000000},
		{ABSENT, ABSENT, D + 8, 0, false, true, false, 3598640100, 0, 2000000},
		{ABSENT, ABSENT, D + 9, 0, false, false, true, 6999300, 0, 2000000},
		{ABSENT, D + 8, D + 9, 0, false, true, false, 3598640100, 0, 2000000},
		{D, D, 0, 0, false, true, false, 3598640100, 0, 2000000},
		{INT64_C(1) << 53, ABSENT, ABSENT, 0, false, true, false, 3598640100, 0, 2000000},
		{ABSENT, ABSENT, INT64_C(1) << 53, 0, false, false, false, 3598640100, 0, 2000000},
		/* without a Date, exp and nbf are times of an unknown clock */
		{D, D + 600, D + 1000, 0, true, false, false, 3598640100, 0, 2000000},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct lifetime_policy policy = usual_policy();
		struct lifetime_evidence e = evidence_of(3600);
		struct lifetime l;

		e.background = true;
		e.spread = duration_ms(cases[i].spread_ms);
		e.claims = (struct jwt_claims){
			.has_iat = cases[i].iat != ABSENT,
			.has_nbf = cases[i].nbf != ABSENT,
			.has_exp = cases[i].exp != ABSENT,
			.iat = cases[i].iat,
			.nbf = cases[i].nbf,
			.exp = cases[i].exp,
		};
		if (cases[i].undated)
			e.sample = NULL;
		assert_int_equal(lifetime_begin(&l, &e, &policy),
			cases[i].ignored ? LIFETIME_CLAIMS_IGNORED : LIFETIME_FINE);
		assert_int_equal(l.end.ns - SENT, cases[i].end_us * 1000);
		assert_int_equal(lifetime_dead(&l).ns - SENT,
			cases[i].end_us * 1000 - 5 * S - cases[i].spread_ms * MS);
		assert_int_equal(l.valid.ns - RECEIVED, cases[i].valid_us * 1000);
		assert_int_equal(l.guard_until.ns - RECEIVED, cases[i].guard_us * 1000);
		assert_int_equal(l.by_exp, cases[i].by_exp);
	}
}

static void dead_on_arrival(void **state)
{
	static const struct {
		int64_t expires_in_s, took_us, spread_us;
		enum lifetime_verdict verdict;
	} cases[] = {
		/* 7.9991 s after `sent`, of which a second has to be left */
		{10, 200000, 0, LIFETIME_FINE},
		{10, 6999100, 0, LIFETIME_FINE},
		{10, 6999101, 0, LIFETIME_DEAD},
		{10, 60000000, 0, LIFETIME_DEAD},
		/* the spread counts, but for a tenth of the life at most */
		{10, 5999100, 1000000, LIFETIME_FINE},
		{10, 5999101, 1000000, LIFETIME_DEAD},
		{10, 5999100, 5000000, LIFETIME_FINE},
		{10, 200000, 5000000, LIFETIME_FINE},
		{60, 200000, 5000000, LIFETIME_FINE},
		{0, 200000, 0, LIFETIME_DEAD},
		{-3600, 200000, 0, LIFETIME_DEAD},
		{INT64_MIN, 200000, 0, LIFETIME_DEAD},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct lifetime_policy policy = usual_policy();
		struct lifetime_evidence e = evidence_of(cases[i].expires_in_s);
		struct lifetime l = {.issued = {77}};

		e.sample = NULL;
		e.received.ns = SENT + cases[i].took_us * 1000;
		e.spread = duration_ns(cases[i].spread_us * 1000);
		assert_int_equal(lifetime_begin(&l, &e, &policy), cases[i].verdict);
		if (cases[i].verdict == LIFETIME_DEAD)
			assert_int_equal(l.issued.ns, 77); /* untouched */
	}
}

/* A server may write any Date and any claims; the arithmetic must not run over its ends. */
static void extreme_dates_and_claims(void **state)
{
	static const int64_t dates[] = {0, 1, D, 9223372035, 9223372036};
	static const int64_t claims[] = {0, 1, D, 9223372036, INT64_C(1) << 53};
	struct lifetime_policy policy = usual_policy();

	(void)state;
	for (size_t i = 0; i < LENGTH(dates); i++)
		for (size_t j = 0; j < LENGTH(claims); j++)
			for (size_t k = 0; k < LENGTH(claims); k++) {
				struct lifetime_evidence e = evidence_of(3600);
				struct skew_sample sample = dated;
				struct lifetime l;

				sample.lo =
					duration_sub(duration_s(dates[i]), duration_ns(RECEIVED));
				sample.hi = duration_sub(
					duration_add(duration_s(dates[i]), duration_s(1)),
					duration_ns(SENT));
				sample.date_s = dates[i];
				e.sample = &sample;
				e.claims = (struct jwt_claims){.has_nbf = true,
					.has_exp = true,
					.nbf = claims[j],
					.exp = claims[k]};
				assert_in_range(lifetime_begin(&l, &e, &policy), LIFETIME_FINE,
					LIFETIME_CLAIMS_IGNORED);
				assert_true(lifetime_dead(&l).ns - SENT <= 3594 * S);
				assert_true(lifetime_dead(&l).ns - l.valid.ns >= S);
				assert_true(l.valid.ns >= RECEIVED);
			}
}

static void refresh_leaves_time_to_spare(void **state)
{
	static const struct {
		int64_t expires_in_s, margin_ms; /* -1: auto */
		int64_t m_ms;
	} cases[] = {
		{10, -1, 2500},
		{20, -1, 5000},
		{40, -1, 10000},
		{60, -1, 10000},
		{67, -1, 10050},
		{100, -1, 15000},
		{300, -1, 45000},
		{3600, -1, 540000},
		{86400, -1, 12960000},
		{38880000, -1, 5832000000},
		{3600, 0, 0},
		{3600, 60000, 60000},
		{86400, 7200000, 7200000},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct lifetime l = begin(cases[i].expires_in_s);
		struct lifetime_policy policy = usual_policy();
		int64_t m = cases[i].m_ms * MS, dead = lifetime_dead(&l).ns;
		int64_t first = INT64_MAX, last = INT64_MIN;
		struct random random = {i};

		if (cases[i].margin_ms >= 0) {
			policy.refresh_margin_auto = false;
			policy.refresh_margin = duration_ms(cases[i].margin_ms);
		}
		for (int n = 0; n < 1000; n++) {
			int64_t at = lifetime_refresh_at(&l, &policy, &random).ns;

			assert_true(at <= dead - m && at >= dead - m - m / 4);
			first = at < first ? at : first;
			last = at > last ? at : last;
		}
		/* spread out, or all hosts of a fleet refresh at once */
		assert_true(first <= dead - m - m / 4 + m / 50);
		assert_true(last >= dead - m - m / 50);
	}
}

/* However large the margin, the token is used for half of its time before it is replaced: or the
 * broker would fetch and fetch. */
static void refresh_is_never_in_the_first_half(void **state)
{
	static const int64_t margins_s[] = {1800, 3590, 3600, 86400, INT64_MAX};

	(void)state;
	for (size_t i = 0; i < LENGTH(margins_s); i++) {
		struct lifetime_policy policy = {
			.use_margin = {5 * S}, .refresh_margin = duration_s(margins_s[i])};
		struct lifetime l = begin(3600);
		struct random random = {i};
		int64_t half = RECEIVED + (lifetime_dead(&l).ns - RECEIVED) / 2;

		for (int n = 0; n < 100; n++)
			assert_int_equal(lifetime_refresh_at(&l, &policy, &random).ns, half);
	}
}

static void wall_step_is_suspected(void **state)
{
	static const struct {
		int64_t step_ms, suspect_ms;
	} cases[] = {{0, 0}, {-1, 0}, {-3600000, 0}, {500, 0}, {501, 501}, {600000, 600000}};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct lifetime l = begin(3600);
		/* half an hour later, or after any suspend: only the offset counts */
		struct clock_reading now = {
			.boot = {SENT + 1800 * S}, .wall = {1800 * S + cases[i].step_ms * MS}};
		int64_t dead = lifetime_dead(&l).ns;

		assert_int_equal(lifetime_suspect(&l, &now).ns, cases[i].suspect_ms * MS);
		assert_int_equal(lifetime_dead(&l).ns, dead);
	}
}

/* An exchange that proves the server's clock to be at least `ahead` past what the token's own
 * exchange allowed for, while our wall clock is `wall` from where it was then. */
static struct skew_sample later_exchange(
	const struct lifetime *l, int64_t ahead_ms, int64_t wall_ms)
{
	struct skew_sample sample = {
		.sent = {.boot = {SENT + 600 * S}, .wall = {600 * S + wall_ms * MS}},
		.received = {SENT + 600 * S + 200 * MS},
	};

	sample.lo = duration_add(
		l->hi0, duration_ns(ahead_ms * MS + skew_widening(&l->sent, &sample.sent).ns));
	sample.hi = duration_add(sample.lo, duration_ms(1200));
	return sample;
}

static void steps_of_the_server(void **state)
{
	enum {
		NONE = LIFETIME_STEP_NONE,
		ALONE = LIFETIME_STEP_ALONE,
		COUNTED = LIFETIME_STEP_COUNTED
	};
	static const struct {
		const char *what;
		struct {
			int64_t ahead_ms, wall_ms, spread_ms;
			int verdict;
			int64_t step_ms;
		} exchanges[5];
		size_t count;
	} cases[] = {
		{"agreement", {{0, 0, 0, NONE, 0}, {-900, 0, 0, NONE, 0}}, 2},
		{"a lone one is asked about", {{30000, 0, 0, ALONE, 0}}, 1},
		{"a second one makes it count",
			{{30000, 0, 0, ALONE, 0}, {30000, 0, 0, COUNTED, 30000},
				{30000, 0, 0, NONE, 30000}},
			3},
		{"as far as both agree",
			{{30000, 0, 0, ALONE, 0}, {29000, 0, 0, COUNTED, 29000},
				{29500, 0, 0, COUNTED, 29500}},
			3},
		{"the second may say more",
			{{30000, 0, 0, ALONE, 0}, {45000, 0, 0, COUNTED, 30000},
				{45000, 0, 0, COUNTED, 45000}},
			3},
		{"one that agrees with neither does not take back",
			{{30000, 0, 0, ALONE, 0}, {-2000, 0, 0, NONE, 0},
				{30000, 0, 0, COUNTED, 30000}, {-2000, 0, 0, NONE, 30000}},
			4},
		{"a smaller lone one is no news",
			{{30000, 0, 0, ALONE, 0}, {-2000, 0, 0, NONE, 0},
				{100, 0, 0, COUNTED, 100}},
			3},
		{"our wall clock agrees: time was lost", {{30000, 31000, 0, COUNTED, 30000}}, 1},
		/* 3 s, both round trips of 200 ms, and twice the drift of 600 s */
		{"by no more than what hides it", {{30000, 33520, 0, COUNTED, 30000}}, 1},
		{"or less", {{30000, 27000, 0, COUNTED, 30000}}, 1},
		{"by more: two different things", {{30000, 33521, 0, ALONE, 0}}, 1},
		{"by less: two different things", {{30000, 26999, 0, ALONE, 0}}, 1},
		{"our wall clock went back", {{30000, -30000, 0, ALONE, 0}}, 1},
		{"time was lost again and again",
			{{30000, 31000, 0, COUNTED, 30000}, {60000, 62000, 0, COUNTED, 60000},
				{70000, 72000, 0, COUNTED, 70000}},
			3},
		{"the second time nobody set our clock",
			{{30000, 31000, 0, COUNTED, 30000}, {60000, 31000, 0, ALONE, 30000},
				{60000, 31000, 0, COUNTED, 60000}},
			3},
		{"the second time our clock was set by something else",
			{{30000, 31000, 0, COUNTED, 30000}, {60000, 131000, 0, ALONE, 30000}}, 2},
		{"a clock set again, and no time lost",
			{{30000, 31000, 0, COUNTED, 30000}, {30000, 61000, 0, NONE, 30000}}, 2},
		{"a sharper reading is no news",
			{{30000, 31000, 0, COUNTED, 30000}, {31000, 31000, 0, NONE, 30000},
				{31001, 31000, 0, COUNTED, 31000}},
			3},
		{"more than a sharper reading",
			{{30000, 31000, 0, COUNTED, 30000}, {31001, 31000, 0, ALONE, 30000}}, 2},
		{"a clock that was merely repaired", {{-500, 600000, 0, NONE, 0}}, 1},
		{"a repair is no witness twice",
			{{-500, 30000, 0, NONE, 0}, {30000, 30000, 0, ALONE, 0}}, 2},
		{"the clocks of a cluster", {{1500, 0, 2000, NONE, 0}}, 1},
		{"just as far as those", {{2000, 0, 2000, NONE, 0}}, 1},
		{"beyond the cluster", {{2001, 0, 2000, ALONE, 0}}, 1},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct lifetime l = begin(3600);
		int64_t dead = lifetime_dead(&l).ns, spread = 0;

		for (size_t n = 0; n < cases[i].count; n++) {
			struct skew_sample sample = later_exchange(
				&l, cases[i].exchanges[n].ahead_ms, cases[i].exchanges[n].wall_ms);
			int verdict = (int)lifetime_exchange(
				&l, &sample, duration_ms(cases[i].exchanges[n].spread_ms));

			if (verdict != cases[i].exchanges[n].verdict)
				fail_msg("%s, exchange %zu: %d", cases[i].what, n, verdict);
			assert_int_equal(l.step.ns, cases[i].exchanges[n].step_ms * MS);
			if (cases[i].exchanges[n].spread_ms * MS > spread)
				spread = cases[i].exchanges[n].spread_ms * MS;
			assert_int_equal(lifetime_dead(&l).ns, dead - l.step.ns - spread);
			/* whatever it said, the wall clock is explained now */
			assert_int_equal(lifetime_suspect(&l, &sample.sent).ns, 0);
		}
	}
}

/* A HEAD that left before our wall clock was set, answered after a POST that left later. */
static void answer_that_was_overtaken_brings_no_doubt_back(void **state)
{
	struct lifetime l = begin(3600);
	struct skew_sample early = later_exchange(&l, -500, 0), late = early;
	struct clock_reading now;

	(void)state;
	late.sent.boot.ns += 100 * MS;
	late.sent.wall.ns += 100 * MS + 16 * S;
	now = late.sent;
	assert_int_equal(lifetime_suspect(&l, &now).ns, 16 * S);
	lifetime_exchange(&l, &late, DURATION_ZERO);
	assert_int_equal(lifetime_suspect(&l, &now).ns, 0);
	lifetime_exchange(&l, &early, DURATION_ZERO);
	assert_int_equal(lifetime_suspect(&l, &now).ns, 0);
}

static void spread_only_grows(void **state)
{
	struct lifetime l = begin(3600);
	int64_t dead = lifetime_dead(&l).ns;
	struct skew_sample sample = later_exchange(&l, -900, 0);

	(void)state;
	lifetime_exchange(&l, &sample, duration_ms(1500));
	assert_int_equal(lifetime_dead(&l).ns, dead - 1500 * MS);
	lifetime_exchange(&l, &sample, duration_ms(400));
	assert_int_equal(lifetime_dead(&l).ns, dead - 1500 * MS);
	lifetime_exchange(&l, &sample, duration_ms(1600));
	assert_int_equal(lifetime_dead(&l).ns, dead - 1600 * MS);
}

/* Of our own clock: what it fell behind the crystal by is taken off, what it ran ahead by is not
 * given. */
static void slewing_stretches_no_life(void **state)
{
	static const struct {
		int64_t sent_ms, now_ms[4], bent_ms[4];
	} cases[] = {
		{0, {0, 100, 400, 1800}, {0, 100, 400, 1800}},
		{-7000, {-6000, -5000, -5500, -9000}, {1000, 2000, 2000, 2000}},
		{5000, {4000, -100000, 5000, 5001}, {0, 0, 0, 1}},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct lifetime l = begin(3600);
		int64_t dead = lifetime_dead(&l).ns;

		l.sent.slew = duration_ms(cases[i].sent_ms);
		for (size_t n = 0; n < 4; n++) {
			struct clock_reading now = {.boot = {SENT + (int64_t)(n + 1) * 100 * S},
				.slew = duration_ms(cases[i].now_ms[n])};

			lifetime_look(&l, &now);
			assert_int_equal(lifetime_dead(&l).ns, dead - cases[i].bent_ms[n] * MS);
		}
	}
}

/* However far apart the server's clocks turn out to be after a token came. */
static void spread_takes_a_tenth_at_most(void **state)
{
	static const int64_t lives_s[] = {10, 20, 49, 50, 3600};

	(void)state;
	for (size_t i = 0; i < LENGTH(lives_s); i++) {
		struct lifetime l = begin(lives_s[i]);
		int64_t dead = lifetime_dead(&l).ns, most = lives_s[i] * S / 10;
		struct skew_sample sample = later_exchange(&l, -900, 0);

		lifetime_exchange(&l, &sample, duration_ms(500));
		assert_int_equal(lifetime_dead(&l).ns, dead - 500 * MS);
		lifetime_exchange(&l, &sample, duration_s(5));
		assert_int_equal(lifetime_dead(&l).ns, dead - (most < 5 * S ? most : 5 * S));
	}
}

/* With no Date of its own nothing later can tell whether time was lost since: the suspicion stays,
 * and the token is replaced that much earlier. */
static void suspicion_of_an_undated_token_stays(void **state)
{
	struct lifetime_policy policy = usual_policy();
	struct lifetime_evidence e = evidence_of(3600);
	struct skew_sample sample = {
		.sent = {.boot = {SENT + 600 * S}, .wall = {(600 + 1200) * S}},
		.received = {SENT + 600 * S + 200 * MS},
		.lo = dated.lo,
		.hi = dated.hi,
	};
	struct lifetime l;

	(void)state;
	e.sample = NULL;
	assert_int_equal(lifetime_begin(&l, &e, &policy), LIFETIME_FINE);
	assert_int_equal(lifetime_suspect(&l, &sample.sent).ns, 1200 * S);
	assert_int_equal(lifetime_exchange(&l, &sample, duration_ms(300)), LIFETIME_STEP_NONE);
	assert_int_equal(lifetime_suspect(&l, &sample.sent).ns, 1200 * S);
	assert_int_equal(l.spread.ns, 300 * MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(opaque_tokens),
		cmocka_unit_test(jwt_claims_are_evidence),
		cmocka_unit_test(dead_on_arrival),
		cmocka_unit_test(extreme_dates_and_claims),
		cmocka_unit_test(refresh_leaves_time_to_spare),
		cmocka_unit_test(refresh_is_never_in_the_first_half),
		cmocka_unit_test(wall_step_is_suspected),
		cmocka_unit_test(steps_of_the_server),
		cmocka_unit_test(answer_that_was_overtaken_brings_no_doubt_back),
		cmocka_unit_test(spread_only_grows),
		cmocka_unit_test(spread_takes_a_tenth_at_most),
		cmocka_unit_test(slewing_stretches_no_life),
		cmocka_unit_test(suspicion_of_an_undated_token_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
