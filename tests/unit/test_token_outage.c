/* Nothing is to be had from the login server: when it is asked again, what callers are told of
 * that, and what they get meanwhile. */
#include "source_fixture.h"

#include "core/token_login.h"

#define LENGTH(a) (sizeof(a) / sizeof(*(a)))

static struct duration until_next(const struct rig *r)
{
	return boot_since(token_source_fetch_at(&r->s, &r->now), r->now.boot);
}

/* A response as the rig's own are not, a round trip later. */
static void answer(struct rig *r, struct token_response response)
{
	rig_pass(r, r->rtt);
	assert_false(rig_fetched(r, &response));
	assert_false(rig_decide(r));
}

static void fail_times(struct rig *r, unsigned times)
{
	while (times--) {
		if (!token_source_fetching(&r->s))
			assert_true(rig_wake(r));
		rig_answer_failure(r, RESPONSE_UNAVAILABLE, -1);
		assert_false(rig_decide(r));
	}
}

/* The next attempt as status, log, timer and callers have it; in seconds, rounded up. */
static int64_t told_everywhere(struct rig *r, bool by_caller)
{
	struct token_ask ask = rig_get(r, 0);
	struct source_view view;
	char words[40];
	int64_t s = duration_ceil_s(until_next(r));

	token_source_view(&r->s, &r->now, &view);
	assert_int_equal(view.next_attempt.ns, r->now.boot.ns + until_next(r).ns);
	assert_int_equal(r->d.wake_at.ns, view.next_attempt.ns);
	snprintf(words, sizeof(words), "; next attempt in %lld s", (long long)s);
	assert_non_null(strstr(rig_told_last(r), words));
	if (by_caller) {
		assert_int_equal(rig_ask(r, &ask), OUTCOME_UNAVAILABLE);
		assert_int_equal(r->o.retry_after_s, s);
		token_source_view(&r->s, &r->now, &view);
		assert_int_equal(duration_ceil_s(boot_since(view.next_attempt, r->now.boot)), s);
	}
	return s;
}

/* However long it has lasted already. `status` and so on: what the server says. */
static void who_is_refused_waits_for_seconds(void **state)
{
	static const struct {
		enum response_class class;
		long status;
		int64_t retry_after_s, least_ms, most_ms;
	} cases[] = {
		{RESPONSE_UNAVAILABLE, 0, -1, 2500, 5000},
		{RESPONSE_UNAVAILABLE, 500, -1, 2500, 5000},
		{RESPONSE_UNAVAILABLE, 400, -1, 2500, 5000},
		{RESPONSE_UNAVAILABLE, 503, -1, 5000, 10000},
		{RESPONSE_THROTTLED, 400, -1, 5000, 10000},
		{RESPONSE_THROTTLED, 429, -1, 5000, 10000},
		{RESPONSE_UNAVAILABLE, 503, 40, 41000, 41000},
		{RESPONSE_UNAVAILABLE, 400, 40, 41000, 41000},
		{RESPONSE_THROTTLED, 429, 7200, 3600000, 3600000},
		{RESPONSE_UNAVAILABLE, 503, 0, 5000, 10000},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++)
		for (uint64_t seed = 1; seed <= 20; seed++) {
			struct token_response response = {
				.class = cases[i].class,
				.status = cases[i].status,
				.has_retry_after = cases[i].retry_after_s >= 0,
				.retry_after = duration_s(cases[i].retry_after_s),
				.words = "words of the server",
			};
			struct rig *r = rig_new(NULL, seed);

			rig_decide(r);
			fail_times(r, 8);
			rig_served(r);
			rig_decide(r);
			rig_wake(r);
			rig_served(r);
			answer(r, response);
			assert_in_range(
				until_next(r).ns, cases[i].least_ms * MS, cases[i].most_ms * MS);
			told_everywhere(r, true);
			rig_free(r);
		}
}

/* Nobody asked, and so the pause was long. The first who does cuts it short, to nothing if it has
 * lasted for long enough. */
static void whoever_asks_cuts_a_long_pause_short(void **state)
{
	static const int64_t later_s[] = {0, 1, 6, 25};

	(void)state;
	for (size_t i = 0; i < LENGTH(later_s); i++) {
		struct rig *r = rig_new(NULL, 1);
		struct token_ask patient;
		int64_t failed_at;

		rig_decide(r);
		fail_times(r, 9);
		failed_at = r->now.boot.ns;
		assert_true(told_everywhere(r, false) >= 30);
		rig_pass(r, later_s[i] * S);
		patient = rig_get(r, 6);
		assert_int_equal(rig_ask(r, &patient), OUTCOME_HOLD);
		assert_true(token_source_needs_turn(&r->s));
		if (later_s[i] > 5) {
			assert_true(rig_decide(r));
		} else {
			assert_false(rig_decide(r));
			assert_true(r->d.wake_at.ns <= failed_at + 5 * S);
			assert_true(r->d.wake_at.ns >= failed_at + 2500 * MS);
			assert_true(rig_wake(r));
		}
		rig_answer_token(r, "one", 3600);
		assert_int_equal(rig_ask(r, &patient), OUTCOME_TOKEN);
		rig_free(r);
	}
}

/* Who asks for what the token cannot give is refused as well. */
static void a_long_life_is_waited_for_as_well(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token_ask ask;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	rig_pass(r, 2000 * S);
	for (int n = 0; n < 8; n++) {
		ask = rig_get(r, 0);
		ask.min_ttl = duration_s(1800);
		rig_ask(r, &ask);
		if (!rig_decide(r))
			assert_true(rig_wake(r));
		rig_answer_failure(r, RESPONSE_UNAVAILABLE, -1);
		rig_decide(r);
		assert_string_equal(rig_served(r), "one");
	}
	ask = rig_get(r, 0);
	ask.min_ttl = duration_s(1800);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_UNAVAILABLE);
	assert_in_range(r->o.retry_after_s, 3, 5);
	rig_free(r);
}

/* While the token lives, one attempt at least falls into each half of what it has left. */
static void a_token_does_not_end_in_a_pause(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 50; seed++) {
		struct rig *r = rig_new(NULL, seed);
		int64_t left;

		rig_fetch_token(r, "one", 3600);
		assert_true(rig_wake(r));
		for (;;) {
			rig_answer_failure(r, RESPONSE_UNAVAILABLE, -1);
			assert_false(rig_decide(r));
			left = lifetime_dead(&r->s.current.life).ns - r->now.boot.ns;
			if (left < 10 * S)
				break;
			assert_true(until_next(r).ns <= left / 2);
			assert_true(until_next(r).ns <= 60 * S);
			while (!rig_wake(r))
				;
		}
		rig_free(r);
	}
}

static void in_an_outage_even_the_margin_is_served(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token_ask ask;
	int64_t dead;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	dead = lifetime_dead(&r->s.current.life).ns;
	while (r->now.boot.ns < dead) {
		if (token_source_fetching(&r->s))
			rig_answer_failure(r, RESPONSE_UNAVAILABLE, -1);
		else
			rig_wake(r);
	}
	rig_decide(r);
	for (int64_t ms = r->now.boot.ns / MS; ms <= dead / MS + 4000; ms += 100) {
		if (token_source_fetching(&r->s))
			rig_answer_failure(r, RESPONSE_UNAVAILABLE, -1);
		if (r->now.boot.ns < ms * MS)
			rig_pass(r, ms * MS - r->now.boot.ns);
		if (r->now.boot.ns > dead + 4 * S)
			break;
		/* at once, however long they would wait */
		ask = rig_get(r, 300);
		assert_int_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
		assert_string_equal(r->o.slot->token.text, "one");
		assert_true(r->o.stale);
		assert_int_equal(r->o.expires_in.ns, dead + 5 * S - r->now.boot.ns);
		assert_int_equal(rig_state(r), SOURCE_STALE);
		/* but not to those it is no use to */
		ask = rig_get(r, 0);
		ask.min_ttl = duration_s(6);
		assert_int_not_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
		ask = rig_get(r, 0);
		ask.has_after = true;
		ask.after = 1;
		assert_int_not_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
		ask = rig_reject(r, 1, 0);
		if (ms % 1000 == 0 && r->now.boot.ns > dead + 3 * S) {
			assert_int_not_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
			break; /* and then it is nobody's */
		}
		rig_decide(r);
	}
	assert_null(rig_served(r));
	rig_free(r);
}

/* Without an outage nobody gets it: a fetch is not waited for in vain. */
static void without_one_the_margin_is_kept(void **state)
{
	struct rig *r = rig_without_prefetch();
	struct token_ask ask;

	(void)state;
	rig_served(r);
	rig_fetch_token(r, "one", 3600);
	rig_pass_until(r, lifetime_dead(&r->s.current.life));
	rig_decide(r);
	assert_non_null(r->s.current.token.text);
	ask = rig_get(r, 1);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
	assert_true(rig_decide(r));
	assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
	/* unless it hangs */
	rig_pass(r, S);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
	assert_true(r->o.stale);
	/* four seconds later it is gone */
	rig_pass(r, 3 * S + 1);
	assert_null(rig_served(r));
	rig_decide(r);
	assert_null(r->s.current.token.text);
	assert_int_equal(rig_told(r, EVENT_EXPIRED), 1);
	rig_free(r);
}

/* In seconds: the pauses after each refusal, from the refresh of a token on. */
static void a_refusal_is_tried_again_before_the_token_ends(void **state)
{
	static const struct {
		const char *what;
		struct token_response response;
	} cases[] = {
		{"refused", {.class = RESPONSE_CLIENT_REJECTED, .status = 401, .words = "no"}},
		{"invalid_grant without a login",
			{.class = RESPONSE_LOGIN_REQUIRED, .status = 400, .words = "no"}},
		{"a form that is no use", {.class = RESPONSE_UNAVAILABLE,
						  .status = 200,
						  .minted = true,
						  .unfit = true,
						  .words = "expires_in is not a number"}},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct rig *r = rig_new(NULL, 1);
		int64_t left;

		rig_fetch_token(r, "one", 3600);
		assert_true(rig_wake(r));
		answer(r, cases[i].response);
		assert_int_equal(until_next(r).ns, 30 * S);
		told_everywhere(r, false);
		assert_string_equal(rig_served(r), "one");
		assert_true(rig_wake(r));
		answer(r, cases[i].response);
		left = lifetime_dead(&r->s.current.life).ns - r->now.boot.ns;
		assert_int_equal(until_next(r).ns, left / 2);
		told_everywhere(r, false);
		/* callers do not make it come sooner, nor when the token has ended */
		while (r->s.current.token.text) {
			if (token_source_fetching(&r->s))
				answer(r, cases[i].response);
			rig_served(r);
			rig_decide(r);
			if (!token_source_fetching(&r->s))
				rig_wake(r);
		}
		while (!token_source_fetching(&r->s))
			rig_wake(r);
		answer(r, cases[i].response);
		assert_int_equal(until_next(r).ns, 900 * S);
		rig_served(r);
		assert_int_equal(until_next(r).ns, 900 * S);
		assert_int_equal(r->o.retry_after_s, 900);
		/* the next refusal after a token is the first one again */
		assert_true(rig_wake(r));
		assert_true(rig_answer_token(r, "two", 3600));
		rig_decide(r);
		assert_true(rig_wake(r));
		answer(r, cases[i].response);
		assert_int_equal(until_next(r).ns, 30 * S);
		rig_free(r);
	}
}

/* What is counted are requests that may have made a token. */
static void refusals_do_not_use_up_the_limit(void **state)
{
	static const struct {
		struct token_response response;
		unsigned counted;
	} cases[] = {
		{{.class = RESPONSE_UNAVAILABLE, .status = 500}, 0},
		{{.class = RESPONSE_THROTTLED, .status = 429}, 0},
		{{.class = RESPONSE_CLIENT_REJECTED, .status = 401}, 0},
		{{.class = RESPONSE_UNAVAILABLE}, 0},
		{{.class = RESPONSE_UNAVAILABLE, .minted = true}, 1},
		{{.class = RESPONSE_UNAVAILABLE, .status = 200, .minted = true, .unfit = true}, 1},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct rig *r = rig_new(NULL, 1);
		struct token_response late = cases[i].response;

		assert_true(rig_decide(r));
		assert_int_equal(r->mint.count, 1); /* it is on the disk before it leaves */
		answer(r, cases[i].response);
		assert_int_equal(r->mint.count, cases[i].counted);
		/* also where nobody wants it any more */
		while (!rig_wake(r))
			;
		assert_int_equal(r->mint.count, cases[i].counted + 1);
		rig_revoke(r);
		rig_fetched(r, &late);
		assert_int_equal(r->mint.count, 2 * cases[i].counted);
		rig_free(r);
	}
}

/* Hours of refusals, and then the limit leaves room for as many tokens as ever. */
static void after_an_outage_there_is_room(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	char text[32];

	(void)state;
	rig_decide(r);
	for (int i = 0; i < 500; i++) {
		rig_answer_failure(r, RESPONSE_UNAVAILABLE, -1);
		rig_decide(r);
		rig_served(r);
		rig_decide(r);
		assert_true(until_next(r).ns <= 5 * S);
		assert_true(rig_wake(r));
	}
	assert_int_equal(rig_told(r, EVENT_MINT_LIMIT), 0);
	for (int i = 0; i < 15; i++) {
		struct token_ask ask = rig_refresh(r, 5);

		snprintf(text, sizeof(text), "token-%d", i);
		assert_true(rig_answer_token(r, text, 3600));
		rig_decide(r);
		rig_pass(r, S);
		rig_ask(r, &ask);
		assert_int_equal(rig_decide(r), i < 14);
	}
	rig_free(r);
}

/* Tokens that are dead when they come are made all the same: the attempts share the window too. */
static void dead_tokens_leave_room(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct boot_time latest = r->now.boot;

	(void)state;
	r->rtt = 9500 * MS;
	rig_decide(r);
	for (int i = 0; i < 40; i++) {
		assert_false(rig_answer_token(r, "late", 10));
		rig_decide(r);
		rig_served(r);
		rig_decide(r);
		assert_true(rig_wake(r));
		assert_true(boot_since(r->now.boot, latest).ns <= 70 * S);
		latest = r->now.boot;
	}
	rig_free(r);
}

/* A login server that gives the same token to everybody until it ends, and says how long that will
 * be. `early_s`: so long before its end it makes the next one. */
static void same_token_until_its_end(void **state)
{
	static const int64_t early_s[] = {0, 1, 5, 60};
	static const int64_t lives_s[] = {60, 300, 3600, 86400};

	(void)state;
	for (size_t e = 0; e < LENGTH(early_s); e++)
		for (size_t l = 0; l < LENGTH(lives_s); l++) {
			int64_t life = lives_s[l] * S, early = early_s[e] * S, made, back;
			struct rig *r = rig_new(NULL, e + l + 1);
			unsigned fetches;
			bool served = true;

			if (early >= life)
				early = life / 2;
			rig_decide(r);
			made = r->now.boot.ns + r->rtt / 2;
			rig_answer_token(r, "one", lives_s[l]);
			while (r->s.current.generation != 2) {
				if (token_source_fetching(&r->s)) {
					int64_t at = r->now.boot.ns + r->rtt / 2;
					int64_t left_s = (made + life - at) / S;

					if (at >= made + life - early) {
						assert_true(rig_answer_token(r, "two", lives_s[l]));
						break;
					}
					if (left_s >= RESPONSE_EXPIRES_IN_MIN_S) {
						rig_answer_token(r, "one", left_s);
					} else {
						struct token_response brief = {
							.class = RESPONSE_UNAVAILABLE,
							.status = 200,
							.minted = true,
							.unfit = true,
						};
						struct token one = TOKEN_NONE;

						assert_int_equal(token_init(&one, "one", 3), 0);
						memcpy(brief.unfit_fingerprint, one.fingerprint,
							sizeof(brief.unfit_fingerprint));
						token_fini(&one);
						rig_pass(r, r->rtt);
						rig_fetched(r, &brief);
					}
					assert_int_equal(r->fetched, FETCHED_SAME);
				}
				rig_decide(r);
				if (token_source_fetching(&r->s))
					continue;
				/* no failure, and nothing is used up */
				assert_int_equal(r->s.failures, 0);
				assert_int_equal(rig_told(r, EVENT_FETCH_FAILED), 0);
				assert_true(r->mint.count <= 1);
				served = rig_served(r) != NULL;
				assert_true(served || r->now.boot.ns > made + life - 3500 * MS);
				rig_decide(r);
				if (!token_source_fetching(&r->s))
					rig_wake(r);
			}
			back = r->now.boot.ns;
			assert_true(back <= made + life + 2 * S);
			assert_int_equal(r->mint.count <= 2, 1);
			/* halving, and then the last few */
			fetches = r->fetches;
			assert_in_range(fetches, 2, 24);
			rig_free(r);
		}
}

/* The same token for ever, long after its end, is no token. */
static void same_token_after_its_end_is_a_failure(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token_response brief = {
		.class = RESPONSE_UNAVAILABLE, .status = 200, .minted = true, .unfit = true};
	int64_t over;

	(void)state;
	rig_fetch_token(r, "one", 60);
	over = lifetime_over(&r->s.current.life).ns;
	memcpy(brief.unfit_fingerprint, r->s.current.token.fingerprint,
		sizeof(brief.unfit_fingerprint));
	while (!r->s.failures) {
		if (token_source_fetching(&r->s)) {
			struct token_response again = brief;

			rig_pass(r, r->rtt);
			rig_fetched(r, &again);
			rig_decide(r);
		} else {
			rig_wake(r);
		}
		assert_true(r->now.boot.ns < over + 10 * S);
	}
	assert_true(r->now.boot.ns >= over + 5 * S);
	assert_string_equal(
		r->s.last_failure.words, "the login server returned a token again that has ended");
	assert_int_equal(rig_state(r), SOURCE_UNAVAILABLE);
	rig_free(r);
}

/* Tokens that live for seconds are refreshed as often as they need, and nobody has to set a key. */
static void short_tokens_fit_into_the_limit(void **state)
{
	static const int64_t lives_s[] = {10, 12, 15, 20, 30, 40, 60};
	struct token_source_settings settings = usual_settings();

	(void)state;
	settings.mint_limit = MINT_LIMIT_AUTO;
	for (size_t i = 0; i < LENGTH(lives_s); i++) {
		struct rig *r = rig_new(&settings, i + 1);
		int64_t until = r->now.boot.ns + 1000 * S;
		char text[32];

		rig_decide(r);
		while (r->now.boot.ns < until) {
			if (token_source_fetching(&r->s)) {
				snprintf(text, sizeof(text), "token-%u", r->fetches);
				assert_true(rig_answer_token(r, text, lives_s[i]));
			}
			rig_decide(r);
			assert_non_null(rig_served(r));
			if (!token_source_fetching(&r->s))
				rig_wake(r);
		}
		assert_int_equal(rig_told(r, EVENT_MINT_LIMIT), 0);
		if (lives_s[i] >= 60)
			assert_int_equal(mint_window_limit(&r->mint, MINT_LIMIT_AUTO),
				MINT_LIMIT_AUTO_LEAST);
		else
			assert_true(mint_window_limit(&r->mint, MINT_LIMIT_AUTO) >
				    MINT_LIMIT_AUTO_LEAST);
		rig_free(r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_is_refused_waits_for_seconds),
		cmocka_unit_test(whoever_asks_cuts_a_long_pause_short),
		cmocka_unit_test(a_long_life_is_waited_for_as_well),
		cmocka_unit_test(a_token_does_not_end_in_a_pause),
		cmocka_unit_test(in_an_outage_even_the_margin_is_served),
		cmocka_unit_test(without_one_the_margin_is_kept),
		cmocka_unit_test(a_refusal_is_tried_again_before_the_token_ends),
		cmocka_unit_test(refusals_do_not_use_up_the_limit),
		cmocka_unit_test(after_an_outage_there_is_room),
		cmocka_unit_test(dead_tokens_leave_room),
		cmocka_unit_test(same_token_until_its_end),
		cmocka_unit_test(same_token_after_its_end_is_a_failure),
		cmocka_unit_test(short_tokens_fit_into_the_limit),
	};

	return cmocka_run_group_tests_name("token_outage", tests, NULL, NULL);
}
