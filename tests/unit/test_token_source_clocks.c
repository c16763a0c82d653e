/* The token source when clocks are set, time is lost, or tokens come that are good only later:
 * nobody gets a dead token, nobody waits longer than needed, and no fetch too many is made. */
#include "source_fixture.h"

#define LENGTH(a) (sizeof(a) / sizeof(*(a)))

/* Our wall clock is set ahead by `ns`, which may be NTP's work or time we missed. */
static void set_wall_ahead(struct rig *r, int64_t ns)
{
	r->now.wall.ns += ns;
	token_source_clock_changed(&r->s);
}

/* The machine stood still: it has not noticed, but for its repaired wall clock. */
static void lose_time(struct rig *r, int64_t ns)
{
	r->theta += ns;
	set_wall_ahead(r, ns);
}

static void small_step_is_only_asked_about(void **state)
{
	static const int64_t steps[] = {600 * S, 3000 * S};

	(void)state;
	for (size_t i = 0; i < LENGTH(steps); i++) {
		struct rig *r = rig_new(NULL, 1);
		struct token_ask ask;

		rig_fetch_token(r, "one", 3600);
		set_wall_ahead(r, steps[i]);
		ask = rig_get(r, 5);
		assert_int_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
		assert_false(r->o.stale);
		/* what is promised allows for the loss */
		assert_in_range(r->o.expires_in.ns, 3593 * S - steps[i], 3594 * S - steps[i]);
		assert_false(rig_decide(r));
		assert_int_equal(r->d.probes, 1);
		rig_head(r); /* nothing was lost */
		assert_false(rig_decide(r));
		assert_int_equal(r->d.probes, 0);
		ask = rig_get(r, 5);
		assert_int_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
		assert_in_range(r->o.expires_in.ns, 3593 * S, 3594 * S);
		assert_int_equal(r->fetches, 1);
		rig_free(r);
	}
}

static void step_back_is_nothing(void **state)
{
	struct rig *r = rig_new(NULL, 1);

	(void)state;
	rig_fetch_token(r, "one", 3600);
	r->now.wall.ns -= 86400 * S;
	token_source_clock_changed(&r->s);
	assert_false(rig_decide(r));
	assert_int_equal(r->d.probes, 0);
	assert_string_equal(rig_served(r), "one");
	assert_in_range(r->o.expires_in.ns, 3593 * S, 3594 * S);
	rig_free(r);
}

/* The step could have eaten all that is left: a HEAD and a fetch at once, callers wait for
 * whichever answers first. */
static void doubtful_token_is_held_until_answered(void **state)
{
	enum { BY_HEAD, BY_FETCH, TIME_WAS_LOST };

	(void)state;
	for (int how = BY_HEAD; how <= TIME_WAS_LOST; how++) {
		struct rig *r = rig_new(NULL, 1);
		struct token_ask ask;

		rig_fetch_token(r, "one", 3600);
		if (how == TIME_WAS_LOST)
			lose_time(r, 4000 * S);
		else
			set_wall_ahead(r, 4000 * S);
		ask = rig_get(r, 5);
		assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
		assert_true(rig_decide(r));
		assert_int_equal(r->d.probes, 1);
		assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
		switch (how) {
		case BY_HEAD:
			rig_head(r);
			rig_decide(r);
			assert_true(r->d.changed); /* who is held must hear of it */
			assert_int_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
			assert_string_equal(r->o.slot->token.text, "one");
			assert_false(r->o.stale);
			break;
		case BY_FETCH:
			rig_answer_token(r, "two", 3600);
			rig_decide(r);
			assert_true(r->d.changed);
			assert_int_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
			assert_false(r->o.stale);
			break;
		case TIME_WAS_LOST:
			rig_head(r);
			rig_decide(r);
			assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
			assert_null(r->s.current.token.text);
			rig_answer_token(r, "two", 3600);
			assert_int_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
			assert_string_equal(r->o.slot->token.text, "two");
			break;
		}
		rig_free(r);
	}
}

static void doubtful_token_beats_none(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token_ask ask;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	set_wall_ahead(r, 4000 * S);
	ask = rig_get(r, 5);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
	assert_true(rig_decide(r));
	/* the wait ends first */
	rig_pass(r, 5 * S);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
	assert_true(r->o.stale);
	ask = rig_get(r, 5);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
	/* no answer comes (one that says 500 has a Date, and would settle it) */
	r->undated = true;
	rig_answer_failure(r, ANSWER_UNAVAILABLE, -1);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
	assert_true(r->o.stale);
	rig_free(r);
}

/* Whenever a caller is held because of a suspicion, a fetch is under way: for any rest of life. */
static void held_callers_are_fetched_for(void **state)
{
	(void)state;
	for (int64_t left_ms = 1000; left_ms <= 8000; left_ms += 125) {
		struct rig *r = rig_new(NULL, 1);
		struct token_ask ask;

		rig_fetch_token(r, "one", 3600);
		/* left_ms more than the step leaves */
		set_wall_ahead(r, 3000 * S);
		rig_pass_until(r, boot_sub(lifetime_dead(&r->s.current.life),
					  duration_ms(3000 * 1000 + left_ms)));
		ask = rig_get(r, 5);
		assert_int_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
		assert_false(rig_decide(r));
		/* by itself, without being asked: no later than the first caller would be held */
		while (!rig_wake(r))
			;
		assert_true(lifetime_dead(&r->s.current.life).ns - r->now.boot.ns <= 3001 * S);
		assert_true(lifetime_dead(&r->s.current.life).ns - r->now.boot.ns >= 3001 * S - 1);
		ask = rig_get(r, 5);
		assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
		rig_free(r);
	}
}

/* A doubtful token is doubtful also while it waits out the guard of its successor. */
static void guard_is_no_reason_to_serve_a_doubtful_token(void **state)
{
	struct rig *r = rig_new(NULL, 1);

	(void)state;
	rig_fetch_token(r, "one", 3600);
	assert_true(rig_wake(r));
	rig_answer_token(r, "two", 3600);
	rig_decide(r);
	assert_string_equal(rig_served(r), "one");
	set_wall_ahead(r, 1000 * S); /* more than is left of one, less than of two */
	rig_decide(r);
	assert_string_equal(rig_served(r), "two");
	assert_false(r->o.stale);
	rig_free(r);

	/* the same where the fetch that the suspicion caused proves nothing about the old one */
	r = rig_new(NULL, 1);
	r->undated = true;
	rig_fetch_token(r, "one", 3600);
	lose_time(r, 4000 * S);
	assert_true(rig_decide(r));
	assert_int_equal(r->d.probes, 0);
	rig_answer_token(r, "two", 3600);
	rig_decide(r);
	assert_string_equal(rig_served(r), "two");
	rig_free(r);
}

/* However the wall clock is set to and fro, on a server that answers: HEADs, but no fetch beyond
 * the first that a doubt may cost. */
static void setting_the_clock_makes_no_fetch_loop(void **state)
{
	(void)state;
	for (int undated = 0; undated < 2; undated++) {
		struct rig *r = rig_new(NULL, 1);
		struct random random = {9};

		r->undated = undated;
		rig_fetch_token(r, "one", 86400);
		for (int n = 0; n < 2000; n++) {
			char text[32];

			r->now.wall.ns = random_duration(&random, duration_s(86400 * 365)).ns;
			token_source_clock_changed(&r->s);
			if (rig_decide(r)) {
				snprintf(text, sizeof(text), "after-%d", n);
				rig_answer_token(r, text, 86400);
			} else if (r->d.probes) {
				rig_head(r);
			}
			rig_pass(r, 60 * S);
			assert_non_null(rig_served(r));
		}
		/* one for every step that might have eaten a whole token, which the dice make */
		assert_true(r->fetches <= 15 * (2000 * 60 / 300 + 1));
		rig_free(r);
	}
}

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
	assert_true(rig_decide(r)); /* one says so: to be sure, a fetch and a HEAD */
	assert_int_equal(r->d.probes, 1);
	assert_int_equal(lifetime_dead(&r->s.current.life).ns, dead);
	assert_string_equal(rig_served(r), "one");
	rig_head(r);
	assert_in_range(lifetime_dead(&r->s.current.life).ns, dead - 600 * S, dead - 596 * S);
	assert_int_equal(
		refresh_at - r->s.refresh_at.ns, dead - lifetime_dead(&r->s.current.life).ns);
	rig_answer_token(r, "two", 3600);
	rig_decide(r);
	rig_wake(r);
	assert_string_equal(rig_served(r), "two");
	assert_in_range(r->o.expires_in.ns, 3590 * S, 3594 * S);
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
		if (rig_decide(r))
			rig_answer_token(r, "two", 3600);
		assert_int_equal(r->fetches, lies[i] > 0 ? 2 : 1);
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
		if (r->s.fetching) {
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
		} else if (!r->s.fetching) {
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
	hasty = rig_get(r, 5);
	assert_int_equal(rig_ask(r, &patient), OUTCOME_HOLD);
	claims.nbf = (r->now.boot.ns + r->theta) / S + 30;
	rig_answer_claims(r, "one", 3600, &claims);
	assert_false(rig_decide(r));
	assert_int_equal(rig_ask(r, &patient), OUTCOME_HOLD);
	assert_int_equal(rig_ask(r, &hasty), OUTCOME_UNAVAILABLE);
	assert_in_range(r->o.retry_after_s, 29, 32);
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
	claims.nbf = (r->now.boot.ns + r->theta) / S + 1000;
	rig_answer_claims(r, "one", 1200, &claims);
	rig_decide(r);
	r->theta += 500 * S;
	rig_head(r);
	rig_decide(r);
	rig_head(r);
	rig_answer_failure(r, ANSWER_UNAVAILABLE, -1);
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
	rig_answer_token(r, "two", 3600);
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
		cmocka_unit_test(small_step_is_only_asked_about),
		cmocka_unit_test(step_back_is_nothing),
		cmocka_unit_test(doubtful_token_is_held_until_answered),
		cmocka_unit_test(doubtful_token_beats_none),
		cmocka_unit_test(held_callers_are_fetched_for),
		cmocka_unit_test(guard_is_no_reason_to_serve_a_doubtful_token),
		cmocka_unit_test(setting_the_clock_makes_no_fetch_loop),
		cmocka_unit_test(server_step_is_confirmed_then_counted),
		cmocka_unit_test(counted_step_may_end_a_token),
		cmocka_unit_test(lone_lie_costs_one_fetch),
		cmocka_unit_test(clocks_that_always_disagree_make_no_loop),
		cmocka_unit_test(token_of_the_future_is_waited_for),
		cmocka_unit_test(token_without_a_future_is_let_go),
		cmocka_unit_test(second_successor_leaves_no_gap),
		cmocka_unit_test(successor_in_sight_is_enough),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
