/* Our wall clock was set, or our machine stood still and nobody can tell yet: no dead token is
 * handed out as a good one, nobody waits for what cannot come, and the clock makes no fetch loop.
 */
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

/* Nor does time in doubt count for who needs so much of it. */
static void min_ttl_leaves_out_what_is_in_doubt(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token_ask ask;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	rig_pass(r, 1300 * S);
	set_wall_ahead(r, 600 * S);
	ask = rig_get(r, 5);
	ask.min_ttl = duration_s(1600);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
	assert_true(r->o.expires_in.ns >= 1600 * S);
	ask = rig_get(r, 5);
	ask.min_ttl = duration_s(1750);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
	assert_true(rig_decide(r));
	rig_head(r); /* nothing was lost: it is enough */
	rig_decide(r);
	assert_true(r->d.changed);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
	assert_string_equal(r->o.slot->token.text, "one");
	rig_free(r);
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
	rig_answer_failure(r, RESPONSE_UNAVAILABLE, -1);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
	assert_true(r->o.stale);
	rig_free(r);
}

/* Nor is anybody held where no fetch may begin in time. */
static void doubt_without_a_remedy_holds_nobody(void **state)
{
	struct token_source_settings settings = usual_settings();
	struct token_ask ask;
	struct rig *r;

	(void)state;
	settings.mint_limit = 1;
	r = rig_new(&settings, 1);
	rig_fetch_token(r, "one", 3600);
	rig_pass(r, 10 * S);
	set_wall_ahead(r, 4000 * S);
	assert_false(rig_decide(r));
	ask = rig_get(r, 60);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
	assert_true(r->o.stale);
	ask = rig_get(r, 300);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
	assert_true(!rig_decide(r) && rig_wake(r));
	rig_answer_token(r, "two", 3600);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
	assert_false(r->o.stale);
	rig_free(r);
}

/* Without prefetch a doubt is settled for whoever asks, and for nobody else. */
static void doubt_waits_for_demand_without_prefetch(void **state)
{
	struct token_ask ask;
	struct rig *r = rig_without_prefetch();

	(void)state;
	ask = rig_get(r, 5);
	rig_ask(r, &ask);
	rig_fetch_token(r, "one", 3600);
	set_wall_ahead(r, 4000 * S);
	assert_false(rig_decide(r));
	assert_int_equal(r->d.probes, 1);
	ask = rig_get(r, 5);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
	assert_true(rig_decide(r));
	rig_answer_token(r, "two", 3600);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
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

/* The clock is set back and ahead again, and a HEAD that left in between casts a doubt on the older
 * token: the newer one, which was in its guard, is there for whoever waits for it. */
static void doubt_that_ends_a_guard_tells_who_waits(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct clock_reading sent;
	struct skew_sample sample;
	struct token_ask ask;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	assert_true(rig_wake(r));
	rig_pass_until(r, boot_sub(lifetime_dead(&r->s.current.life), duration_s(15)));
	rig_answer_token(r, "two", 3600);
	rig_decide(r);
	set_wall_ahead(r, -16 * S);
	rig_decide(r);
	sent = r->now;
	rig_pass(r, r->rtt);
	set_wall_ahead(r, 16 * S);
	rig_decide(r);
	ask = rig_get(r, 60);
	ask.has_after = true;
	ask.after = 1;
	assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
	sample = rig_sample(r, &sent, r->now.boot);
	token_source_exchange(&r->s, &r->now, &sample, DURATION_ZERO);
	rig_decide(r);
	assert_true(r->now.boot.ns < r->s.current.life.guard_until.ns);
	assert_true(r->d.changed);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
	assert_int_equal(r->o.slot->generation, 2);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_step_is_only_asked_about),
		cmocka_unit_test(min_ttl_leaves_out_what_is_in_doubt),
		cmocka_unit_test(step_back_is_nothing),
		cmocka_unit_test(doubtful_token_is_held_until_answered),
		cmocka_unit_test(doubtful_token_beats_none),
		cmocka_unit_test(doubt_without_a_remedy_holds_nobody),
		cmocka_unit_test(doubt_waits_for_demand_without_prefetch),
		cmocka_unit_test(held_callers_are_fetched_for),
		cmocka_unit_test(guard_is_no_reason_to_serve_a_doubtful_token),
		cmocka_unit_test(doubt_that_ends_a_guard_tells_who_waits),
		cmocka_unit_test(setting_the_clock_makes_no_fetch_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
