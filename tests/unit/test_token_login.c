/* The token source of a profile that people log in to. */
#include "source_fixture.h"

#include "core/token_login.h"

static struct rig *rig_with(enum source_login login)
{
	struct rig *r = rig_new(NULL, 3);

	token_source_set_login(&r->s, login);
	return r;
}

static enum ask_outcome ask_now(struct rig *r)
{
	struct token_ask ask = rig_get(r, 5);

	return rig_ask(r, &ask);
}

/* A person logs in: the code is exchanged for a token of that life. */
static void log_in(struct rig *r, enum source_login after, const char *text, int64_t life_s)
{
	token_source_code_came(&r->s, 1000);
	assert_true(rig_decide(r));
	assert_true(r->d.code);
	token_source_set_login(&r->s, after);
	assert_true(rig_answer_token(r, text, life_s));
	assert_false(rig_decide(r));
}

static void without_a_login_nothing_is_fetched(void **state)
{
	struct rig *r = rig_with(SOURCE_LOGIN_NONE);
	struct token_ask ask;

	(void)state;
	assert_false(rig_decide(r));
	assert_int_equal(r->d.wake_at.ns, BOOT_TIME_NEVER.ns);
	assert_int_equal(rig_state(r), SOURCE_LOGIN_REQUIRED);
	assert_int_equal(ask_now(r), OUTCOME_LOGIN_REQUIRED);
	assert_int_equal(r->o.retry_after_s, -1);
	ask = rig_refresh(r, 5);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_LOGIN_REQUIRED);
	assert_false(rig_decide(r));
	assert_int_equal(r->fetches, 0);
	/* one that comes out of a file serves those who asked */
	token_source_set_login(&r->s, SOURCE_LOGIN_READY);
	assert_true(rig_decide(r));
	assert_false(r->d.code);
	rig_free(r);
}

static void a_login_is_refreshed_ahead(void **state)
{
	struct rig *r = rig_with(SOURCE_LOGIN_NONE);

	(void)state;
	rig_decide(r);
	log_in(r, SOURCE_LOGIN_READY, "one", 3600);
	assert_string_equal(rig_served(r), "one");
	for (int i = 0; i < 10; i++) {
		char text[16];

		while (!rig_wake(r))
			;
		assert_false(r->d.code);
		assert_int_equal(rig_state(r), SOURCE_FRESH);
		snprintf(text, sizeof(text), "next-%d", i);
		assert_true(rig_answer_token(r, text, 3600));
		rig_decide(r);
	}
	assert_int_equal(rig_told(r, EVENT_LOGIN_ENDS), 0);
	rig_free(r);
}

static void one_that_cannot_be_refreshed_serves_to_its_end(void **state)
{
	struct rig *r = rig_with(SOURCE_LOGIN_NONE);
	int64_t began;
	struct duration left;
	bool warned = false;

	(void)state;
	rig_decide(r);
	assert_false(token_source_login_ends(&r->s, &r->now, &left));
	log_in(r, SOURCE_LOGIN_NONE, "one", 3600);
	began = r->now.boot.ns;
	assert_true(token_source_login_ends(&r->s, &r->now, &left));
	assert_in_range(left.ns, 3580 * S, 3600 * S);
	while (rig_served(r)) {
		bool told = rig_told(r, EVENT_LOGIN_ENDS);

		if (told && !warned) /* a quarter of its life ahead */
			assert_in_range(r->now.boot.ns - began, 2680 * S, 2720 * S);
		warned = told;
		assert_int_not_equal(r->d.wake_at.ns, BOOT_TIME_NEVER.ns);
		assert_false(rig_wake(r));
	}
	assert_in_range(r->now.boot.ns - began, 3580 * S, 3600 * S);
	assert_int_equal(rig_told(r, EVENT_LOGIN_ENDS), 1);
	assert_int_equal(rig_state(r), SOURCE_LOGIN_REQUIRED);
	assert_int_equal(ask_now(r), OUTCOME_LOGIN_REQUIRED);
	assert_int_equal(r->fetches, 1);
	/* the next one is told of again */
	log_in(r, SOURCE_LOGIN_NONE, "two", 3600);
	while (rig_served(r))
		rig_wake(r);
	assert_int_equal(rig_told(r, EVENT_LOGIN_ENDS), 2);
	rig_free(r);
}

static void a_long_login_is_told_of_an_hour_ahead(void **state)
{
	struct rig *r = rig_with(SOURCE_LOGIN_NONE);
	struct boot_time told_at;

	(void)state;
	rig_decide(r);
	log_in(r, SOURCE_LOGIN_NONE, "one", 86400);
	told_at = boot_sub(lifetime_dead(&r->s.current.life), duration_s(3600));
	rig_pass_until(r, boot_sub(told_at, duration_ns(1)));
	rig_decide(r);
	assert_int_equal(r->d.wake_at.ns, told_at.ns);
	assert_int_equal(rig_told(r, EVENT_LOGIN_ENDS), 0);
	rig_wake(r);
	rig_decide(r);
	assert_int_equal(rig_told(r, EVENT_LOGIN_ENDS), 1);
	rig_free(r);
}

static void a_report_about_one_that_cannot_be_replaced(void **state)
{
	struct rig *r = rig_with(SOURCE_LOGIN_NONE);
	struct token_ask ask;

	(void)state;
	rig_decide(r);
	log_in(r, SOURCE_LOGIN_NONE, "one", 3600);
	ask = rig_reject(r, r->generation, 5);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_LOGIN_REQUIRED);
	assert_false(rig_decide(r));
	/* one false report must not deny everybody */
	assert_int_equal(ask_now(r), OUTCOME_TOKEN);
	assert_true(r->o.stale);
	rig_free(r);
}

static void a_refused_refresh_token_is_not_tried_again(void **state)
{
	struct rig *r = rig_with(SOURCE_LOGIN_READY);
	struct token_ask ask;

	(void)state;
	assert_true(rig_decide(r));
	token_source_set_login(&r->s, SOURCE_LOGIN_REFUSED);
	rig_answer_failure(r, RESPONSE_LOGIN_REQUIRED, -1);
	assert_false(rig_decide(r));
	assert_int_equal(rig_state(r), SOURCE_LOGIN_REQUIRED);
	for (int i = 0; i < 1000; i++) {
		rig_pass(r, 3600 * S);
		assert_int_equal(ask_now(r), OUTCOME_LOGIN_REQUIRED);
		assert_false(rig_decide(r));
	}
	assert_int_equal(r->fetches, 1);
	/* but once by an admin, who may know better */
	ask = rig_refresh(r, 5);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
	assert_true(rig_decide(r));
	token_source_set_login(&r->s, SOURCE_LOGIN_READY);
	assert_true(rig_answer_token(r, "again", 3600));
	assert_int_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
	rig_free(r);
}

static void its_token_serves_on_when_the_login_has_ended(void **state)
{
	struct rig *r = rig_with(SOURCE_LOGIN_READY);

	(void)state;
	rig_fetch_token(r, "one", 3600);
	while (!rig_wake(r))
		;
	token_source_set_login(&r->s, SOURCE_LOGIN_REFUSED);
	rig_answer_failure(r, RESPONSE_LOGIN_REQUIRED, -1);
	rig_decide(r);
	assert_string_equal(rig_served(r), "one");
	assert_int_equal(rig_told(r, EVENT_LOGIN_ENDS), 1);
	while (rig_served(r))
		assert_false(rig_wake(r));
	assert_int_equal(rig_state(r), SOURCE_LOGIN_REQUIRED);
	rig_free(r);
}

static void a_code_waits_for_the_refresh_under_way(void **state)
{
	struct rig *r = rig_with(SOURCE_LOGIN_READY);

	(void)state;
	assert_true(rig_decide(r));
	token_source_code_came(&r->s, 1000);
	assert_false(rig_decide(r));
	assert_true(rig_answer_token(r, "of-the-old-login", 3600));
	assert_true(rig_decide(r));
	assert_true(r->d.code);
	assert_true(rig_answer_token(r, "of-the-new-login", 3600));
	rig_decide(r);
	/* at once: the one before it may be another person's */
	assert_string_equal(rig_served(r), "of-the-new-login");
	assert_int_equal(token_source_generation_of(&r->s, r->s.previous.token.fingerprint), 0);
	rig_free(r);
}

static void a_code_that_is_refused_leaves_the_login_alone(void **state)
{
	struct rig *r = rig_with(SOURCE_LOGIN_READY);

	(void)state;
	rig_fetch_token(r, "one", 3600);
	token_source_code_came(&r->s, 1000);
	assert_true(rig_decide(r));
	rig_answer_failure(r, RESPONSE_LOGIN_REQUIRED, -1);
	assert_false(rig_decide(r));
	assert_int_equal(rig_state(r), SOURCE_FRESH);
	assert_int_equal(rig_told(r, EVENT_LOGIN_FAILED), 1);
	assert_int_equal(r->s.counters.fetches[RESPONSE_LOGIN_REQUIRED], 1);
	assert_int_equal(rig_told(r, EVENT_LOGIN_REQUIRED), 0);
	while (!rig_wake(r))
		;
	assert_false(r->d.code);
	assert_true(rig_answer_token(r, "two", 3600));
	rig_free(r);
}

static void a_code_that_nobody_waits_for_is_not_sent(void **state)
{
	struct rig *r = rig_with(SOURCE_LOGIN_NONE);

	(void)state;
	rig_decide(r);
	token_source_code_came(&r->s, 1000);
	assert_true(token_source_code_gone(&r->s));
	assert_false(token_source_code_gone(&r->s));
	assert_false(rig_decide(r));
	/* once it is on its way it goes on to its end */
	token_source_code_came(&r->s, 1000);
	assert_true(rig_decide(r));
	assert_false(token_source_code_gone(&r->s));
	assert_true(rig_answer_token(r, "one", 3600));
	assert_string_equal(rig_served(r), "one");
	rig_free(r);
}

static void codes_count_in_the_mint_limit(void **state)
{
	struct token_source_settings settings = usual_settings();
	struct rig *r;

	(void)state;
	settings.mint_limit = 2;
	r = rig_new(&settings, 3);
	token_source_set_login(&r->s, SOURCE_LOGIN_NONE);
	rig_decide(r);
	for (int i = 0; i < 2; i++) {
		token_source_code_came(&r->s, 1000);
		assert_true(rig_decide(r));
		rig_answer_failure(r, RESPONSE_UNAVAILABLE, -1);
		assert_false(rig_decide(r));
	}
	token_source_code_came(&r->s, 1000);
	assert_false(rig_decide(r));
	assert_int_equal(rig_told(r, EVENT_MINT_LIMIT), 1);
	assert_in_range(r->d.wake_at.ns - r->now.boot.ns, 290 * S, 300 * S);
	assert_true(rig_wake(r));
	assert_true(r->d.code);
	rig_free(r);
}

static void logging_out_forgets_all(void **state)
{
	struct rig *r = rig_with(SOURCE_LOGIN_READY);
	struct token tokens[2];

	(void)state;
	rig_fetch_token(r, "one", 3600);
	while (!rig_wake(r))
		;
	/* with a refresh under way, whose token nobody may have */
	token_source_log_out(&r->s, &r->now, tokens);
	assert_int_equal(rig_told(r, EVENT_LOGGED_OUT), 1);
	assert_string_equal(tokens[0].text, "one");
	assert_null(tokens[1].text);
	token_fini(&tokens[0]);
	assert_int_equal(ask_now(r), OUTCOME_HOLD);
	assert_false(rig_answer_token(r, "late", 3600));
	assert_int_equal(r->fetched, FETCHED_UNWANTED);
	assert_false(rig_decide(r));
	assert_int_equal(ask_now(r), OUTCOME_LOGIN_REQUIRED);
	assert_int_equal(rig_state(r), SOURCE_LOGIN_REQUIRED);
	assert_null(rig_served(r));
	/* of nobody that is no news */
	token_source_set_login(&r->s, SOURCE_LOGIN_NONE);
	token_source_log_out(&r->s, &r->now, tokens);
	assert_int_equal(rig_told(r, EVENT_LOGGED_OUT), 1);
	log_in(r, SOURCE_LOGIN_READY, "new", 3600);
	assert_string_equal(rig_served(r), "new");
	rig_free(r);
}

/* What went wrong before was about the login that is gone. */
static void logging_out_forgets_failures(void **state)
{
	struct rig *r = rig_with(SOURCE_LOGIN_READY);
	struct token tokens[2];

	(void)state;
	for (int i = 0; i < 4; i++) {
		assert_true(i ? rig_wake(r) : rig_decide(r));
		rig_answer_failure(r, RESPONSE_UNAVAILABLE, -1);
		rig_decide(r);
	}
	token_source_log_out(&r->s, &r->now, tokens);
	assert_int_equal(rig_state(r), SOURCE_LOGIN_REQUIRED);
	token_source_set_login(&r->s, SOURCE_LOGIN_READY);
	rig_pass(r, 10 * S);
	assert_true(rig_decide(r));
	rig_answer_failure(r, RESPONSE_UNAVAILABLE, -1);
	assert_in_range(boot_since(r->s.not_before, r->now.boot).ns, 500 * MS, S); /* the first */
	rig_free(r);
}

/* Of the person who was logged in before nothing is served, not even while the new token is to wait
 * for a moment. */
static void another_person_gets_nothing_of_the_one_before(void **state)
{
	struct rig *r = rig_with(SOURCE_LOGIN_READY);
	struct token_ask ask;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	assert_true(rig_wake(r));
	r->spread = duration_ms(1500);
	assert_true(rig_answer_token(r, "two", 3600));
	rig_decide(r);
	assert_string_equal(rig_served(r), "one"); /* two waits out its guard: there are both */
	token_source_code_came(&r->s, 1000);
	assert_true(rig_decide(r));
	assert_true(rig_answer_jwt(r, "other", 3600));
	ask = rig_get(r, 5);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
	while (rig_served(r) == NULL)
		rig_wake(r);
	assert_string_equal(rig_served(r), "other");
	rig_free(r);
}

static void a_refused_login_has_ended(void **state)
{
	struct rig *r = rig_with(SOURCE_LOGIN_READY);

	(void)state;
	rig_fetch_token(r, "one", 3600);
	assert_true(rig_wake(r));
	token_source_set_login(&r->s, SOURCE_LOGIN_REFUSED);
	rig_answer_failure(r, RESPONSE_LOGIN_REQUIRED, -1);
	assert_int_equal(rig_told(r, EVENT_LOGIN_REQUIRED), 1);
	assert_string_equal(rig_told_last(r),
		"words of the server (HTTP 400, correlation id c0ffee); the login has ended: "
		"somebody has to log in again");
	rig_free(r);
}

static void a_login_starts_what_was_revoked(void **state)
{
	struct rig *r = rig_with(SOURCE_LOGIN_READY);

	(void)state;
	rig_fetch_token(r, "one", 3600);
	rig_revoke(r);
	assert_false(rig_decide(r));
	assert_int_equal(rig_state(r), SOURCE_REVOKED);
	/* not one that comes to nothing */
	token_source_code_came(&r->s, 1000);
	assert_true(rig_decide(r));
	rig_answer_failure(r, RESPONSE_LOGIN_REQUIRED, -1);
	assert_false(rig_decide(r));
	assert_int_equal(rig_state(r), SOURCE_REVOKED);
	log_in(r, SOURCE_LOGIN_READY, "two", 3600);
	assert_string_equal(rig_served(r), "two");
	/* nor one that is revoked itself on its way */
	token_source_code_came(&r->s, 1000);
	assert_true(rig_decide(r));
	rig_revoke(r);
	assert_false(rig_answer_token(r, "three", 3600));
	assert_false(rig_decide(r));
	assert_int_equal(rig_state(r), SOURCE_REVOKED);
	rig_free(r);
}

/* A model of what the broker does, with everything that people, programs and servers do to it in
 * any order. */
static void whatever_people_do(uint64_t seed)
{
	struct token_source_settings settings = usual_settings();
	struct random random = {seed};
	struct token tokens[2];
	struct token_ask ask;
	bool with_code = false, ended = false, admin = false, refused_before = false;
	unsigned number = 0;
	struct rig *r;

	settings.mint_limit = 5;
	settings.prefetch = seed % 2;
	r = rig_new(&settings, seed);
	token_source_set_login(&r->s, SOURCE_LOGIN_NONE);
	for (int step = 0; step < 2000; step++) {
		enum source_login login = r->s.login;
		char text[24];

		switch (random_next(&random) % 12) {
		case 0:
			token_source_code_came(&r->s, 1000);
			break;
		case 1:
			token_source_code_gone(&r->s);
			break;
		case 2:
			ended |= token_source_fetching(&r->s);
			token_source_log_out(&r->s, &r->now, tokens);
			token_fini(&tokens[0]);
			token_fini(&tokens[1]);
			assert_null(rig_served(r));
			break;
		case 3:
			ask = rig_refresh(r, 5);
			rig_ask(r, &ask);
			admin = true;
			break;
		case 4:
			ask = rig_reject(r, r->generation, 5);
			rig_ask(r, &ask);
			break;
		case 5:
			rig_revoke(r);
			with_code = false;
			assert_null(rig_served(r));
			break;
		case 6: /* the server answers */
		case 7:
		case 8:
			if (!token_source_fetching(&r->s))
				break;
			snprintf(text, sizeof(text), "token-%u", ++number);
			if (random_next(&random) % 3) {
				if (!ended)
					token_source_set_login(
						&r->s, with_code && random_next(&random) % 2
							       ? SOURCE_LOGIN_NONE
							       : SOURCE_LOGIN_READY);
				/* nobody gets what came for a login that was ended */
				assert_false(rig_answer_token(r, text, 600) && ended);
			} else if (!with_code && random_next(&random) % 2) {
				if (!ended)
					token_source_set_login(&r->s, SOURCE_LOGIN_REFUSED);
				rig_answer_failure(r, RESPONSE_LOGIN_REQUIRED, -1);
			} else {
				rig_answer_failure(r, RESPONSE_UNAVAILABLE, -1);
			}
			ended = with_code = false;
			break;
		default:
			rig_served(r);
			rig_pass(r, (int64_t)(random_next(&random) % (200 * S)));
			break;
		}
		login = r->s.login;
		if (rig_decide(r)) {
			with_code = r->d.code;
			refused_before = login == SOURCE_LOGIN_REFUSED;
			/* Without a refresh token nothing is asked for but by a code, and one that
			 * was refused is tried again for an admin alone. */
			if (!with_code) {
				assert_int_not_equal(login, SOURCE_LOGIN_NONE);
				assert_true(!refused_before || admin);
			}
			admin = false;
		}
		if (r->s.login == SOURCE_LOGIN_NONE && !token_source_fetching(&r->s) &&
			!rig_served(r))
			assert_true(rig_state(r) == SOURCE_LOGIN_REQUIRED ||
				    rig_state(r) == SOURCE_REVOKED);
	}
	/* never more than the limit allows, whoever asked for what */
	assert_true(r->fetches <= 5 * (unsigned)((r->now.boot.ns - 1000 * S) / (300 * S) + 1));
	rig_free(r);
}

static void whatever_people_do_in_any_order(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 100; seed++)
		whatever_people_do(seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_login_nothing_is_fetched),
		cmocka_unit_test(a_login_is_refreshed_ahead),
		cmocka_unit_test(one_that_cannot_be_refreshed_serves_to_its_end),
		cmocka_unit_test(a_long_login_is_told_of_an_hour_ahead),
		cmocka_unit_test(a_report_about_one_that_cannot_be_replaced),
		cmocka_unit_test(a_refused_refresh_token_is_not_tried_again),
		cmocka_unit_test(its_token_serves_on_when_the_login_has_ended),
		cmocka_unit_test(a_code_waits_for_the_refresh_under_way),
		cmocka_unit_test(a_code_that_is_refused_leaves_the_login_alone),
		cmocka_unit_test(a_code_that_nobody_waits_for_is_not_sent),
		cmocka_unit_test(codes_count_in_the_mint_limit),
		cmocka_unit_test(logging_out_forgets_all),
		cmocka_unit_test(logging_out_forgets_failures),
		cmocka_unit_test(another_person_gets_nothing_of_the_one_before),
		cmocka_unit_test(a_refused_login_has_ended),
		cmocka_unit_test(a_login_starts_what_was_revoked),
		cmocka_unit_test(whatever_people_do_in_any_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
