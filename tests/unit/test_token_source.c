/* States and transitions of the token source: when it fetches, hands over, and stops. What answers
 * do is in test_token_source_responses.c, clocks in test_token_source_clocks.c, what callers get in
 * test_token_ask.c and test_token_reject.c. */
#include "source_fixture.h"

#include "core/token_login.h"
#include "core/token_past.h"

#define LENGTH(a) (sizeof(a) / sizeof(*(a)))

static void prefetch_fetches_at_once(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct source_view v;

	(void)state;
	assert_true(token_source_needs_turn(&r->s));
	assert_int_equal(rig_state(r), SOURCE_WAITING);
	assert_true(rig_decide(r));
	assert_int_equal(r->d.wake_at.ns, BOOT_TIME_NEVER.ns); /* the fetch will end */
	assert_false(rig_decide(r));                           /* one at a time */
	assert_int_equal(rig_state(r), SOURCE_WAITING);
	assert_true(rig_answer_token(r, "one", 3600));
	assert_true(token_source_needs_turn(&r->s));
	assert_int_equal(rig_state(r), SOURCE_FRESH);
	assert_false(rig_decide(r));
	assert_true(r->d.changed);
	assert_false(rig_decide(r));
	assert_false(r->d.changed); /* told once */
	assert_string_equal(rig_served(r), "one");
	assert_int_equal(r->o.slot->generation, 1);
	assert_int_equal(rig_told(r, EVENT_TOKEN), 1);
	token_source_view(&r->s, &r->now, &v);
	assert_ptr_equal(v.slot, &r->s.current);
	assert_int_equal(v.expires_in.ns, r->o.expires_in.ns);
	assert_int_equal(v.refresh_in.ns, r->s.refresh_at.ns - r->now.boot.ns);
	assert_int_equal(v.next_attempt.ns, r->s.refresh_at.ns);
	assert_int_equal(r->s.counters.fetches[RESPONSE_TOKEN], 1);
	rig_free(r);
}

static void without_prefetch_nothing_is_fetched_unasked(void **state)
{
	struct token_ask ask;
	struct rig *r = rig_without_prefetch();

	(void)state;
	assert_false(rig_decide(r));
	assert_int_equal(r->d.wake_at.ns, BOOT_TIME_NEVER.ns);
	ask = rig_get(r, 5);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
	assert_true(rig_decide(r));
	rig_answer_token(r, "one", 3600);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
	/* nobody asks any more: it runs out, and that is that */
	while (r->d.wake_at.ns != BOOT_TIME_NEVER.ns || token_source_needs_turn(&r->s))
		if (token_source_needs_turn(&r->s))
			assert_false(rig_decide(r));
		else
			assert_false(rig_wake(r));
	assert_int_equal(rig_state(r), SOURCE_WAITING);
	assert_int_equal(r->fetches, 1);
	/* who asks when a refresh is due gets the token, and starts it */
	ask = rig_get(r, 5);
	rig_ask(r, &ask);
	assert_true(rig_decide(r));
	rig_answer_token(r, "two", 3600);
	rig_decide(r);
	rig_pass(r, 3400 * S);
	assert_string_equal(rig_served(r), "two");
	assert_true(rig_decide(r));
	rig_free(r);
}

static void refreshes_ahead_and_hands_over(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 50; seed++) {
		struct rig *r = rig_new(NULL, seed);
		int64_t dead, left;

		rig_fetch_token(r, "one", 3600);
		dead = lifetime_dead(&r->s.current.life).ns;
		assert_true(rig_wake(r));
		left = dead - r->now.boot.ns;
		assert_true(left >= 540 * S && left <= 675 * S);
		assert_string_equal(rig_served(r), "one"); /* while the fetch runs */
		assert_false(r->o.stale);
		rig_answer_token(r, "two", 3600);
		assert_false(rig_decide(r));
		/* two seconds of caution towards replicas that do not know it yet */
		assert_string_equal(rig_served(r), "one");
		assert_int_equal(rig_state(r), SOURCE_FRESH);
		assert_int_equal(r->d.wake_at.ns, r->now.boot.ns + 2 * S);
		assert_false(rig_wake(r));
		assert_true(r->d.changed);
		assert_string_equal(rig_served(r), "two");
		assert_int_equal(r->o.slot->generation, 2);
		assert_null(r->s.previous.token.text); /* only a secret in memory by now */
		rig_free(r);
	}
}

static void guard_ends_with_the_old_token(void **state)
{
	struct rig *r = rig_new(NULL, 1);

	(void)state;
	rig_fetch_token(r, "one", 3600);
	assert_true(rig_wake(r));
	rig_pass_until(r, boot_sub(lifetime_dead(&r->s.current.life), duration_ms(2040)));
	rig_answer_token(r, "two", 3600);
	assert_false(rig_decide(r));
	assert_string_equal(rig_served(r), "one");
	assert_false(rig_wake(r)); /* the old one has less than a second */
	assert_true(r->now.boot.ns < r->s.current.life.guard_until.ns);
	assert_true(r->d.changed);
	assert_string_equal(rig_served(r), "two");
	rig_free(r);
}

static void guard_cut_short_by_an_exchange_tells_who_waits(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token_ask ask;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	assert_true(rig_wake(r));
	rig_pass_until(r, boot_sub(lifetime_dead(&r->s.current.life), duration_ms(2500)));
	rig_answer_token(r, "two", 3600);
	rig_decide(r);
	ask = rig_get(r, 60);
	ask.has_after = true;
	ask.after = 1;
	assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
	r->spread = duration_ms(1700); /* as far apart two servers' clocks turn out to be */
	rig_head(r);
	assert_false(rig_decide(r));
	assert_true(r->now.boot.ns < r->s.current.life.guard_until.ns);
	assert_true(r->d.changed);
	assert_null(r->s.previous.token.text);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
	assert_int_equal(r->o.slot->generation, 2);
	rig_free(r);
}

static void guard_of_a_token_that_gets_doubtful_ends_then(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token_ask ask;

	(void)state;
	r->undated = true; /* so that no exchange ends the doubt */
	rig_fetch_token(r, "one", 3600);
	r->now.wall.ns += 100 * S;
	token_source_clock_changed(&r->s);
	rig_decide(r);
	assert_true(rig_wake(r));
	rig_pass_until(r, boot_sub(lifetime_dead(&r->s.current.life), duration_s(102)));
	rig_answer_token(r, "two", 3600);
	rig_decide(r);
	ask = rig_get(r, 60);
	ask.has_after = true;
	ask.after = 1;
	assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
	rig_wake(r);
	assert_true(r->now.boot.ns < r->s.current.life.guard_until.ns);
	assert_true(r->d.changed);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
	assert_int_equal(r->o.slot->generation, 2);
	rig_free(r);
}

static void changed_request_fetches_anew(void **state)
{
	struct token_source_settings settings = usual_settings();
	struct rig *r = rig_new(NULL, 1);

	(void)state;
	rig_fetch_token(r, "one", 3600);
	token_source_configure(&r->s, &r->now, &settings, true, false);
	assert_true(rig_decide(r));
	assert_string_equal(rig_served(r), "one");
	rig_answer_token(r, "two", 3600);
	rig_decide(r);
	rig_wake(r);
	assert_string_equal(rig_served(r), "two");
	rig_free(r);
}

static void changed_margin_moves_the_refresh(void **state)
{
	struct token_source_settings settings = usual_settings();
	struct rig *r = rig_new(NULL, 1);
	struct boot_time dead;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	dead = lifetime_dead(&r->s.current.life);
	settings.policy.refresh_margin_auto = false;
	settings.policy.refresh_margin = duration_s(60);
	token_source_configure(&r->s, &r->now, &settings, false, false);
	rig_decide(r);
	assert_in_range(dead.ns - r->d.wake_at.ns, 60 * S, 75 * S);
	settings.prefetch = false;
	token_source_configure(&r->s, &r->now, &settings, false, false);
	rig_decide(r);
	assert_int_equal(dead.ns - r->d.wake_at.ns, S - 1); /* nothing to do before its end */
	rig_free(r);
}

/* Replaced or not: a reload does not forget that a token was rejected. */
static void rejected_token_is_still_due_after_a_reload(void **state)
{
	struct token_source_settings settings = usual_settings();
	struct rig *r = rig_new(NULL, 1);
	struct token_ask ask;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	ask = rig_reject(r, 1, 5);
	rig_ask(r, &ask);
	assert_true(rig_decide(r));
	rig_answer_failure(r, RESPONSE_UNAVAILABLE, -1);
	token_source_configure(&r->s, &r->now, &settings, false, false);
	assert_false(rig_decide(r)); /* backoff */
	assert_true(rig_wake(r));
	assert_true(r->now.boot.ns < 1003 * S);
	rig_free(r);
}

/* What cannot work is said with the first token, once. */
static void mint_limit_that_is_too_low_is_told(void **state)
{
	static const struct {
		unsigned limit;
		bool prefetch;
		int64_t life_s;
		bool told;
	} cases[] = {
		{15, true, 10, true},
		{15, true, 20, true},
		{15, true, 60, false},
		{6, true, 60, true},
		{1, true, 300, true},
		{1, true, 3600, false},
		{15, false, 10, false}, /* whoever asks seldom needs few */
		{MINT_LIMIT_AUTO, true, 10, false},
		{100, true, 10, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct token_source_settings settings = usual_settings();
		struct token_ask ask;
		struct rig *r;

		settings.mint_limit = cases[i].limit;
		settings.prefetch = cases[i].prefetch;
		r = rig_new(&settings, i);
		ask = rig_get(r, 5);
		rig_ask(r, &ask);
		rig_fetch_token(r, "one", cases[i].life_s);
		assert_int_equal(rig_told(r, EVENT_MINT_LIMIT), cases[i].told);
		if (cases[i].told)
			assert_non_null(strstr(rig_told_last(r), "Set it to auto"));
		if (cases[i].told && cases[i].limit > 1) {
			assert_true(rig_wake(r));
			rig_answer_token(r, "two", cases[i].life_s);
			assert_int_equal(rig_told(r, EVENT_MINT_LIMIT), 1);
			/* a reload that changes it has it judged anew */
			settings.mint_limit = 5;
			token_source_configure(&r->s, &r->now, &settings, false, false);
			rig_decide(r);
			assert_true(rig_wake(r) || rig_wake(r));
			rig_answer_token(r, "three", cases[i].life_s);
			assert_int_equal(rig_told(r, EVENT_MINT_LIMIT), 2);
		}
		rig_free(r);
	}
}

static void mint_limit_holds_and_is_told(void **state)
{
	struct token_source_settings settings = usual_settings();
	char text[32];
	struct rig *r;

	(void)state;
	settings.mint_limit = 3;
	r = rig_new(&settings, 1);
	for (int i = 0; i < 3; i++) {
		struct token_ask ask = rig_refresh(r, 5);

		rig_ask(r, &ask);
		assert_true(rig_decide(r));
		snprintf(text, sizeof(text), "token-%d", i);
		rig_answer_token(r, text, 3600);
		rig_decide(r);
		rig_pass(r, 10 * S);
	}
	assert_int_equal(rig_told(r, EVENT_MINT_LIMIT), 0); /* nobody needs a fourth */
	for (int i = 0; i < 5; i++) {
		struct token_ask refresh = rig_refresh(r, 5);
		struct token_ask reject = rig_reject(r, r->generation, 5);

		assert_int_equal(rig_ask(r, &refresh), OUTCOME_UNAVAILABLE);
		assert_in_range(r->o.retry_after_s, 260, 271);
		assert_int_equal(rig_ask(r, &reject), OUTCOME_UNAVAILABLE);
		assert_false(rig_decide(r));
		assert_string_equal(rig_served(r), "token-2");
		rig_pass(r, S);
	}
	assert_int_equal(rig_told(r, EVENT_MINT_LIMIT), 1); /* once, not each time */
	assert_true(rig_wake(r));
	assert_int_equal(r->now.boot.ns, 1000 * S + 300 * S);
	rig_free(r);
}

/* A pause that is longer anyway is not the limit's doing. */
static void mint_limit_is_not_blamed_for_a_pause(void **state)
{
	struct token_source_settings settings = usual_settings();
	struct rig *r;

	(void)state;
	settings.mint_limit = 1;
	r = rig_new(&settings, 1);
	rig_decide(r);
	rig_answer_failure(r, RESPONSE_THROTTLED, 400);
	assert_false(rig_decide(r));
	assert_int_equal(rig_told(r, EVENT_MINT_LIMIT), 0);
	rig_free(r);
}

static void earlier_run_is_heeded(void **state)
{
	struct source_failure failure = {
		.any = true, .class = RESPONSE_CLIENT_REJECTED, .status = 401, .words = "no"};
	struct rig *r = rig_new(NULL, 1);
	struct token_ask ask;

	(void)state;
	token_source_restore(&r->s, boot_add(r->now.boot, duration_s(700)), &failure);
	assert_int_equal(rig_state(r), SOURCE_CLIENT_REJECTED);
	assert_false(rig_decide(r));
	assert_int_equal(r->d.wake_at.ns, r->now.boot.ns + 700 * S);
	ask = rig_get(r, 5);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_CLIENT_REJECTED);
	assert_int_equal(r->o.retry_after_s, 700);
	ask = rig_refresh(r, 5); /* an admin may */
	assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
	assert_true(rig_decide(r));
	rig_free(r);

	r = rig_new(NULL, 1);
	for (int i = 0; i < 15; i++) /* the same for what it minted */
		mint_window_add(&r->mint, boot_sub(r->now.boot, duration_s(100)));
	token_source_restore(&r->s, (struct boot_time){INT64_MIN}, NULL);
	assert_int_equal(rig_state(r), SOURCE_WAITING);
	assert_false(rig_decide(r));
	assert_int_equal(r->d.wake_at.ns, r->now.boot.ns + 200 * S);
	assert_true(rig_wake(r));
	rig_free(r);
}

static void revoked_stays_stopped(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token tokens[2];
	struct token_ask ask;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	assert_true(rig_wake(r));
	rig_answer_token(r, "two", 3600); /* in its guard: there are two */
	token_source_revoke(&r->s, &r->now, tokens);
	assert_int_equal(rig_told(r, EVENT_REVOKED), 1);
	assert_int_equal(r->s.current.generation, 0); /* metrics show it */
	assert_string_equal(tokens[0].text, "two");
	assert_string_equal(tokens[1].text, "one");
	token_fini(&tokens[0]);
	token_fini(&tokens[1]);
	assert_int_equal(rig_state(r), SOURCE_REVOKED);
	assert_false(rig_decide(r));
	assert_true(r->d.changed);
	assert_int_equal(r->d.wake_at.ns, BOOT_TIME_NEVER.ns);
	rig_pass(r, 100000 * S);
	ask = rig_get(r, 5);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_REVOKED);
	ask = rig_reject(r, 2, 5);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_REVOKED);
	token_source_clock_changed(&r->s);
	rig_head(r);
	assert_false(rig_decide(r));
	token_source_revoke(&r->s, &r->now, tokens); /* nothing is left, and no harm done */
	assert_null(tokens[0].text);
	assert_null(tokens[1].text);
	assert_int_equal(rig_told(r, EVENT_REVOKED), 1);
	ask = rig_refresh(r, 5);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
	assert_true(rig_decide(r));
	rig_answer_token(r, "three", 3600);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
	assert_string_equal(r->o.slot->token.text, "three");
	assert_true(r->o.slot->generation > 2);
	rig_free(r);
}

/* The same events and seed, the same decisions to the nanosecond. */
/* Callers who are held are not asked to look again, turn after turn, for nothing. */
static void nothing_is_told_where_nothing_changed(void **state)
{
	struct rig *r = rig_new(NULL, 1);

	(void)state;
	assert_true(rig_decide(r));
	rig_decide(r);
	assert_false(r->d.changed); /* there is no token, and was none */
	r->now.wall.ns += 20 * S;
	rig_head(r);
	rig_decide(r);
	assert_false(r->d.changed); /* nor any that could be in doubt */
	r->sent = r->now;
	assert_true(rig_answer_token(r, "one", 3600));
	rig_decide(r);
	assert_true(r->d.changed);
	rig_head(r);
	rig_decide(r);
	assert_false(r->d.changed); /* there was no doubt that it could end */
	token_source_set_login(&r->s, r->s.login);
	assert_false(token_source_needs_turn(&r->s));
	rig_decide(r);
	assert_false(r->d.changed);
	token_source_set_login(&r->s, SOURCE_LOGIN_READY);
	assert_true(token_source_needs_turn(&r->s));
	rig_decide(r);
	assert_true(r->d.changed);
	/* and a stop leaves nothing of either token */
	r->spread = duration_ms(1500);
	while (!rig_wake(r))
		;
	assert_true(rig_answer_token(r, "two", 3600));
	rig_decide(r);
	assert_int_equal(r->s.previous.generation, 1);
	rig_revoke(r);
	assert_int_equal(r->s.current.generation, 0);
	assert_int_equal(r->s.previous.generation, 0);
	rig_free(r);
}

static void seed_decides(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct rig *a = rig_new(NULL, seed), *b = rig_new(NULL, seed);
		struct random events = {seed};

		for (int n = 0; n < 300; n++) {
			struct rig *both[] = {a, b};
			uint64_t event = random_next(&events);

			for (size_t i = 0; i < 2; i++) {
				struct rig *r = both[i];
				struct token_ask ask = rig_get(r, 5);

				rig_decide(r);
				if (!token_source_fetching(&r->s) &&
					r->d.wake_at.ns != BOOT_TIME_NEVER.ns)
					rig_wake(r);
				if (token_source_fetching(&r->s) && event % 3)
					rig_answer_token(r, event % 2 ? "odd" : "even", 600);
				else if (token_source_fetching(&r->s))
					rig_answer_failure(r, RESPONSE_UNAVAILABLE, -1);
				rig_ask(r, &ask);
			}
			assert_int_equal(a->now.boot.ns, b->now.boot.ns);
			assert_int_equal(a->d.wake_at.ns, b->d.wake_at.ns);
			assert_int_equal(a->fetches, b->fetches);
			assert_int_equal(a->o.kind, b->o.kind);
			assert_int_equal(a->o.refresh_in_s, b->o.refresh_in_s);
			assert_int_equal(a->o.expires_in.ns, b->o.expires_in.ns);
			assert_int_equal(a->history.count, b->history.count);
		}
		rig_free(a);
		rig_free(b);
	}
}

static void names_and_fingerprints(void **state)
{
	static const char *const names[] = {"fresh", "stale", "waiting", "unavailable",
		"client_rejected", "login_required", "revoked"};
	struct rig *r = rig_new(NULL, 1);
	char first[FINGERPRINT_LENGTH + 1];

	(void)state;
	for (size_t i = 0; i < LENGTH(names); i++)
		assert_string_equal(source_state_name((enum source_state)i), names[i]);
	assert_int_equal(token_source_generation_of(&r->s, ""), 0);
	rig_fetch_token(r, "one", 3600);
	memcpy(first, r->s.current.token.fingerprint, sizeof(first));
	assert_int_equal(token_source_generation_of(&r->s, first), 1);
	rig_wake(r);
	rig_answer_token(r, "two", 3600);
	assert_int_equal(token_source_generation_of(&r->s, first), 1);
	assert_int_equal(token_source_generation_of(&r->s, r->s.current.token.fingerprint), 2);
	assert_int_equal(token_source_generation_of(&r->s, "0123456789abcdef"), 0);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prefetch_fetches_at_once),
		cmocka_unit_test(without_prefetch_nothing_is_fetched_unasked),
		cmocka_unit_test(refreshes_ahead_and_hands_over),
		cmocka_unit_test(guard_ends_with_the_old_token),
		cmocka_unit_test(guard_cut_short_by_an_exchange_tells_who_waits),
		cmocka_unit_test(guard_of_a_token_that_gets_doubtful_ends_then),
		cmocka_unit_test(changed_request_fetches_anew),
		cmocka_unit_test(changed_margin_moves_the_refresh),
		cmocka_unit_test(rejected_token_is_still_due_after_a_reload),
		cmocka_unit_test(mint_limit_that_is_too_low_is_told),
		cmocka_unit_test(mint_limit_holds_and_is_told),
		cmocka_unit_test(mint_limit_is_not_blamed_for_a_pause),
		cmocka_unit_test(earlier_run_is_heeded),
		cmocka_unit_test(revoked_stays_stopped),
		cmocka_unit_test(nothing_is_told_where_nothing_changed),
		cmocka_unit_test(seed_decides),
		cmocka_unit_test(names_and_fingerprints),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
