/* Backoff, Retry-After and the mint window. */
#include "core/retry.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define LENGTH(a) (sizeof(a) / sizeof(*(a)))

static struct boot_time at_s(int64_t s)
{
	return (struct boot_time){s * NS_PER_S};
}

static void delays_double_to_a_minute(void **state)
{
	static const struct {
		unsigned failures;
		int64_t most_s;
	} cases[] = {
		{0, 1}, /* not a failure in a row, and yet no storm */
		{1, 1},
		{2, 2},
		{3, 4},
		{4, 8},
		{5, 16},
		{6, 32},
		{7, 60},
		{8, 60},
		{63, 60},
		{64, 60},
		{65, 60},
		{UINT32_MAX, 60},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		int64_t most = cases[i].most_s * NS_PER_S, least_seen = INT64_MAX, most_seen = 0;
		struct random random = {i};

		for (int n = 0; n < 2000; n++) {
			int64_t d = retry_delay(cases[i].failures, RETRY_MOST_S, &random).ns;

			assert_true(d >= most / 2 && d <= most);
			least_seen = d < least_seen ? d : least_seen;
			most_seen = d > most_seen ? d : most_seen;
		}
		/* jitter over the whole range, or a fleet retries in step */
		assert_true(least_seen < most / 2 + most / 40);
		assert_true(most_seen > most - most / 40);
	}
}

/* While callers are refused no pause is longer than that, and it varies as much. */
static void delays_have_a_bound(void **state)
{
	static const int64_t bounds_s[] = {RETRY_MOST_WAITED_S, RETRY_MOST_BUSY_S};

	(void)state;
	for (size_t i = 0; i < LENGTH(bounds_s); i++) {
		int64_t most_seen = 0, bound = bounds_s[i] * NS_PER_S;
		struct random random = {i};

		for (unsigned failures = 1; failures < 2000; failures++) {
			int64_t d = retry_delay(failures, bounds_s[i], &random).ns;

			assert_true(d <= bound);
			if (failures >= 5)
				assert_true(d >= bound / 2);
			most_seen = d > most_seen ? d : most_seen;
		}
		assert_true(most_seen > bound - bound / 40);
	}
	for (unsigned failures = 1; failures <= 3; failures++) {
		struct random one = {failures}, other = {failures};

		assert_int_equal(retry_delay(failures, RETRY_MOST_WAITED_S, &one).ns,
			retry_delay(failures, RETRY_MOST_S, &other).ns);
	}
}

/* In ms: the pause after the n-th refusal, by what the token has left. */
static void refusals_are_tried_again_while_a_token_lives(void **state)
{
	static const struct {
		int64_t left_ms;
		int64_t pause_ms[5];
	} cases[] = {
		{0, {900000, 900000, 900000, 900000, 900000}},
		{-5000, {900000, 900000, 900000, 900000, 900000}},
		{86400000, {30000, 900000, 900000, 900000, 900000}},
		{540000, {30000, 270000, 270000, 270000, 270000}},
		{60000, {30000, 30000, 30000, 30000, 30000}},
		{58000, {29000, 29000, 900000, 900000, 900000}},
		{12000, {6000, 6000, 900000, 900000, 900000}},
		{1000, {1000, 1000, 900000, 900000, 900000}},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++)
		for (unsigned n = 1; n <= 5; n++)
			assert_int_equal(retry_refused(n, duration_ms(cases[i].left_ms)).ns,
				cases[i].pause_ms[n - 1] * NS_PER_MS);
}

/* What a server in trouble feels of one broker: at most one request a second in the first minute,
 * two a minute after it. */
static void retries_are_gentle(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 500; seed++) {
		struct random random = {seed};
		struct boot_time now = at_s(0), sent[200];
		unsigned in_first_minute = 0;

		for (unsigned n = 0; n < LENGTH(sent); n++) {
			sent[n] = now;
			in_first_minute += now.ns < 60 * NS_PER_S;
			if (n >= 2 && sent[n - 2].ns >= 60 * NS_PER_S)
				assert_true(boot_since(sent[n], sent[n - 2]).ns >= 60 * NS_PER_S);
			if (n)
				assert_true(boot_since(sent[n], sent[n - 1]).ns >= NS_PER_S / 2);
			now = boot_add(now, retry_delay(n + 1, RETRY_MOST_S, &random));
		}
		assert_in_range(in_first_minute, 5, 9);
	}
}

static void retry_after_is_obeyed_within_reason(void **state)
{
	static const struct {
		int64_t asked_ns, obeyed_ns;
	} cases[] = {
		{0, NS_PER_S},
		{-1, NS_PER_S},
		{INT64_MIN, NS_PER_S},
		{NS_PER_S, 2 * NS_PER_S},
		{120 * NS_PER_S, 121 * NS_PER_S},
		{3599 * NS_PER_S, 3600 * NS_PER_S},
		{3600 * NS_PER_S, 3600 * NS_PER_S},
		{86400 * NS_PER_S, 3600 * NS_PER_S},
		{INT64_MAX, 3600 * NS_PER_S},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++)
		assert_int_equal(retry_obey(duration_ns(cases[i].asked_ns)).ns, cases[i].obeyed_ns);
}

static void window_opens_as_the_oldest_leaves(void **state)
{
	static struct mint_window w;

	(void)state;
	w = (struct mint_window){.count = 0};
	assert_int_equal(mint_window_next(&w, 1, at_s(5)).ns, at_s(5).ns);
	mint_window_add(&w, at_s(10));
	assert_int_equal(mint_window_next(&w, 1, at_s(10)).ns, at_s(310).ns);
	assert_int_equal(mint_window_next(&w, 1, at_s(309)).ns, at_s(310).ns);
	assert_int_equal(mint_window_next(&w, 1, at_s(310)).ns, at_s(310).ns);
	assert_int_equal(mint_window_next(&w, 1, at_s(400)).ns, at_s(400).ns);
	assert_int_equal(mint_window_next(&w, 2, at_s(10)).ns, at_s(10).ns);
	mint_window_add(&w, at_s(20));
	mint_window_add(&w, at_s(30));
	assert_int_equal(mint_window_next(&w, 3, at_s(30)).ns, at_s(310).ns);
	assert_int_equal(mint_window_next(&w, 2, at_s(30)).ns, at_s(320).ns);
	/* a reload lowered the limit: the latest alone fills it */
	assert_int_equal(mint_window_next(&w, 1, at_s(30)).ns, at_s(330).ns);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(mint_window_at(&w, i).ns, at_s(30 - 10 * (int64_t)i).ns);
}

static void what_minted_nothing_is_taken_back(void **state)
{
	static struct mint_window w;

	(void)state;
	w = (struct mint_window){.count = 0};
	mint_window_take_back(&w, at_s(10));
	assert_int_equal(w.count, 0);
	mint_window_add(&w, at_s(10));
	mint_window_add(&w, at_s(20));
	mint_window_add(&w, at_s(20)); /* of another profile, at the same instant */
	mint_window_add(&w, at_s(30));
	mint_window_take_back(&w, at_s(15));
	assert_int_equal(w.count, 4);
	mint_window_take_back(&w, at_s(20));
	assert_int_equal(w.count, 3);
	assert_int_equal(mint_window_at(&w, 0).ns, at_s(30).ns);
	assert_int_equal(mint_window_at(&w, 1).ns, at_s(20).ns);
	assert_int_equal(mint_window_at(&w, 2).ns, at_s(10).ns);
	mint_window_take_back(&w, at_s(30));
	mint_window_take_back(&w, at_s(10));
	mint_window_take_back(&w, at_s(20));
	assert_int_equal(w.count, 0);
	/* across the end of the ring */
	for (int64_t s = 0; s < MINT_LIMIT_MAX + 5; s++)
		mint_window_add(&w, at_s(s));
	mint_window_take_back(&w, at_s(MINT_LIMIT_MAX - 2));
	assert_int_equal(w.count, MINT_LIMIT_MAX - 1);
	for (unsigned i = 0; i < w.count; i++)
		assert_int_equal(mint_window_at(&w, i).ns,
			at_s(MINT_LIMIT_MAX + 4 - (int64_t)i - (i >= 6)).ns);
	mint_window_add(&w, at_s(5000));
	assert_int_equal(mint_window_at(&w, 0).ns, at_s(5000).ns);
	assert_int_equal(mint_window_at(&w, 1).ns, at_s(MINT_LIMIT_MAX + 4).ns);
	assert_int_equal(mint_window_at(&w, w.count - 1).ns, at_s(5).ns);
}

static void reject(struct mint_window *w, int64_t s, unsigned source)
{
	mint_window_add(w, at_s(s));
	mint_window_mark_rejection(w, at_s(s), source);
}

/* Half of it, or what passes the cool-down anyway; the last place is not for them, but where it is
 * the only one. */
static void rejections_have_a_share_of_the_window(void **state)
{
	static const struct {
		unsigned limit, cooldown_s, share;
	} cases[] = {
		{1, 30, 1},
		{2, 30, 1},
		{3, 30, 2},
		{11, 30, 10},
		{15, 30, 10},
		{15, 37, 8},
		{15, 300, 8},
		{15, 3600, 8},
		{15, 20, 14},
		{15, 0, 14},
		{16, 3600, 8},
		{200, 30, 100},
		{MINT_LIMIT_AUTO, 30, 10},
	};
	static struct mint_window w;

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		unsigned limit = cases[i].limit, share = cases[i].share;
		struct duration cooldown = duration_s(cases[i].cooldown_s);

		w = (struct mint_window){.count = 0};
		assert_int_equal(mint_window_rejections(&w, limit, cooldown), share);
		for (unsigned n = 0; n < share; n++) {
			assert_int_equal(
				mint_window_next_rejection(&w, limit, cooldown, 1, at_s(n)).ns,
				at_s(n).ns);
			reject(&w, n, 1);
		}
		assert_int_equal(mint_window_next_rejection(&w, limit, cooldown, 1, at_s(share)).ns,
			at_s(300).ns);
		assert_int_equal(mint_window_next_rejection(&w, limit, cooldown, 1, at_s(300)).ns,
			at_s(300).ns);
		/* what others do takes nothing of it, and has the rest */
		if (limit > 1)
			assert_int_equal(
				mint_window_next(&w, limit, at_s(share)).ns, at_s(share).ns);
		mint_window_add(&w, at_s(share));
		assert_int_equal(mint_window_next_rejection(&w, limit, cooldown, 1, at_s(share)).ns,
			at_s(300).ns);
	}
}

/* Whose token has died, and who has used none of it. */
static void others_rejections_keep_nobody_from_one(void **state)
{
	static struct mint_window w;
	struct duration cooldown = duration_s(37);

	(void)state;
	w = (struct mint_window){.count = 0};
	for (unsigned n = 0; n < 8; n++)
		reject(&w, n, 1);
	assert_int_equal(
		mint_window_next_rejection(&w, 15, cooldown, 1, at_s(10)).ns, at_s(300).ns);
	/* each of the others once, but for the last place */
	for (unsigned source = 2; source < 8; source++) {
		assert_int_equal(mint_window_next_rejection(&w, 15, cooldown, source, at_s(10)).ns,
			at_s(10).ns);
		reject(&w, 10, source);
	}
	assert_int_equal(
		mint_window_next_rejection(&w, 15, cooldown, 8, at_s(10)).ns, at_s(300).ns);
	assert_int_equal(mint_window_next(&w, 15, at_s(10)).ns, at_s(10).ns);
	/* and the next time when its own has left, or enough of the others' */
	assert_int_equal(
		mint_window_next_rejection(&w, 15, cooldown, 2, at_s(11)).ns, at_s(306).ns);
	w = (struct mint_window){.count = 0};
	reject(&w, 0, 2);
	for (unsigned n = 1; n < 10; n++)
		reject(&w, n, 1);
	assert_int_equal(
		mint_window_next_rejection(&w, 15, cooldown, 2, at_s(11)).ns, at_s(300).ns);
	assert_int_equal(
		mint_window_next_rejection(&w, 15, cooldown, 1, at_s(11)).ns, at_s(302).ns);
}

/* Only what brought a token is one that a rejection has used, and what is taken back at the same
 * instant is another. */
static void marks_go_with_their_places(void **state)
{
	static struct mint_window w;

	(void)state;
	w = (struct mint_window){.count = 0};
	mint_window_mark_rejection(&w, at_s(1), 1);
	mint_window_add(&w, at_s(1));
	mint_window_add(&w, at_s(2));
	mint_window_add(&w, at_s(2));
	mint_window_add(&w, at_s(3));
	assert_int_equal(
		mint_window_next_rejection(&w, 1, DURATION_ZERO, 1, at_s(4)).ns, at_s(4).ns);
	mint_window_mark_rejection(&w, at_s(2), 1);
	mint_window_take_back(&w, at_s(2));
	mint_window_take_back(&w, at_s(2));
	assert_int_equal(w.count, 3);
	assert_int_equal(
		mint_window_next_rejection(&w, 1, DURATION_ZERO, 1, at_s(4)).ns, at_s(302).ns);
	mint_window_take_back(&w, at_s(1));
	assert_int_equal(w.count, 2);
	assert_int_equal(
		mint_window_next_rejection(&w, 1, DURATION_ZERO, 1, at_s(4)).ns, at_s(302).ns);
	/* a place that is used again has nothing of what was in it */
	w = (struct mint_window){.count = 0};
	for (unsigned n = 0; n < MINT_LIMIT_MAX; n++)
		reject(&w, n / 10, 1);
	for (unsigned n = 0; n < MINT_LIMIT_MAX; n++)
		mint_window_add(&w, at_s(100));
	assert_int_equal(
		mint_window_next_rejection(&w, 15, DURATION_ZERO, 1, at_s(100)).ns, at_s(100).ns);
}

/* At a start each needs a token, and later each what the lifetime needs. */
static void limit_goes_by_the_sources_too(void **state)
{
	static const struct {
		unsigned sources;
		int64_t pace_s;
		unsigned limit, needs;
	} cases[] = {
		{0, 40, 15, 8},
		{1, 0, 15, 0},
		{7, 0, 15, 0},
		{8, 0, 16, 0},
		{20, 0, 40, 0},
		{20, 2800, 40, 3},
		{20, 300, 40, 20},
		{20, 299, 60, 21},
		{3, 100, 18, 9},
		{60, 0, 100, 0},
		{4, 10, 100, 120},
	};
	static struct mint_window w;

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		w = (struct mint_window){.pace = duration_s(cases[i].pace_s)};
		for (unsigned n = 0; n < cases[i].sources; n++)
			assert_int_equal(mint_window_join(&w), n + 1);
		assert_int_equal(mint_window_limit(&w, MINT_LIMIT_AUTO), cases[i].limit);
		assert_int_equal(mint_window_limit(&w, 7), 7);
		assert_int_equal(mint_window_needs(&w), cases[i].needs);
		for (unsigned n = 0; n < cases[i].sources; n++)
			mint_window_leave(&w);
		/* whoever comes later is somebody else */
		assert_int_equal(mint_window_join(&w), cases[i].sources + 1);
		assert_int_equal(w.sources, 1);
	}
}

static void limit_goes_by_the_lifetime(void **state)
{
	static const struct {
		int64_t pace_ms;
		unsigned limit;
	} cases[] = {{0, 15}, {-1, 15}, {86400000, 15}, {40000, 15}, {39999, 16}, {30000, 20},
		{10000, 60}, {6000, 100}, {5000, 100}, {1, 100}};
	static struct mint_window w;

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		w = (struct mint_window){.pace = duration_ms(cases[i].pace_ms)};
		assert_int_equal(mint_window_limit(&w, MINT_LIMIT_AUTO), cases[i].limit);
		assert_int_equal(mint_window_limit(&w, 7), 7);
		for (unsigned n = 0; n < cases[i].limit; n++) {
			assert_int_equal(
				mint_window_next(&w, MINT_LIMIT_AUTO, at_s(n)).ns, at_s(n).ns);
			mint_window_add(&w, at_s(n));
		}
		assert_int_equal(mint_window_next(&w, MINT_LIMIT_AUTO, at_s(200)).ns, at_s(300).ns);
	}
}

/* Requests of 10 s that nobody answers, each 5 s after the one before: the pauses grow in time, so
 * that none is as long as until the window opens. */
static void unanswered_requests_are_spread(void **state)
{
	static struct mint_window w;
	struct boot_time sent = at_s(1000), before = sent;
	int64_t longest = 0;

	(void)state;
	w = (struct mint_window){.count = 0};
	for (unsigned n = 0; n < 100; n++) {
		mint_window_add(&w, sent);
		if (n < 7)
			assert_int_equal(mint_window_spread(&w, 15, sent).ns, sent.ns);
		before = sent;
		sent = boot_max(boot_add(sent, duration_s(15)), mint_window_spread(&w, 15, sent));
		sent = mint_window_next(&w, 15, sent);
		if (boot_since(sent, before).ns > longest)
			longest = boot_since(sent, before).ns;
	}
	assert_in_range(longest, 20 * NS_PER_S, 60 * NS_PER_S);
	/* those of long ago do not count */
	assert_int_equal(mint_window_spread(&w, 15, at_s(9000)).ns, at_s(9000).ns);
}

static void ring_keeps_the_latest(void **state)
{
	static struct mint_window w;

	(void)state;
	w = (struct mint_window){.count = 0};
	for (int64_t s = 0; s < 2 * MINT_LIMIT_MAX + 7; s++) {
		mint_window_add(&w, at_s(s));
		assert_int_equal(mint_window_at(&w, 0).ns, at_s(s).ns);
		assert_in_range(w.count, 1, MINT_LIMIT_MAX);
		assert_int_equal(
			mint_window_at(&w, w.count - 1).ns, at_s(s + 1 - (int64_t)w.count).ns);
	}
	assert_int_equal(w.count, MINT_LIMIT_MAX);
}

/* Whoever asks first and posts no earlier than it is told can never have more than the limit in any
 * window, whatever the limit and the pace; and is never kept waiting without need. */
static void limit_holds_for_every_window(void **state)
{
	static const unsigned limits[] = {1, 2, 15, 60, 999, 1000};
	static struct boot_time posts[6000];

	(void)state;
	for (size_t l = 0; l < LENGTH(limits); l++) {
		static struct mint_window w;
		struct random random = {l};
		struct boot_time now = at_s(1);

		w = (struct mint_window){.count = 0};
		for (unsigned n = 0; n < LENGTH(posts); n++) {
			struct boot_time next;

			now = boot_add(now,
				random_duration(&random, duration_ms(600000 / (int64_t)limits[l])));
			next = mint_window_next(&w, limits[l], now);
			assert_true(next.ns >= now.ns);
			if (n < limits[l] ||
				boot_since(now, posts[n - limits[l]]).ns >= 300 * NS_PER_S)
				assert_int_equal(next.ns, now.ns);
			now = posts[n] = next;
			mint_window_add(&w, now);
			if (n >= limits[l])
				assert_true(boot_since(posts[n], posts[n - limits[l]]).ns >=
					    300 * NS_PER_S);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(delays_double_to_a_minute),
		cmocka_unit_test(delays_have_a_bound),
		cmocka_unit_test(refusals_are_tried_again_while_a_token_lives),
		cmocka_unit_test(retries_are_gentle),
		cmocka_unit_test(retry_after_is_obeyed_within_reason),
		cmocka_unit_test(window_opens_as_the_oldest_leaves),
		cmocka_unit_test(what_minted_nothing_is_taken_back),
		cmocka_unit_test(rejections_have_a_share_of_the_window),
		cmocka_unit_test(others_rejections_keep_nobody_from_one),
		cmocka_unit_test(marks_go_with_their_places),
		cmocka_unit_test(limit_goes_by_the_sources_too),
		cmocka_unit_test(limit_goes_by_the_lifetime),
		cmocka_unit_test(unanswered_requests_are_spread),
		cmocka_unit_test(ring_keeps_the_latest),
		cmocka_unit_test(limit_holds_for_every_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
