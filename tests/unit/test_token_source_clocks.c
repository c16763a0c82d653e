/* The login server's clock is set, lies or disagrees, and tokens come that are good only later: no
 * gap in service, no fetch too many. */
#include "source_fixture.h"

#define LENGTH(a) (sizeof(a) / sizeof(*(a)))

static void server_step_is_confirmed_then_counted(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	int64_t dead, refresh_at;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	dead = lifetime_dead(&r->s.current.life).ns;
	refresh_at = r->s.refresh_at.ns;
	rig_pass(r, 300 * S);
	r->theta += 600 * S;
	rig_head(r);
	assert_true(token_source_needs_turn(&r->s));
	assert_int_equal(rig_told(r, EVENT_SERVER_STEP), 1);
	assert_false(rig_decide(r)); /* one says so: to be sure, a HEAD */
	assert_false(r->d.changed);
	assert_int_equal(r->d.probes, 1);
	assert_int_equal(lifetime_dead(&r->s.current.life).ns, dead);
	assert_string_equal(rig_served(r), "one");
	rig_head(r);
	assert_int_equal(rig_told(r, EVENT_SERVER_STEP), 2);
	assert_false(rig_decide(r)); /* which settles it */
	assert_true(r->d.changed);
	assert_in_range(lifetime_dead(&r->s.current.life).ns, dead - 600 * S, dead - 596 * S);
	assert_in_range(
		lifetime_dead(&r->s.current.life).ns - r->s.refresh_at.ns, 540 * S, 675 * S);
	/* what is counted moves the refresh as far */
	r->theta += 100 * S;
	refresh_at = r->s.refresh_at.ns;
	dead = lifetime_dead(&r->s.current.life).ns;
	r->now.wall.ns += 100 * S;
	rig_head(r);
	assert_false(rig_decide(r));
	assert_in_range(lifetime_dead(&r->s.current.life).ns, dead - 101 * S, dead - 98 * S);
	assert_int_equal(
		refresh_at - r->s.refresh_at.ns, dead - lifetime_dead(&r->s.current.life).ns);
	assert_true(rig_wake(r));
	rig_answer_token(r, "two", 3600);
	rig_decide(r);
	rig_wake(r);
	assert_string_equal(rig_served(r), "two");
	assert_in_range(r->o.expires_in.ns, 3590 * S, 3594 * S);
	rig_free(r);
}

/* The exchange that shows the step may be the one that brings the new token: nothing more is
 * needed.
 */
static void step_seen_by_the_refresh_needs_no_other(void **state)
{
	struct rig *r = rig_new(NULL, 1);

	(void)state;
	rig_fetch_token(r, "one", 3600);
	assert_true(rig_wake(r));
	r->theta += 100 * S;
	rig_answer_token(r, "two", 3600);
	assert_false(rig_decide(r));
	assert_int_equal(r->fetches, 2);
	rig_free(r);
}

static void counted_step_may_end_a_token(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token_ask ask;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	rig_pass(r, 300 * S);
	r->theta += 7200 * S;
	rig_head(r);
	rig_decide(r);
	rig_head(r);
	ask = rig_get(r, 5);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
	rig_decide(r);
	assert_null(r->s.current.token.text);
	rig_answer_token(r, "two", 3600);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
	rig_free(r);
}

/* What it took from this token the next one has: who asks for half of a lifetime gets that one. */
static void counted_step_refuses_no_min_ttl(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token_ask ask;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	rig_pass(r, 300 * S);
	r->theta += 3000 * S;
	rig_head(r);
	rig_head(r);
	assert_in_range(lifetime_dead(&r->s.current.life).ns - r->now.boot.ns, S, 300 * S);
	ask = rig_get(r, 5);
	ask.min_ttl = duration_s(1800);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
	assert_true(rig_decide(r));
	rig_answer_token(r, "two", 3600);
	rig_decide(r);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
	assert_string_equal(r->o.slot->token.text, "two");
	rig_free(r);
}

/* Invariant 8. */
static void lone_lie_costs_one_fetch(void **state)
{
	static const int64_t lies[] = {-86400 * S, -60 * S, 60 * S, 600 * S, 86400 * S};

	(void)state;
	for (size_t i = 0; i < LENGTH(lies); i++) {
		struct rig *r = rig_new(NULL, 1);
		int64_t honest = r->theta, refresh_at;

		rig_fetch_token(r, "one", 3600);
		rig_pass(r, 100 * S);
		r->theta += lies[i];
		rig_head(r);
		r->theta = honest;
		/* at once if it would be dead; else if no other exchange settles it in 10 s */
		if (rig_decide(r) || (lies[i] > 0 && rig_wake(r)))
			rig_answer_token(r, "two", 3600);
		assert_int_equal(r->fetches, lies[i] > 0 ? 2 : 1);
		assert_true(r->now.boot.ns < 1111 * S);
		refresh_at = r->s.refresh_at.ns;
		while (r->now.boot.ns < refresh_at - 60 * S) {
			rig_head(r);
			assert_false(rig_decide(r));
			assert_int_equal(r->d.probes, 0);
			rig_pass(r, 60 * S);
		}
		rig_free(r);
	}
}

static void lone_exchanges_fetch_once_a_minute(void **state)
{
	static const struct {
		int64_t apart_ns;
		bool again;
	} cases[] = {{60 * S - 1, false}, {60 * S, true}};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct rig *r = rig_new(NULL, 1);
		int64_t honest = r->theta;

		rig_fetch_token(r, "one", 3600);
		rig_pass(r, 100 * S);
		r->theta = honest + 4000 * S;
		rig_head(r);
		assert_true(rig_decide(r));
		r->theta = honest;
		assert_true(rig_answer_token(r, "two", 3600));
		assert_false(rig_decide(r));
		rig_pass(r, cases[i].apart_ns - 2 * r->rtt);
		r->theta = honest + 4000 * S;
		rig_head(r);
		assert_int_equal(rig_decide(r), cases[i].again);
		rig_free(r);
	}
}

/* HEAD is answered by a clock that runs ahead of the one that tokens come with, and nothing proved
 * it in time: the token is confirmed once for each that is due, and no oftener. */
static void clocks_that_always_disagree_make_no_loop(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	int64_t began = r->now.boot.ns, honest = r->theta;
	char text[32];

	(void)state;
	rig_decide(r);
	while (r->now.boot.ns < began + 86400 * S) {
		if (token_source_fetching(&r->s)) {
			snprintf(text, sizeof(text), "token-%u", r->fetches);
			rig_answer_token(r, text, 900);
			r->theta = honest + 60 * S;
			rig_head(r);
			r->theta = honest;
		}
		if (!rig_decide(r) && r->d.probes) {
			r->theta = honest + 60 * S;
			rig_head(r);
			r->theta = honest;
		} else if (!token_source_fetching(&r->s)) {
			rig_wake(r);
		}
		assert_non_null(rig_served(r));
	}
	/* 900 s less margins, spread and the supposed step */
	assert_true(r->fetches <= 2 * 86400 / (900 - 90 - 23 - 60 - 60));
	rig_free(r);
}

/* nbf in the future, or replicas apart: the token is here, and nobody fetches another; who can wait
 * gets it in the moment it becomes valid. */
static void token_of_the_future_is_waited_for(void **state)
{
	struct jwt_claims claims = {.has_nbf = true};
	struct rig *r = rig_new(NULL, 1);
	struct token_ask patient, hasty, later;

	(void)state;
	rig_decide(r);
	patient = rig_get(r, 60);
	hasty = rig_get(r, 1);
	assert_int_equal(rig_ask(r, &patient), OUTCOME_HOLD);
	claims.nbf = (r->now.boot.ns + r->theta) / S + 3;
	rig_answer_claims(r, "one", 3600, &claims);
	assert_false(rig_decide(r));
	assert_int_equal(rig_ask(r, &patient), OUTCOME_HOLD);
	assert_int_equal(rig_ask(r, &hasty), OUTCOME_UNAVAILABLE);
	assert_in_range(r->o.retry_after_s, 3, 4);
	later = rig_get(r, 60);
	assert_int_equal(rig_ask(r, &later), OUTCOME_HOLD);
	assert_false(rig_wake(r));
	assert_true(r->d.changed); /* who is held must hear of it */
	assert_int_equal(rig_ask(r, &patient), OUTCOME_TOKEN);
	assert_int_equal(rig_ask(r, &later), OUTCOME_TOKEN);
	assert_int_equal(r->fetches, 1);
	rig_free(r);
}

/* A step shortens its life until nothing is left of it: it is let go at once, not when it would
 * have become valid. */
static void token_without_a_future_is_let_go(void **state)
{
	struct jwt_claims claims = {.has_nbf = true};
	struct rig *r = rig_new(NULL, 1);
	struct token_ask ask;

	(void)state;
	rig_decide(r);
	claims.nbf = (r->now.boot.ns + r->theta) / S + 3;
	rig_answer_claims(r, "one", 1200, &claims);
	rig_decide(r);
	r->theta += 1300 * S;
	rig_head(r);
	rig_decide(r);
	rig_head(r);
	rig_answer_failure(r, RESPONSE_UNAVAILABLE, -1);
	rig_decide(r);
	assert_null(r->s.current.token.text);
	ask = rig_get(r, 5);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD); /* for the next attempt */
	while (!rig_wake(r))
		;
	rig_answer_token(r, "two", 3600);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
	rig_free(r);
}

/* Another token arrives while the old one still serves: what serves is kept until its successor
 * may. */
static void second_successor_leaves_no_gap(void **state)
{
	static const int64_t spreads[] = {0, 3 * S};

	(void)state;
	for (size_t i = 0; i < LENGTH(spreads); i++) {
		struct rig *r = rig_new(NULL, 1);
		struct token_ask ask;

		rig_fetch_token(r, "one", 3600);
		assert_true(rig_wake(r));
		r->spread.ns = spreads[i];
		rig_answer_token(r, "two", 3600);
		rig_decide(r);
		assert_string_equal(rig_served(r), "one");
		ask = rig_refresh(r, 5);
		rig_ask(r, &ask);
		assert_true(rig_decide(r));
		rig_answer_token(r, "three", 3600);
		for (int n = 0; n < 60; n++) {
			rig_decide(r);
			assert_non_null(rig_served(r));
			rig_pass(r, 100 * MS);
		}
		assert_string_equal(rig_served(r), "three");
		rig_free(r);
	}
}

/* Who needs more time than the old token has waits for the one that is here, and no third is
 * fetched. */
static void successor_in_sight_is_enough(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token_ask ask;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	assert_true(rig_wake(r));
	r->spread.ns = 3 * S;
	rig_answer_jwt(r, "two", 3600);
	rig_decide(r);
	ask = rig_get(r, 5);
	ask.min_ttl = duration_s(1500);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
	assert_false(rig_decide(r));
	assert_false(rig_wake(r));
	assert_true(r->d.changed);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
	assert_string_equal(r->o.slot->token.text, "two");
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(server_step_is_confirmed_then_counted),
		cmocka_unit_test(step_seen_by_the_refresh_needs_no_other),
		cmocka_unit_test(counted_step_may_end_a_token),
		cmocka_unit_test(counted_step_refuses_no_min_ttl),
		cmocka_unit_test(lone_lie_costs_one_fetch),
		cmocka_unit_test(lone_exchanges_fetch_once_a_minute),
		cmocka_unit_test(clocks_that_always_disagree_make_no_loop),
		cmocka_unit_test(token_of_the_future_is_waited_for),
		cmocka_unit_test(token_without_a_future_is_let_go),
		cmocka_unit_test(second_successor_leaves_no_gap),
		cmocka_unit_test(successor_in_sight_is_enough),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
