/* What an answer of the login server does to the token source: tokens, refusals, silence, the same
 * token again. */
#include "source_fixture.h"

#define LENGTH(a) (sizeof(a) / sizeof(*(a)))

static void failing_refresh_takes_nothing_away(void **state)
{
	struct rig *r = rig_new(NULL, 3);
	int64_t dead;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	dead = lifetime_dead(&r->s.current.life).ns;
	assert_true(rig_wake(r));
	rig_answer_failure(r, RESPONSE_UNAVAILABLE, -1);
	assert_int_equal(rig_state(r), SOURCE_STALE);
	assert_string_equal(rig_served(r), "one");
	assert_true(r->o.stale);
	while (r->s.current.token.text) {
		assert_int_equal(lifetime_dead(&r->s.current.life).ns, dead);
		assert_string_equal(rig_served(r), "one");
		rig_decide(r);
		if (!token_source_fetching(&r->s))
			rig_wake(r);
		if (token_source_fetching(&r->s))
			rig_answer_failure(r, RESPONSE_UNAVAILABLE, -1);
		if (dead + 5 * S - r->now.boot.ns < S)
			break;
		assert_string_equal(rig_served(r), "one");
		assert_true(r->o.stale);
		assert_int_equal(rig_state(r), SOURCE_STALE);
	}
	assert_true(r->now.boot.ns < dead + 10 * S);
	rig_decide(r);
	assert_null(r->s.current.token.text);
	assert_null(rig_served(r));
	assert_int_equal(rig_state(r), SOURCE_UNAVAILABLE);
	assert_int_equal(rig_told(r, EVENT_EXPIRED), 1);
	/* it comes back within the longest pause */
	while (!rig_wake(r))
		assert_true(r->now.boot.ns < dead + 70 * S);
	rig_answer_token(r, "two", 3600);
	rig_decide(r);
	assert_int_equal(rig_state(r), SOURCE_FRESH);
	assert_string_equal(rig_served(r), "two");
	assert_false(r->o.stale);
	rig_free(r);
}

/* In seconds: the pause after the n-th failure in a row. */
static void failures_by_class(void **state)
{
	static const struct {
		enum response_class class;
		int64_t retry_after_s;
		unsigned failure;
		double least_s, most_s;
		enum source_state state;
		enum event_kind told;
	} cases[] = {
		{RESPONSE_UNAVAILABLE, -1, 1, 0.5, 1, SOURCE_UNAVAILABLE, EVENT_FETCH_FAILED},
		{RESPONSE_UNAVAILABLE, -1, 4, 4, 8, SOURCE_UNAVAILABLE, EVENT_FETCH_FAILED},
		{RESPONSE_UNAVAILABLE, -1, 9, 30, 60, SOURCE_UNAVAILABLE, EVENT_FETCH_FAILED},
		{RESPONSE_UNAVAILABLE, 20, 1, 21, 21, SOURCE_UNAVAILABLE, EVENT_FETCH_FAILED},
		{RESPONSE_UNAVAILABLE, 0, 9, 30, 60, SOURCE_UNAVAILABLE, EVENT_FETCH_FAILED},
		{RESPONSE_THROTTLED, -1, 1, 0.5, 1, SOURCE_UNAVAILABLE, EVENT_THROTTLED},
		{RESPONSE_THROTTLED, 120, 1, 121, 121, SOURCE_UNAVAILABLE, EVENT_THROTTLED},
		{RESPONSE_THROTTLED, 86400, 1, 3600, 3600, SOURCE_UNAVAILABLE, EVENT_THROTTLED},
		{RESPONSE_CLIENT_REJECTED, -1, 1, 900, 900, SOURCE_CLIENT_REJECTED,
			EVENT_CLIENT_REJECTED},
		{RESPONSE_CLIENT_REJECTED, 5, 5, 900, 900, SOURCE_CLIENT_REJECTED,
			EVENT_CLIENT_REJECTED},
		{RESPONSE_CLIENT_REJECTED, 1800, 1, 1801, 1801, SOURCE_CLIENT_REJECTED,
			EVENT_CLIENT_REJECTED},
		/* there is no login that it could be about */
		{RESPONSE_LOGIN_REQUIRED, -1, 1, 900, 900, SOURCE_CLIENT_REJECTED,
			EVENT_CLIENT_REJECTED},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++)
		for (uint64_t seed = 1; seed <= 20; seed++) {
			struct rig *r = rig_new(NULL, seed);
			struct source_view v;
			int64_t pause;

			rig_decide(r);
			for (unsigned n = 1; n < cases[i].failure; n++) {
				rig_answer_failure(r, RESPONSE_UNAVAILABLE, -1);
				rig_decide(r);
				assert_true(rig_wake(r));
			}
			rig_answer_failure(r, cases[i].class, cases[i].retry_after_s);
			assert_false(rig_decide(r));
			pause = r->d.wake_at.ns - r->now.boot.ns;
			assert_true(pause >= (int64_t)(cases[i].least_s * 1e9));
			assert_true(pause <= (int64_t)(cases[i].most_s * 1e9));
			assert_int_equal(rig_state(r), cases[i].state);
			assert_int_equal(rig_told(r, cases[i].told),
				cases[i].class == RESPONSE_UNAVAILABLE ? cases[i].failure : 1);
			assert_true(strstr(history_get(&r->history, r->history.count)->words,
				cases[i].class == RESPONSE_CLIENT_REJECTED
					? "(HTTP 401, correlation id c0ffee)"
					: ", correlation id c0ffee)"));
			assert_string_equal(r->s.last_failure.words, "words of the server");
			assert_string_equal(r->s.last_failure.error, "an_error");
			assert_string_equal(r->s.last_failure.correlation_id, "c0ffee");
			assert_int_equal(r->s.counters.fetches[r->s.last_failure.class],
				cases[i].class == RESPONSE_UNAVAILABLE ? cases[i].failure : 1);
			token_source_view(&r->s, &r->now, &v);
			assert_int_equal(v.next_attempt.ns, r->d.wake_at.ns);
			assert_true(rig_wake(r)); /* then, and not before */
			rig_free(r);
		}
}

/* Whoever asks and however often: once in 15 minutes, as long as the credentials are the same. */
static void refused_credentials_are_not_hammered(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	unsigned fetches;

	(void)state;
	rig_decide(r);
	rig_answer_failure(r, RESPONSE_CLIENT_REJECTED, -1);
	fetches = r->fetches;
	for (int i = 0; i < 899; i++) {
		struct token_ask get = rig_get(r, 0), reject = rig_reject(r, 1, 0);

		assert_int_equal(rig_ask(r, &get), OUTCOME_CLIENT_REJECTED);
		assert_int_equal(
			token_source_fetch_at(&r->s, &r->now).ns - r->now.boot.ns, (900 - i) * S);
		assert_int_equal(rig_ask(r, &reject), OUTCOME_CLIENT_REJECTED);
		assert_false(rig_decide(r));
		rig_pass(r, S);
	}
	rig_pass(r, S);
	assert_true(rig_decide(r));
	assert_int_equal(r->fetches, fetches + 1);
	rig_free(r);
}

/* A client may be enabled again, a CA renewed: whoever reloads has a reason. */
static void a_reload_tries_at_once_what_may_be_mended(void **state)
{
	static const enum response_class classes[] = {
		RESPONSE_CLIENT_REJECTED, RESPONSE_LOGIN_REQUIRED};
	struct token_source_settings settings = usual_settings();

	(void)state;
	for (size_t i = 0; i < LENGTH(classes); i++) {
		struct rig *r = rig_new(NULL, 1);

		rig_decide(r);
		rig_answer_failure(r, classes[i], -1);
		rig_decide(r);
		for (int changed = 0; changed < 3; changed++) {
			token_source_configure(
				&r->s, &r->now, &settings, changed == 1, changed == 2);
			assert_true(rig_decide(r));
			rig_answer_failure(r, classes[i], -1);
			assert_false(rig_decide(r));
		}
		token_source_credential_changed(&r->s);
		assert_true(rig_decide(r));
		rig_answer_token(r, "one", 3600);
		assert_int_equal(rig_state(r), SOURCE_FRESH);
		rig_free(r);
	}
}

static void answer_unfit(struct rig *r)
{
	struct token_response unfit = {.class = RESPONSE_UNAVAILABLE,
		.status = 200,
		.minted = true,
		.unfit = true,
		.words = "expires_in is not a number"};

	rig_fetched(r, &unfit);
}

/* How long its tokens live is set at the server, where nobody tells us of it. */
static void a_reload_tries_at_once_what_came_in_a_form_of_no_use(void **state)
{
	struct token_source_settings settings = usual_settings();
	struct rig *r = rig_new(NULL, 1);

	(void)state;
	rig_decide(r);
	answer_unfit(r);
	assert_false(rig_decide(r));
	assert_int_equal(r->d.wake_at.ns, r->now.boot.ns + 900 * S);
	token_source_configure(&r->s, &r->now, &settings, false, false);
	assert_true(rig_decide(r));
	/* and another request is another token, if that was under way meanwhile */
	token_source_configure(&r->s, &r->now, &settings, true, false);
	answer_unfit(r);
	assert_true(rig_decide(r));
	answer_unfit(r);
	assert_false(rig_decide(r));
	/* as many as may have made one are counted all the same */
	assert_int_equal(r->mint.count, 3);
	/* what is merely down is not */
	rig_pass(r, 900 * S);
	assert_true(rig_decide(r));
	rig_answer_failure(r, RESPONSE_UNAVAILABLE, -1);
	token_source_configure(&r->s, &r->now, &settings, false, false);
	assert_false(rig_decide(r));
	rig_free(r);
}

/* Also where there is a token yet, and no refresh is due. */
static void new_credentials_are_tried_while_a_token_lives(void **state)
{
	struct token_source_settings settings = usual_settings();
	struct rig *r = rig_new(NULL, 1);
	struct token_ask ask;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	ask = rig_refresh(r, 5);
	rig_ask(r, &ask);
	rig_decide(r);
	rig_answer_failure(r, RESPONSE_CLIENT_REJECTED, -1);
	assert_false(rig_decide(r));
	token_source_configure(&r->s, &r->now, &settings, false, true);
	assert_true(rig_decide(r));
	rig_free(r);
}

/* A reload while a fetch is under way: what comes back was asked for with the old configuration. */
static void answer_to_an_old_request_settles_nothing(void **state)
{
	struct token_source_settings settings = usual_settings();

	(void)state;
	for (int request = 0; request < 2; request++) {
		struct rig *r = rig_new(NULL, 1);

		rig_decide(r);
		token_source_configure(&r->s, &r->now, &settings, request, !request);
		assert_false(rig_decide(r));
		rig_answer_failure(r, RESPONSE_CLIENT_REJECTED, -1);
		assert_true(rig_decide(r)); /* not in 15 minutes */
		rig_answer_failure(r, RESPONSE_CLIENT_REJECTED, -1);
		assert_false(rig_decide(r));
		assert_int_equal(r->d.wake_at.ns, r->now.boot.ns + 900 * S);
		rig_free(r);

		r = rig_new(NULL, 1);
		rig_decide(r);
		token_source_configure(&r->s, &r->now, &settings, request, !request);
		rig_answer_token(r, "one", 3600);
		assert_string_equal(rig_served(r), "one");
		assert_int_equal(rig_decide(r), request); /* of the old scope */
		rig_free(r);
	}
}

static void backoff_begins_anew_after_a_success(void **state)
{
	struct rig *r = rig_new(NULL, 1);

	(void)state;
	rig_decide(r);
	for (int n = 0; n < 8; n++) {
		rig_answer_failure(r, RESPONSE_UNAVAILABLE, -1);
		rig_decide(r);
		assert_true(rig_wake(r));
	}
	rig_answer_token(r, "one", 3600);
	assert_false(rig_decide(r));
	assert_false(r->s.last_failure.any);
	assert_true(rig_wake(r));
	rig_served(r);
	assert_false(r->o.stale);
	rig_answer_failure(r, RESPONSE_UNAVAILABLE, -1);
	assert_false(rig_decide(r));
	assert_true(r->d.wake_at.ns - r->now.boot.ns <= S);
	rig_free(r);
}

/* A server that is merely down is not asked sooner for a reload. */
static void reload_is_no_way_around_backoff(void **state)
{
	struct token_source_settings settings = usual_settings();
	struct rig *r = rig_new(NULL, 1);

	(void)state;
	rig_decide(r);
	rig_answer_failure(r, RESPONSE_THROTTLED, 600);
	token_source_configure(&r->s, &r->now, &settings, true, true);
	assert_false(rig_decide(r));
	assert_int_equal(r->d.wake_at.ns, r->now.boot.ns + 601 * S);
	rig_free(r);
}

/* A server that gives one token to everybody until it is nearly over. */
static void same_token_again_makes_a_pause(void **state)
{
	static const struct {
		int64_t after_s, pause_s, leeway_s;
	} cases[] = {{10, 1794, 2}, {3400, 99, 2}, {3580, 10, 0}};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct rig *r = rig_new(NULL, 1);
		struct token_ask ask;
		int64_t dead;

		rig_fetch_token(r, "one", 3600);
		dead = lifetime_dead(&r->s.current.life).ns;
		while (r->now.boot.ns < (1000 + cases[i].after_s) * S) {
			rig_pass(r, S);
			if (rig_decide(r)) /* a refresh of its own, that fails */
				rig_answer_failure(r, RESPONSE_UNAVAILABLE, -1);
		}
		ask = rig_refresh(r, 5);
		rig_ask(r, &ask);
		if (!token_source_fetching(&r->s))
			assert_true(rig_decide(r));
		assert_false(rig_answer_token(r, "one", 3600)); /* its life counted anew */
		assert_int_equal(r->fetched, FETCHED_SAME);
		assert_int_equal(lifetime_dead(&r->s.current.life).ns, dead);
		assert_int_equal(r->s.current.generation, 1);
		assert_int_equal(rig_told(r, EVENT_SAME_TOKEN), 1);
		/* the admin asked for a new one, and there is none */
		assert_int_equal(rig_ask(r, &ask), OUTCOME_UNAVAILABLE);
		assert_string_equal(rig_served(r), "one");
		assert_false(rig_decide(r));
		assert_in_range(r->s.not_before.ns - r->now.boot.ns,
			(cases[i].pause_s - cases[i].leeway_s) * S,
			(cases[i].pause_s + cases[i].leeway_s) * S);
		rig_free(r);
	}
}

/* The usual way of such a server: the rest of the life, a second less for rounding. The token
 * serves on without a gap, also where clocks of a cluster are apart. */
static void same_token_with_less_life_serves_on(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	int64_t dead, valid;

	(void)state;
	r->spread.ns = 2 * S;
	rig_fetch_token(r, "one", 3600);
	rig_pass(r, 3 * S);
	assert_string_equal(rig_served(r), "one");
	dead = lifetime_dead(&r->s.current.life).ns;
	valid = r->s.current.life.valid.ns;
	assert_false(rig_decide(r));
	assert_true(rig_wake(r));
	rig_answer_token(r, "one", (dead - r->now.boot.ns) / S + 7 - 60);
	assert_in_range(lifetime_dead(&r->s.current.life).ns, dead - 63 * S, dead - 59 * S);
	assert_int_equal(r->s.current.life.valid.ns, valid);
	assert_string_equal(rig_served(r), "one");
	assert_int_equal(r->s.current.life.issued.ns, 3600 * S);
	rig_decide(r);
	assert_string_equal(rig_served(r), "one");
	rig_free(r);
}

static void token_dead_on_arrival_is_a_failure(void **state)
{
	struct rig *r = rig_new(NULL, 1);

	(void)state;
	rig_decide(r);
	rig_pass(r, 9 * S); /* it took that long, of a life of ten */
	assert_false(rig_answer_token(r, "one", 10));
	assert_int_equal(r->fetched, FETCHED_FAILED);
	assert_string_equal(r->s.last_failure.words,
		"the token was dead on arrival: expires_in 10 s, the login server's clocks 0 ms "
		"apart");
	assert_null(rig_served(r));
	assert_int_equal(rig_state(r), SOURCE_UNAVAILABLE);
	assert_int_equal(rig_told(r, EVENT_FETCH_FAILED), 1);
	assert_int_equal(r->s.counters.fetches[RESPONSE_UNAVAILABLE], 1);
	assert_int_equal(r->s.counters.fetches[RESPONSE_TOKEN], 0);
	assert_int_equal(r->s.last_failure.class, RESPONSE_UNAVAILABLE);
	assert_false(rig_decide(r));
	assert_true(rig_wake(r));
	rig_free(r);
}

static void contradicting_claims_are_ignored_and_told(void **state)
{
	struct jwt_claims claims = {.has_exp = true, .exp = 1000};
	struct rig *r = rig_new(NULL, 1);

	(void)state;
	rig_decide(r);
	assert_true(rig_answer_claims(r, "one", 3600, &claims));
	assert_string_equal(rig_served(r), "one");
	assert_in_range(r->o.expires_in.ns, 3593 * S, 3594 * S);
	assert_int_equal(rig_told(r, EVENT_CLAIMS_IGNORED), 1);
	rig_free(r);
}

static void token_on_its_way_is_not_taken_when_revoked(void **state)
{
	struct token_response answer = {
		.class = RESPONSE_TOKEN, .status = 200, .expires_in = duration_s(3600)};
	struct rig *r = rig_new(NULL, 1);
	struct exchange x = {.status = 200};
	struct token tokens[2];

	(void)state;
	rig_decide(r);
	token_source_revoke(&r->s, &r->now, tokens);
	assert_int_equal(token_init(&answer.token, "late", 4), 0);
	x.sent = x.received = r->now;
	assert_int_equal(token_source_fetched(&r->s, &r->now, &x, &answer, NULL, DURATION_ZERO, 1),
		FETCHED_UNWANTED);
	assert_string_equal(answer.token.text, "late"); /* left to be revoked */
	token_response_fini(&answer);
	assert_false(rig_decide(r));
	assert_null(rig_served(r));
	assert_int_equal(rig_state(r), SOURCE_REVOKED);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(failing_refresh_takes_nothing_away),
		cmocka_unit_test(failures_by_class),
		cmocka_unit_test(refused_credentials_are_not_hammered),
		cmocka_unit_test(a_reload_tries_at_once_what_may_be_mended),
		cmocka_unit_test(a_reload_tries_at_once_what_came_in_a_form_of_no_use),
		cmocka_unit_test(new_credentials_are_tried_while_a_token_lives),
		cmocka_unit_test(answer_to_an_old_request_settles_nothing),
		cmocka_unit_test(backoff_begins_anew_after_a_success),
		cmocka_unit_test(reload_is_no_way_around_backoff),
		cmocka_unit_test(same_token_again_makes_a_pause),
		cmocka_unit_test(same_token_with_less_life_serves_on),
		cmocka_unit_test(token_dead_on_arrival_is_a_failure),
		cmocka_unit_test(contradicting_claims_are_ignored_and_told),
		cmocka_unit_test(token_on_its_way_is_not_taken_when_revoked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
