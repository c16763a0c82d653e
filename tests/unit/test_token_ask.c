/* What a caller gets who asks for a token, or an admin who wants a new one: at once, held, or told
 * why not and when to try again. */
#include "source_fixture.h"

#include "core/token_login.h"

#define LENGTH(a) (sizeof(a) / sizeof(*(a)))

static void fresh_token_at_once(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token_ask ask;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	ask = rig_get(r, 0);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
	assert_string_equal(r->o.slot->token.text, "one");
	assert_int_equal(r->o.slot->generation, 1);
	assert_false(r->o.stale);
	assert_int_equal(r->o.retry_after_s, -1);
	assert_int_equal(r->o.expires_in.ns, lifetime_dead(&r->s.current.life).ns - r->now.boot.ns);
	assert_false(token_source_needs_turn(&r->s)); /* a read and nothing else */
	assert_int_equal(r->s.counters.served, 1);
	assert_int_equal(r->s.counters.served_stale, 0);
	rig_free(r);
}

/* A cold start with a thousand callers: one fetch, and all of them get its token. */
static void everybody_waits_for_one_fetch(void **state)
{
	static struct token_ask asks[1000];
	struct rig *r = rig_new(NULL, 1);

	(void)state;
	for (size_t i = 0; i < LENGTH(asks); i++) {
		asks[i] = rig_get(r, 5);
		assert_int_equal(rig_ask(r, &asks[i]), OUTCOME_HOLD);
		if (i % 100 == 50)
			rig_decide(r);
		rig_pass(r, MS);
	}
	assert_int_equal(r->fetches, 1);
	rig_answer_token(r, "one", 3600);
	rig_decide(r);
	assert_true(r->d.changed);
	for (size_t i = 0; i < LENGTH(asks); i++) {
		assert_int_equal(rig_ask(r, &asks[i]), OUTCOME_TOKEN);
		assert_int_equal(r->o.slot->generation, 1);
	}
	assert_int_equal(r->fetches, 1);
	assert_int_equal(r->s.counters.served, 1000);
	rig_free(r);
}

/* Held while a fetch runs, or the next attempt falls inside the wait; else told at once. */
static void without_a_token(void **state)
{
	static const struct {
		const char *what;
		enum { NOT_TRIED, FETCHING, BACKOFF_20_S } source;
		int64_t wait_s;
		enum ask_outcome now, at_deadline;
		int64_t retry_after_s; /* of `now` */
	} cases[] = {
		{"a fetch can begin", NOT_TRIED, 5, OUTCOME_HOLD, OUTCOME_TIMEOUT, 0},
		{"the same, and no wait", NOT_TRIED, 0, OUTCOME_TIMEOUT, OUTCOME_TIMEOUT, 0},
		{"a fetch runs", FETCHING, 5, OUTCOME_HOLD, OUTCOME_TIMEOUT, 0},
		{"the same, and no wait", FETCHING, 0, OUTCOME_TIMEOUT, OUTCOME_TIMEOUT, 0},
		{"the next is too far off", BACKOFF_20_S, 19, OUTCOME_UNAVAILABLE,
			OUTCOME_UNAVAILABLE, 20},
		{"the next is in time", BACKOFF_20_S, 20, OUTCOME_HOLD, OUTCOME_TIMEOUT, 0},
		{"no wait", BACKOFF_20_S, 0, OUTCOME_UNAVAILABLE, OUTCOME_UNAVAILABLE, 20},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct rig *r = rig_new(NULL, 1);
		struct token_ask ask;
		enum ask_outcome kind;

		if (cases[i].source != NOT_TRIED)
			rig_decide(r);
		if (cases[i].source == BACKOFF_20_S) {
			rig_answer_failure(r, RESPONSE_UNAVAILABLE, 19);
			rig_decide(r);
		}
		ask = rig_get(r, cases[i].wait_s);
		kind = rig_ask(r, &ask);
		if (kind != cases[i].now)
			fail_msg("%s: %d", cases[i].what, (int)kind);
		if (kind == OUTCOME_UNAVAILABLE)
			assert_int_equal(r->o.retry_after_s, cases[i].retry_after_s);
		rig_decide(r);
		rig_pass(r, cases[i].wait_s * S);
		rig_decide(r);
		kind = rig_ask(r, &ask);
		if (kind != cases[i].at_deadline)
			fail_msg("%s, at the deadline: %d", cases[i].what, (int)kind);
		rig_free(r);
	}
}

/* A fetch that fails answers those for whom the next one would come too late, and them only. */
static void failure_answers_who_cannot_wait(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token_ask hasty, patient;

	(void)state;
	hasty = rig_get(r, 5);
	patient = rig_get(r, 30);
	rig_ask(r, &hasty);
	rig_ask(r, &patient);
	rig_decide(r);
	rig_answer_failure(r, RESPONSE_THROTTLED, 10);
	rig_decide(r);
	assert_true(r->d.changed);
	assert_int_equal(rig_ask(r, &hasty), OUTCOME_UNAVAILABLE);
	assert_int_equal(r->o.retry_after_s, 11);
	assert_int_equal(rig_ask(r, &patient), OUTCOME_HOLD);
	assert_true(rig_wake(r));
	rig_answer_token(r, "one", 3600);
	assert_int_equal(rig_ask(r, &patient), OUTCOME_TOKEN);
	rig_free(r);
}

static void says_why_there_is_none(void **state)
{
	static const struct {
		enum response_class class;
		enum source_login login;
		enum ask_outcome outcome;
	} cases[] = {
		{RESPONSE_UNAVAILABLE, SOURCE_LOGIN_NOT_NEEDED, OUTCOME_UNAVAILABLE},
		{RESPONSE_THROTTLED, SOURCE_LOGIN_NOT_NEEDED, OUTCOME_UNAVAILABLE},
		{RESPONSE_CLIENT_REJECTED, SOURCE_LOGIN_NOT_NEEDED, OUTCOME_CLIENT_REJECTED},
		{RESPONSE_LOGIN_REQUIRED, SOURCE_LOGIN_READY, OUTCOME_LOGIN_REQUIRED},
		/* nobody could log in to it */
		{RESPONSE_LOGIN_REQUIRED, SOURCE_LOGIN_NOT_NEEDED, OUTCOME_CLIENT_REJECTED},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct rig *r = rig_new(NULL, 1);
		struct token_ask get, refresh;

		token_source_set_login(&r->s, cases[i].login);
		rig_decide(r);
		refresh = rig_refresh(r, 5);
		rig_ask(r, &refresh);
		rig_answer_failure(r, cases[i].class, 100);
		get = rig_get(r, 5);
		assert_int_equal(rig_ask(r, &get), cases[i].outcome);
		assert_int_equal(rig_ask(r, &refresh), cases[i].outcome);
		rig_free(r);
	}
}

static void min_ttl_has_a_limit(void **state)
{
	static const struct {
		int64_t expires_in_s, use_margin_s, spread_ms, limit_s;
	} cases[] = {
		{3600, 5, 0, 1800},
		{3601, 5, 0, 1800},
		{86400, 5, 0, 43200},
		{300, 5, 0, 150},
		{15, 5, 0, 7},
		/* also where the server's clocks take much of it */
		{20, 5, 4000, 10},
		{14, 5, 4900, 7},
		{10, 5, 0, 5},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct token_source_settings settings = usual_settings();
		struct token_ask ask;
		struct rig *r;

		settings.policy.use_margin = duration_s(cases[i].use_margin_s);
		r = rig_new(&settings, 1);
		r->spread.ns = cases[i].spread_ms * MS;
		ask = rig_get(r, 60);
		ask.min_ttl = duration_s(1000000); /* what the limit is, nobody knows yet */
		assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
		rig_decide(r);
		rig_answer_token(r, "one", cases[i].expires_in_s);
		rig_decide(r);
		assert_int_equal(rig_ask(r, &ask), OUTCOME_MIN_TTL);
		assert_int_equal(r->o.limit_s, cases[i].limit_s);
		rig_pass_until(r, r->s.current.life.valid);
		ask = rig_get(r, 60);
		ask.min_ttl = duration_s(cases[i].limit_s + 1);
		assert_int_equal(rig_ask(r, &ask), OUTCOME_MIN_TTL);
		ask = rig_get(r, 60);
		ask.min_ttl = duration_s(cases[i].limit_s);
		assert_int_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
		assert_true(r->o.expires_in.ns >= ask.min_ttl.ns);
		assert_int_equal(r->fetches, 1);
		rig_free(r);
	}
}

/* Up to half of expires_in is never refused as such. What shortens a token for a while makes no 400
 * of it; nor does it make fetches that cannot help. */
static void min_ttl_that_no_token_has_just_now(void **state)
{
	static const struct {
		const char *what;
		int64_t expires_in_s, rtt_ms, spread_before_ms, spread_later_ms, min_ttl_s;
		enum ask_outcome outcome;
	} cases[] = {
		/* the spread takes from both ends, and still leaves half */
		{"clocks far apart before", 14, 2, 4900, 4900, 7, OUTCOME_TOKEN},
		{"clocks far apart before, longer tokens", 50, 2, 5000, 5000, 25, OUTCOME_TOKEN},
		{"clocks found to be apart later", 14, 2, 0, 4900, 7, OUTCOME_TOKEN},
		{"clocks found to be apart later, longer tokens", 60, 2, 0, 5000, 30,
			OUTCOME_TOKEN},
		/* 9 s - 4 s - 1 s are left when it comes */
		{"a slow server", 10, 4000, 0, 0, 3, OUTCOME_TOKEN},
		{"a slow server, and all it could have", 10, 4000, 0, 0, 4, OUTCOME_TOO_SHORT},
		{"a slow server, and half of expires_in", 10, 4000, 0, 0, 5, OUTCOME_TOO_SHORT},
		{"a slower server, longer tokens", 20, 8000, 1000, 1000, 10, OUTCOME_TOO_SHORT},
		{"more than half", 10, 4000, 0, 0, 6, OUTCOME_MIN_TTL},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct rig *r = rig_new(NULL, 1);
		struct token_ask ask;

		r->rtt = cases[i].rtt_ms * MS;
		r->spread.ns = cases[i].spread_before_ms * MS;
		rig_fetch_token(r, "one", cases[i].expires_in_s);
		rig_pass_until(r, r->s.current.life.valid);
		r->spread.ns = cases[i].spread_later_ms * MS;
		r->rtt = 1000;
		rig_head(r);
		rig_decide(r);
		ask = rig_get(r, 5);
		ask.min_ttl = duration_s(cases[i].min_ttl_s);
		if (rig_ask(r, &ask) != cases[i].outcome)
			fail_msg("%s: %d", cases[i].what, (int)r->o.kind);
		assert_false(rig_decide(r));
		assert_int_equal(r->fetches, 1);
		if (cases[i].outcome == OUTCOME_TOO_SHORT) {
			assert_true(r->o.limit_s < cases[i].min_ttl_s);
			assert_in_range(r->o.retry_after_s, 1, cases[i].expires_in_s);
			/* but a fetch that runs anyway may bring one */
			assert_true(rig_wake(r));
			ask = rig_get(r, 5);
			ask.min_ttl = duration_s(cases[i].min_ttl_s);
			assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
			rig_answer_token(r, "two", cases[i].expires_in_s);
			rig_decide(r);
			rig_pass_until(r, r->s.current.life.valid);
			assert_int_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
		}
		rig_free(r);
	}
}

/* It waits for the next refresh, a minute at most. */
static void too_short_says_when_to_try_again(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token_ask ask;

	(void)state;
	r->rtt = 590 * S; /* of a server that is that slow */
	rig_fetch_token(r, "one", 1200);
	ask = rig_get(r, 5);
	ask.min_ttl = duration_s(600);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
	rig_pass(r, 10 * S);
	ask = rig_get(r, 5);
	ask.min_ttl = duration_s(600);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD); /* a new one would have it */
	rig_free(r);
	r = rig_new(NULL, 1);
	r->rtt = 700 * S;
	rig_fetch_token(r, "one", 1200);
	ask = rig_get(r, 5);
	ask.min_ttl = duration_s(600);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_TOO_SHORT);
	assert_int_equal(
		r->o.retry_after_s, duration_ceil_s(boot_since(r->s.refresh_at, r->now.boot)));
	rig_pass_until(r, boot_sub(r->s.refresh_at, duration_ms(1500)));
	ask = rig_get(r, 5);
	ask.min_ttl = duration_s(600);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_TOO_SHORT);
	assert_int_equal(r->o.retry_after_s, 2);
	rig_free(r);
}

static void min_ttl_fetches_when_too_little_is_left(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token_ask modest, demanding[100];

	(void)state;
	rig_fetch_token(r, "one", 3600);
	rig_pass(r, 1800 * S);
	for (size_t i = 0; i < LENGTH(demanding); i++) {
		demanding[i] = rig_get(r, 5);
		demanding[i].min_ttl = duration_s(1800);
		assert_int_equal(rig_ask(r, &demanding[i]), OUTCOME_HOLD);
	}
	modest = rig_get(r, 5);
	modest.min_ttl = duration_s(1790);
	assert_int_equal(rig_ask(r, &modest), OUTCOME_TOKEN);
	assert_true(rig_decide(r));
	assert_int_equal(r->fetches, 2);
	rig_answer_token(r, "two", 3600);
	assert_false(rig_decide(r));
	/* its guard is caution towards replicas: who needs the time gets it */
	assert_string_equal(rig_served(r), "one");
	for (size_t i = 0; i < LENGTH(demanding); i++) {
		assert_int_equal(rig_ask(r, &demanding[i]), OUTCOME_TOKEN);
		assert_string_equal(r->o.slot->token.text, "two");
	}
	rig_free(r);
}

/* The greediest client there can be does not make a loop. */
static void min_ttl_makes_no_loop(void **state)
{
	static const int64_t lives_s[] = {10, 11, 20, 60, 300, 3600};

	(void)state;
	for (size_t i = 0; i < LENGTH(lives_s); i++) {
		struct token_source_settings settings = usual_settings();
		int64_t began;
		char text[32];
		struct rig *r;

		settings.mint_limit = 1000; /* not what holds it here */
		r = rig_new(&settings, 1);
		began = r->now.boot.ns;
		while (r->now.boot.ns < began + 20 * lives_s[i] * S) {
			struct token_ask ask = rig_get(r, 5);

			ask.min_ttl = duration_s(lives_s[i] / 2);
			rig_ask(r, &ask);
			if (rig_decide(r)) {
				snprintf(text, sizeof(text), "token-%u", r->fetches);
				rig_answer_token(r, text, lives_s[i]);
			}
			rig_pass(r, lives_s[i] * 7 * MS);
		}
		/* half a life each, less what margins take of short ones */
		assert_in_range(r->fetches, 20, 20 * 4);
		if (lives_s[i] >= 60)
			assert_true(r->fetches <= 20 * 5 / 2);
		rig_free(r);
	}
}

static void after_waits_for_another_generation(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token_ask ask, other;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	ask = rig_get(r, 5);
	ask.has_after = true;
	ask.after = 1;
	assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
	assert_false(rig_decide(r)); /* it does not cause one */
	other = rig_get(r, 5);
	other.has_after = true;
	other.after = 0;
	assert_int_equal(rig_ask(r, &other), OUTCOME_TOKEN);
	other.after = 7;
	assert_int_equal(rig_ask(r, &other), OUTCOME_TOKEN);
	rig_pass(r, 5 * S);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_UNCHANGED);
	rig_wake(r);
	ask = rig_get(r, 300);
	ask.has_after = true;
	ask.after = 1;
	assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
	rig_answer_token(r, "two", 3600);
	rig_decide(r);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD); /* while the old one serves */
	rig_wake(r);
	assert_true(r->d.changed);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
	assert_int_equal(r->o.slot->generation, 2);
	rig_free(r);
}

/* Somebody who already has the newest (it replaced one that they rejected) does not get the older
 * one, however long that serves the others. */
static void after_never_goes_back(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token_ask ask;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	rig_wake(r);
	rig_answer_token(r, "two", 3600);
	rig_decide(r);
	assert_string_equal(rig_served(r), "one");
	ask = rig_get(r, 1);
	ask.has_after = true;
	ask.after = 2;
	assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
	rig_pass(r, S);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_UNCHANGED);
	rig_free(r);
}

/* Until the planned refresh plus 5 s, plus up to 10 % at random, at least 5, below expires_in. */
static void refresh_in_spreads_clients_out(void **state)
{
	static const int64_t ages_s[] = {0, 1000, 3200, 3400, 3550, 3580, 3585, 3588, 3591};

	(void)state;
	for (size_t i = 0; i < LENGTH(ages_s); i++) {
		struct rig *r = rig_new(NULL, 1);
		int64_t due_s, least = INT64_MAX, most = 0, expires_in_s;

		rig_fetch_token(r, "one", 3600);
		due_s = (r->s.refresh_at.ns - r->now.boot.ns - ages_s[i] * S) / S;
		due_s = (due_s > 0 ? due_s : 0) + 5;
		rig_pass(r, ages_s[i] * S);
		for (int n = 0; n < 300; n++) {
			assert_non_null(rig_served(r));
			least = r->o.refresh_in_s < least ? r->o.refresh_in_s : least;
			most = r->o.refresh_in_s > most ? r->o.refresh_in_s : most;
		}
		expires_in_s = r->o.expires_in.ns / S;
		assert_true(least >= 5);
		assert_true(most <= due_s + due_s / 10);
		if (expires_in_s > 5)
			assert_true(most < expires_in_s);
		if (due_s < expires_in_s)
			assert_true(least >= due_s);
		if (due_s >= 100) /* and they are spread out */
			assert_true(most - least >= due_s / 20);
		rig_free(r);
	}
}

static void overdue_refresh_is_stale(void **state)
{
	struct rig *r = rig_new(NULL, 1);

	(void)state;
	rig_fetch_token(r, "one", 3600);
	assert_true(rig_wake(r));
	rig_pass(r, 15 * S);
	rig_served(r);
	assert_false(r->o.stale);
	assert_int_equal(rig_state(r), SOURCE_FRESH);
	rig_pass(r, 1);
	rig_served(r);
	assert_true(r->o.stale);
	assert_int_equal(rig_state(r), SOURCE_STALE);
	assert_int_equal(r->s.counters.served_stale, 1);
	rig_free(r);
}

static void last_second_is_not_handed_out(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token_ask ask;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	rig_pass_until(r, boot_sub(lifetime_dead(&r->s.current.life), duration_s(1)));
	assert_non_null(rig_served(r));
	assert_int_equal(r->o.expires_in.ns, S);
	rig_pass(r, 1);
	assert_null(rig_served(r)); /* whether or not a decision has been made since */
	rig_free(r);

	/* nor is it waited for */
	r = rig_without_prefetch();
	rig_served(r);
	rig_fetch_token(r, "one", 3600);
	rig_pass_until(r, lifetime_dead(&r->s.current.life));
	ask = rig_get(r, 5);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
	assert_true(rig_decide(r));
	rig_free(r);
}

static void admin_joins_a_fetch_under_way(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token_ask asks[10];

	(void)state;
	rig_fetch_token(r, "one", 3600);
	for (size_t i = 0; i < LENGTH(asks); i++) {
		asks[i] = rig_refresh(r, 5);
		assert_int_equal(rig_ask(r, &asks[i]), OUTCOME_HOLD);
		if (i == 4)
			assert_true(rig_decide(r));
		else
			assert_false(i > 4 && rig_decide(r));
	}
	assert_string_equal(rig_served(r), "one"); /* nobody else has to wait */
	rig_answer_token(r, "two", 3600);
	for (size_t i = 0; i < LENGTH(asks); i++) {
		assert_int_equal(rig_ask(r, &asks[i]), OUTCOME_TOKEN);
		assert_string_equal(r->o.slot->token.text, "two"); /* whatever its guard */
	}
	rig_decide(r);
	assert_int_equal(r->fetches, 2);
	rig_free(r);
}

/* What waited for a fetch is asked again some loop passes after it; the token may be gone by then.
 */
static void late_answer_is_judged_anew(void **state)
{
	enum { DEAD, REPORTED, IN_DOUBT, REVOKED };

	(void)state;
	for (int what = DEAD; what <= REVOKED; what++) {
		struct rig *r = rig_new(NULL, 1);
		struct token_ask ask = rig_refresh(r, 5000), reject;

		rig_ask(r, &ask);
		rig_decide(r);
		rig_answer_token(r, "one", 3600);
		switch (what) {
		case DEAD:
			rig_pass_until(r, lifetime_dead(&r->s.current.life));
			break;
		case REPORTED:
			reject = rig_reject(r, 1, 5);
			rig_ask(r, &reject);
			break;
		case IN_DOUBT:
			r->now.wall.ns += 3593 * S;
			break;
		case REVOKED:
			rig_revoke(r);
			assert_int_equal(rig_ask(r, &ask), OUTCOME_REVOKED);
			rig_free(r);
			continue;
		}
		assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
		assert_true(rig_decide(r));
		rig_answer_token(r, "two", 3600);
		assert_int_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
		assert_string_equal(r->o.slot->token.text, "two");
		rig_free(r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fresh_token_at_once),
		cmocka_unit_test(everybody_waits_for_one_fetch),
		cmocka_unit_test(without_a_token),
		cmocka_unit_test(failure_answers_who_cannot_wait),
		cmocka_unit_test(says_why_there_is_none),
		cmocka_unit_test(min_ttl_has_a_limit),
		cmocka_unit_test(min_ttl_that_no_token_has_just_now),
		cmocka_unit_test(too_short_says_when_to_try_again),
		cmocka_unit_test(min_ttl_fetches_when_too_little_is_left),
		cmocka_unit_test(min_ttl_makes_no_loop),
		cmocka_unit_test(after_waits_for_another_generation),
		cmocka_unit_test(after_never_goes_back),
		cmocka_unit_test(refresh_in_spreads_clients_out),
		cmocka_unit_test(overdue_refresh_is_stale),
		cmocka_unit_test(last_second_is_not_handed_out),
		cmocka_unit_test(admin_joins_a_fetch_under_way),
		cmocka_unit_test(late_answer_is_judged_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
