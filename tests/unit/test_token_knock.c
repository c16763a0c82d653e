/* A login server that takes requests and is silent: HEADs knock while callers are refused, and a
 * token request follows the first answer. */
#include "source_fixture.h"

#include "core/server_clock.h"
#include "core/token_knock.h"
#include "core/token_login.h"

#define TIMEOUT_S 10
#define PACE_LEAST_MS KNOCK_EVERY_MS
#define PACE_MOST_MS (KNOCK_EVERY_MS + KNOCK_JITTER_MS)

struct door {
	struct rig *r;
	struct server_clocks all;
	struct server_clock clock;
};

static struct door *door_new(bool probing, uint64_t seed)
{
	struct door *d = calloc(1, sizeof(*d));

	assert_non_null(d);
	d->r = rig_new(NULL, seed);
	server_clocks_init(&d->all, &d->r->now);
	server_clock_init(&d->clock, &d->all, probing, "https://login.example/");
	server_clock_join(&d->clock, &d->r->s);
	return d;
}

static void door_free(struct door *d)
{
	server_clock_leave(&d->r->s);
	server_clock_fini(&d->clock);
	rig_free(d->r);
	free(d);
}

/* The fetch under way ends without an answer; `passes_s` later. */
static void silence(struct rig *r, int64_t passes_s)
{
	struct token_response none = {
		.class = RESPONSE_UNAVAILABLE, .minted = true, .words = "no response in time"};

	assert_true(token_source_fetching(&r->s));
	rig_pass(r, passes_s * S);
	assert_false(rig_fetched(r, &none));
}

/* So many fetches in a row, each as soon as it may be, with callers who are refused. */
static void silent_times(struct rig *r, unsigned times)
{
	while (times--) {
		if (!token_source_fetching(&r->s) && !rig_decide(r))
			assert_true(rig_wake(r));
		assert_null(rig_served(r));
		silence(r, TIMEOUT_S);
		assert_false(rig_decide(r));
	}
}

static bool knock_leaves(struct door *d)
{
	bool knock;
	struct boot_time at = server_clock_knock(&d->clock, &d->r->now, &knock);

	assert_true(knock ? at.ns == BOOT_TIME_NEVER.ns : at.ns > d->r->now.boot.ns);
	return knock;
}

static void knock_ends(struct door *d, long status)
{
	struct exchange x = {.status = status, .date = "Tue, 14 Nov 2023 22:30:00 GMT"};

	rig_pass(d->r, status ? d->r->rtt : KNOCK_TIMEOUT_MS * MS);
	server_clock_knock_ended(&d->clock, &d->r->now, &x);
}

/* Until a knock leaves; in ms. */
static int64_t until_knock(struct door *d)
{
	int64_t ms = 0;

	while (!knock_leaves(d)) {
		rig_pass(d->r, 10 * MS);
		ms += 10;
		assert_true(ms < 60000);
	}
	return ms;
}

static struct duration until_next(struct rig *r)
{
	return boot_since(token_source_fetch_at(&r->s, &r->now), r->now.boot);
}

static void only_while_callers_are_refused(void **state)
{
	struct door *d = door_new(true, 1);

	(void)state;
	assert_true(rig_decide(d->r));
	assert_false(knock_leaves(d));
	assert_null(rig_served(d->r));
	assert_false(knock_leaves(d)); /* a first one may yet be answered */
	silence(d->r, TIMEOUT_S);
	assert_false(rig_decide(d->r));
	assert_false(knock_leaves(d)); /* nobody has asked since */
	assert_null(rig_served(d->r));
	assert_true(knock_leaves(d));
	assert_false(knock_leaves(d)); /* one at a time */
	door_free(d);
}

/* Of the HEADs that a server has to answer in 300 s. */
static void answers_share_the_window_of_the_clock(void **state)
{
	struct door *d = door_new(true, 1);
	struct probe_plan *plan = &d->clock.plan;
	int64_t began;

	(void)state;
	assert_true(rig_decide(d->r));
	silence(d->r, TIMEOUT_S);
	assert_false(rig_decide(d->r));
	assert_null(rig_served(d->r));
	began = d->r->now.boot.ns;
	for (unsigned n = 0; n < PROBES_IN_WINDOW - 1; n++)
		probe_sent(plan, d->r->now.boot);
	/* what is not answered takes no room */
	assert_true(knock_leaves(d));
	knock_ends(d, 0);
	assert_int_equal(plan->sent_count, PROBES_IN_WINDOW - 1);
	assert_in_range(until_knock(d), 0, PACE_MOST_MS);
	knock_ends(d, 404);
	assert_int_equal(plan->sent_count, PROBES_IN_WINDOW);
	assert_true(rig_decide(d->r));
	silence(d->r, TIMEOUT_S);
	assert_false(rig_decide(d->r));
	assert_null(rig_served(d->r));
	d->clock.knock.next = d->r->now.boot;
	assert_false(knock_leaves(d));
	assert_int_equal(d->r->s.knock.next.ns, began + PROBE_WINDOW_S * S);
	rig_pass_until(d->r, d->r->s.knock.next);
	assert_null(rig_served(d->r));
	assert_true(knock_leaves(d));
	door_free(d);
}

/* What is told of the next attempt reckons with no knock. */
static void next_attempt_is_the_fetch(struct rig *r)
{
	struct source_view v;

	token_source_view(&r->s, &r->now, &v);
	assert_int_equal(v.next_attempt.ns, token_source_fetch_at(&r->s, &r->now).ns);
	assert_true(v.next_attempt.ns > r->now.boot.ns);
}

static void nor_where_connections_are_refused_or_probing_is_off(void **state)
{
	struct token_response refused = {.class = RESPONSE_UNAVAILABLE, .words = "refused"};
	struct door *d = door_new(true, 2), *off = door_new(false, 2);

	(void)state;
	assert_true(rig_decide(d->r));
	assert_null(rig_served(d->r));
	assert_false(rig_fetched(d->r, &refused));
	assert_null(rig_served(d->r));
	assert_false(knock_leaves(d));
	silent_times(d->r, 1);
	assert_null(rig_served(d->r));
	d->clock.plan.foreign = true;
	assert_false(knock_leaves(d));
	next_attempt_is_the_fetch(d->r);
	d->clock.plan.foreign = false;
	assert_true(knock_leaves(d));
	assert_true(rig_decide(off->r));
	silent_times(off->r, 1);
	assert_null(rig_served(off->r));
	assert_false(knock_leaves(off));
	next_attempt_is_the_fetch(off->r);
	door_free(off);
	door_free(d);
}

static void every_few_seconds(void **state)
{
	int64_t least = INT64_MAX, most = 0;
	struct door *d = door_new(true, 3);

	(void)state;
	assert_true(rig_decide(d->r));
	silent_times(d->r, 6);
	assert_null(rig_served(d->r));
	assert_true(until_knock(d) < PACE_MOST_MS);
	for (unsigned i = 0; i < 200; i++) {
		int64_t ms;

		knock_ends(d, 0);
		ms = KNOCK_TIMEOUT_MS + until_knock(d);
		least = ms < least ? ms : least;
		most = ms > most ? ms : most;
	}
	assert_in_range(least, PACE_LEAST_MS, PACE_LEAST_MS + 50);
	assert_in_range(most, PACE_MOST_MS - 50, PACE_MOST_MS + 10);
	door_free(d);
}

/* The pause is long, and what everybody is told is not. */
static void an_answer_is_followed_by_a_request(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 100; seed++) {
		struct door *d = door_new(true, seed);
		struct rig *r = d->r;
		struct token_ask ask;
		struct source_view view;

		assert_true(rig_decide(r));
		silent_times(r, 12);
		assert_null(rig_served(r));
		until_knock(d);
		knock_ends(d, 0);
		assert_true(until_next(r).ns > 5 * S);
		assert_null(rig_served(r));
		assert_in_range(r->o.retry_after_s, 1, 4);
		token_source_view(&r->s, &r->now, &view);
		assert_int_equal(duration_ceil_s(boot_since(view.next_attempt, r->now.boot)),
			r->o.retry_after_s);
		ask = rig_get(r, 4);
		assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
		rig_decide(r);
		until_knock(d);
		knock_ends(d, 503);
		assert_true(token_source_needs_turn(&r->s));
		assert_true(rig_decide(r));
		assert_true(rig_answer_token(r, "a-token", 3600));
		assert_false(rig_decide(r));
		assert_string_equal(rig_served(r), "a-token");
		assert_false(knock_leaves(d));
		door_free(d);
	}
}

/* Whenever the silence ends, a request may follow; and no more are sent than ever. */
static void room_is_kept_for_it(void **state)
{
	struct door *d = door_new(true, 5);
	struct rig *r = d->r;
	struct boot_time begun = r->now.boot;

	(void)state;
	assert_true(rig_decide(r));
	while (boot_since(r->now.boot, begun).ns < 3600 * S) {
		bool begins = token_source_fetching(&r->s) || rig_decide(r);

		assert_null(rig_served(r));
		if (begins)
			silence(r, TIMEOUT_S);
		else if (knock_leaves(d))
			knock_ends(d, 0);
		else
			rig_pass(r, S / 2);
		if (boot_since(r->now.boot, begun).ns > 60 * S)
			assert_int_equal(
				mint_window_next(&r->mint, 15, r->now.boot).ns, r->now.boot.ns);
	}
	assert_in_range(r->fetches, 100, 3600 / 300 * 15);
	door_free(d);
}

static void begin_under_way(struct door *d)
{
	assert_true(rig_decide(d->r));
	silent_times(d->r, 1);
	assert_null(rig_served(d->r));
	if (!rig_decide(d->r))
		assert_true(rig_wake(d->r));
	rig_pass(d->r, 4 * S);
	assert_null(rig_served(d->r));
	until_knock(d);
	knock_ends(d, 200);
}

static void what_left_in_the_silence_is_given_up(void **state)
{
	struct door *d = door_new(true, 6);

	(void)state;
	begin_under_way(d);
	assert_false(rig_decide(d->r));
	assert_false(d->r->d.give_up);
	rig_pass(d->r, S / 2 - 1);
	rig_decide(d->r);
	assert_false(d->r->d.give_up);
	rig_pass(d->r, 1);
	rig_decide(d->r);
	assert_true(d->r->d.give_up);
	rig_decide(d->r);
	assert_false(d->r->d.give_up);
	silence(d->r, 0);
	assert_true(rig_decide(d->r));
	assert_int_equal(d->r->mint.count, 3);
	/* this one has its whole time */
	assert_null(rig_served(d->r));
	rig_pass(d->r, 9 * S);
	assert_false(knock_leaves(d));
	assert_false(rig_decide(d->r));
	assert_false(d->r->d.give_up);
	assert_true(rig_answer_token(d->r, "a-token", 3600));
	door_free(d);
}

static void or_is_answered_after_all(void **state)
{
	struct door *d = door_new(true, 7);

	(void)state;
	begin_under_way(d);
	assert_true(rig_answer_token(d->r, "a-token", 3600));
	rig_pass(d->r, S);
	assert_false(rig_decide(d->r));
	assert_false(d->r->d.give_up);
	assert_int_equal(d->r->fetches, 2);
	door_free(d);
}

static void or_ends_by_itself(void **state)
{
	struct door *d = door_new(true, 8);

	(void)state;
	begin_under_way(d);
	rig_decide(d->r);
	silence(d->r, 0);
	assert_true(rig_decide(d->r));
	door_free(d);
}

static void a_login_is_never_given_up(void **state)
{
	struct door *d = door_new(true, 9);

	(void)state;
	token_source_set_login(&d->r->s, SOURCE_LOGIN_READY);
	assert_true(rig_decide(d->r));
	silent_times(d->r, 1);
	assert_null(rig_served(d->r));
	assert_true(knock_leaves(d));
	knock_ends(d, 0);
	if (!token_source_fetching(&d->r->s) && !rig_decide(d->r))
		assert_true(rig_wake(d->r));
	assert_null(rig_served(d->r));
	rig_pass(d->r, 5 * S);
	assert_false(knock_leaves(d));
	silence(d->r, 5);
	rig_decide(d->r);
	assert_null(rig_served(d->r));
	until_knock(d);
	knock_ends(d, 404);
	assert_true(rig_decide(d->r));
	door_free(d);
}

/* HEADs are answered and token requests are not: one of them is sent for that, then all as ever. */
static void an_answer_that_misleads_does_so_once(void **state)
{
	struct door *d = door_new(true, 10);
	struct rig *r = d->r;
	int64_t ns;

	(void)state;
	assert_true(rig_decide(r));
	silent_times(r, 8);
	assert_null(rig_served(r));
	until_knock(d);
	knock_ends(d, 200);
	assert_true(rig_decide(r));
	silent_times(r, 1);
	assert_null(rig_served(r));
	ns = until_next(r).ns;
	assert_true(ns > 5 * S);
	assert_in_range(r->o.retry_after_s, ns / S, ns / S + 1);
	until_knock(d);
	knock_ends(d, 200);
	assert_false(rig_decide(r));
	assert_true(until_next(r).ns > 2 * S);
	assert_in_range(until_knock(d), KNOCK_KNOWN_EVERY_S * 900, KNOCK_KNOWN_EVERY_S * 1000);
	door_free(d);
}

/* A server that comes and goes: each time the pause is longer. */
static void one_that_comes_and_goes_is_believed_ever_less(void **state)
{
	struct door *d = door_new(true, 11);
	struct rig *r = d->r;

	(void)state;
	assert_true(rig_decide(r));
	silent_times(r, 2);
	for (unsigned vain = 1; vain < 6; vain++) {
		r->s.knock.vain = vain;
		r->s.knock.unheard = false;
		assert_null(rig_served(r));
		assert_false(token_source_knock_helps(&r->s));
		assert_true(token_source_knocked(&r->s, &r->now, false));
		assert_true(token_source_knock_helps(&r->s));
		assert_int_equal(token_source_knock_opens(&r->s, r->now.boot).ns,
			r->s.last_failure.at.ns + retry_vain(vain).ns);
	}
	assert_int_equal(retry_vain(1).ns, 10 * S);
	assert_int_equal(retry_vain(2).ns, 20 * S);
	assert_int_equal(retry_vain(3).ns, 40 * S);
	assert_int_equal(retry_vain(4).ns, 60 * S);
	assert_int_equal(retry_vain(UINT32_MAX).ns, 60 * S);
	door_free(d);
}

static void the_clock_learns_nothing(void **state)
{
	struct door *d = door_new(true, 12);
	struct skew skew;
	struct probe_plan plan;

	(void)state;
	assert_true(rig_decide(d->r));
	silent_times(d->r, 4);
	skew = d->clock.skew;
	plan = d->clock.plan;
	for (unsigned i = 0; i < 40; i++) {
		assert_null(rig_served(d->r));
		d->r->s.knock.vain = 1; /* so that no request follows */
		until_knock(d);
		knock_ends(d, i % 3 ? 200 : 0);
	}
	/* but for the room that answers take */
	assert_int_equal(d->clock.plan.sent_count, 26);
	memcpy(plan.sent, d->clock.plan.sent, sizeof(plan.sent));
	plan.sent_count = d->clock.plan.sent_count;
	assert_memory_equal(&skew, &d->clock.skew, sizeof(skew));
	assert_memory_equal(&plan, &d->clock.plan, sizeof(plan));
	door_free(d);
}

/* One that could not be sent says nothing. */
static void there_is_no_room_for_it(void **state)
{
	struct door *d = door_new(true, 13);

	(void)state;
	assert_true(rig_decide(d->r));
	silent_times(d->r, 1);
	assert_null(rig_served(d->r));
	assert_true(knock_leaves(d));
	server_clock_knock_ended(&d->clock, &d->r->now, NULL);
	assert_false(d->r->s.knock.unheard);
	assert_in_range(until_knock(d), PACE_LEAST_MS, PACE_MOST_MS + 10);
	door_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_while_callers_are_refused),
		cmocka_unit_test(answers_share_the_window_of_the_clock),
		cmocka_unit_test(nor_where_connections_are_refused_or_probing_is_off),
		cmocka_unit_test(every_few_seconds),
		cmocka_unit_test(an_answer_is_followed_by_a_request),
		cmocka_unit_test(room_is_kept_for_it),
		cmocka_unit_test(what_left_in_the_silence_is_given_up),
		cmocka_unit_test(or_is_answered_after_all),
		cmocka_unit_test(or_ends_by_itself),
		cmocka_unit_test(a_login_is_never_given_up),
		cmocka_unit_test(an_answer_that_misleads_does_so_once),
		cmocka_unit_test(one_that_comes_and_goes_is_believed_ever_less),
		cmocka_unit_test(the_clock_learns_nothing),
		cmocka_unit_test(there_is_no_room_for_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
