/* A token source that goes on where the one of the run before ended. */
#include "source_fixture.h"

#include "core/handover_read.h"
#include "core/handover_write.h"
#include "core/token_past.h"

#define SIZE 65536

static const struct handover_place here = {"6f3c8f0e-0000-4000-8000-000000000001", 4026531834};
static const struct handover_profile mine = {"default", "a client", "a request"};

/* What `before` hands over, as the next run reads it. */
static void read_past(const struct rig *before, struct token_source_past *ret)
{
	unsigned char *place = calloc(1, SIZE);
	struct handover_record record;
	struct handover_writer w;
	struct handover_reader r;

	assert_non_null(place);
	handover_begin(&w, place, SIZE, &here, &before->now);
	assert_true(handover_put_source(&w, &mine, &before->s));
	assert_true(handover_end(&w, 1));
	assert_int_equal(handover_open(place, SIZE, &here, before->now.boot, &r), HANDOVER_GOOD);
	assert_true(handover_next(&r, &record));
	assert_int_equal(handover_read_source(&r, &record, ret), 0);
	free(place);
}

/* Another run begins, with the same clocks and the same login server. */
static struct rig *rig_after(struct rig *before)
{
	struct rig *r = rig_new(&before->s.settings, 2);

	r->now = before->now;
	r->theta = before->theta;
	r->spread = before->spread;
	r->mint = before->mint;
	r->generation = before->generation;
	return r;
}

static void resume(struct rig *r, struct rig *before, bool request_changed)
{
	struct token_source_past past;

	read_past(before, &past);
	token_source_resume(&r->s, &r->now, &past, request_changed);
	assert_null(past.current.token.text); /* taken */
	assert_null(past.previous.token.text);
	token_source_past_fini(&past);
	rig_free(before);
	assert_true(token_source_needs_turn(&r->s));
}

static struct rig *rig_restarted(struct rig *before)
{
	struct rig *r = rig_after(before);

	resume(r, before, false);
	return r;
}

static void a_token_is_served_without_a_fetch(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct boot_time dead, refresh_at;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	dead = lifetime_dead(&r->s.current.life);
	refresh_at = r->s.refresh_at;
	rig_pass(r, 100 * S);
	r = rig_restarted(r);
	assert_int_equal(rig_told(r, EVENT_STARTED), 1);
	assert_non_null(strstr(rig_told_last(r), "was handed over by the previous run"));
	assert_false(rig_decide(r));
	assert_true(r->d.changed);
	assert_string_equal(rig_served(r), "one");
	assert_int_equal(r->o.slot->generation, 1);
	assert_int_equal(lifetime_dead(&r->s.current.life).ns, dead.ns);
	assert_int_equal(r->d.wake_at.ns, refresh_at.ns);
	assert_true(rig_wake(r));
	rig_free(r);
}

static void both_tokens_go_on(void **state)
{
	struct rig *r = rig_new(NULL, 1);

	(void)state;
	rig_fetch_token(r, "one", 3600);
	assert_true(rig_wake(r));
	r->spread = duration_ms(1500);
	assert_true(rig_answer_token(r, "two", 3600));
	assert_string_equal(rig_served(r), "one"); /* the newer waits out its guard */
	r = rig_restarted(r);
	assert_false(rig_decide(r));
	assert_string_equal(rig_served(r), "one");
	rig_pass_until(r, r->s.current.life.guard_until);
	rig_decide(r);
	assert_string_equal(rig_served(r), "two");
	rig_free(r);
}

/* A margin that grew moves the refresh of a token that was handed over; one that did not, leaves
 * it where it was drawn. */
static void a_larger_margin_moves_the_refresh(void **state)
{
	static const struct {
		bool automatic;
		int64_t margin_s;
		bool moved;
	} cases[] = {{true, 0, true}, {false, 300, true}, {false, 60, false}, {false, 30, false}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct token_source_settings settings = usual_settings();
		struct boot_time dead, planned;
		struct rig *before, *r;
		int64_t m;

		settings.policy.refresh_margin_auto = false;
		settings.policy.refresh_margin = duration_s(60);
		before = rig_new(&settings, 1);
		rig_fetch_token(before, "one", 3600);
		planned = before->s.refresh_at;
		dead = lifetime_dead(&before->s.current.life);
		r = rig_after(before);
		r->s.settings.policy.refresh_margin_auto = cases[i].automatic;
		r->s.settings.policy.refresh_margin = duration_s(cases[i].margin_s);
		resume(r, before, false);
		m = cases[i].automatic ? 540 * S : cases[i].margin_s * S;
		if (cases[i].moved)
			assert_in_range(dead.ns - r->s.refresh_at.ns, m, m + m / 4);
		else
			assert_int_equal(r->s.refresh_at.ns, planned.ns);
		rig_free(r);
	}
}

static void another_request_fetches_at_once(void **state)
{
	struct rig *before = rig_new(NULL, 1), *r;

	(void)state;
	rig_fetch_token(before, "one", 3600);
	r = rig_after(before);
	resume(r, before, true);
	assert_true(rig_decide(r));
	assert_string_equal(rig_served(r), "one");
	rig_free(r);
}

/* The fetch that was to replace it went with the run that had begun it. */
static void a_rejected_token_is_still_replaced(void **state)
{
	(void)state;
	for (int prefetch = 0; prefetch < 2; prefetch++) {
		struct token_source_settings settings = usual_settings();
		struct token_ask ask;
		struct rig *r;

		settings.prefetch = prefetch;
		r = rig_new(&settings, 1);
		ask = rig_get(r, 5);
		assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
		rig_fetch_token(r, "one", 3600);
		ask = rig_reject(r, 1, 5);
		assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
		assert_true(rig_decide(r));
		r = rig_restarted(r);
		assert_true(rig_decide(r));
		ask = rig_get(r, 5);
		assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
		assert_true(rig_answer_token(r, "two", 3600));
		assert_int_equal(rig_told(r, EVENT_REPLACED), 1);
		assert_int_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
		assert_string_equal(r->o.slot->token.text, "two");
		rig_free(r);
	}
}

/* Nobody gets it meanwhile, not even before the first decision. */
static void a_rejected_token_is_held_back_at_once(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token_ask ask;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	ask = rig_reject(r, 1, 5);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
	assert_true(rig_decide(r));
	r = rig_restarted(r);
	ask = rig_get(r, 5);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
	rig_free(r);
}

/* Nobody waits for a fetch that may not begin. */
static void a_rejected_token_serves_through_a_backoff(void **state)
{
	struct rig *before = rig_new(NULL, 1), *r;
	struct token_ask ask;

	(void)state;
	rig_fetch_token(before, "one", 3600);
	ask = rig_reject(before, 1, 5);
	rig_ask(before, &ask);
	assert_true(rig_decide(before));
	r = rig_after(before);
	token_source_restore(&r->s, boot_add(r->now.boot, duration_s(60)), NULL);
	resume(r, before, false);
	ask = rig_get(r, 5);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
	assert_true(r->o.stale);
	assert_false(rig_decide(r));
	assert_true(rig_wake(r));
	rig_free(r);
}

/* That fetch had failed: the token serves as stale, as before, and the next attempt is due. */
static void a_rejected_token_that_was_not_replaced(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token_ask ask;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	ask = rig_reject(r, 1, 5);
	rig_ask(r, &ask);
	assert_true(rig_decide(r));
	rig_answer_failure(r, RESPONSE_UNAVAILABLE, -1);
	r = rig_restarted(r);
	assert_string_equal(rig_served(r), "one");
	assert_true(r->o.stale);
	assert_true(rig_decide(r));
	rig_free(r);
}

static void a_revoked_source_stays_stopped(void **state)
{
	struct rig *r = rig_new(NULL, 1);

	(void)state;
	rig_fetch_token(r, "one", 3600);
	rig_revoke(r);
	r = rig_restarted(r);
	assert_int_equal(rig_told(r, EVENT_STARTED), 1);
	assert_string_equal(
		rig_told_last(r), "an admin revoked the token before the restart; still stopped");
	assert_false(rig_decide(r));
	assert_int_equal(rig_state(r), SOURCE_REVOKED);
	rig_free(r);
}

/* A token that was handed over is from before: a crash left it there. */
static void what_the_disk_says_of_a_revocation_counts(void **state)
{
	struct rig *before = rig_new(NULL, 1), *r = rig_after(before);
	struct token_source_past past;

	(void)state;
	rig_fetch_token(before, "one", 3600);
	read_past(before, &past);
	rig_free(before);
	token_source_restore_revoked(&r->s, &r->now);
	token_source_resume(&r->s, &r->now, &past, false);
	token_source_past_fini(&past);
	assert_int_equal(rig_told(r, EVENT_STARTED), 1);
	assert_false(rig_decide(r));
	assert_int_equal(rig_state(r), SOURCE_REVOKED);
	assert_null(r->s.current.token.text);
	rig_free(r);
}

static void nothing_is_handed_over(void **state)
{
	struct rig *r = rig_restarted(rig_new(NULL, 1));

	(void)state;
	assert_int_equal(rig_told(r, EVENT_STARTED), 0);
	assert_true(rig_decide(r));
	rig_free(r);
}

/* A restart is no way around the pauses. */
static void pauses_go_on(void **state)
{
	struct rig *r = rig_new(NULL, 1);
	struct token_ask ask;

	(void)state;
	rig_fetch_token(r, "one", 3600);
	rig_pass(r, 100 * S);
	r->theta += 4000 * S;
	rig_head(r);
	assert_true(rig_decide(r)); /* a lone exchange: once a minute */
	r->theta -= 4000 * S;
	rig_answer_failure(r, RESPONSE_UNAVAILABLE, -1);
	ask = rig_reject(r, 1, 5);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
	assert_false(rig_decide(r));
	rig_pass_until(r, r->d.wake_at);
	assert_true(rig_decide(r));
	assert_true(rig_answer_token(r, "two", 3600));
	rig_pass(r, 10 * S);
	r = rig_restarted(r);
	ask = rig_reject(r, 2, 5);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_COOLDOWN);
	assert_in_range(r->o.retry_after_s, 19, 20);
	assert_in_range(
		boot_since(r->now.boot, r->s.step_refresh_at).ns / S, 10, 11); /* of the 60 s */
	rig_free(r);
}

/* It goes on growing if there is one; if there is none, nothing of it is left. */
static void the_backoff_grows(void **state)
{
	static const struct {
		unsigned failures; /* in the run before */
		bool restored;
		unsigned expected;
	} cases[] = {{5, true, 5}, {5, false, 0}, {0, true, 1}};
	const struct source_failure failure = {.any = true, .class = RESPONSE_UNAVAILABLE};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct rig *before = rig_new(NULL, 1), *r;

		for (unsigned n = 0; n < cases[i].failures; n++) {
			assert_true(n ? rig_wake(before) : rig_decide(before));
			rig_answer_failure(before, RESPONSE_UNAVAILABLE, -1);
			assert_false(rig_decide(before));
		}
		r = rig_after(before);
		if (cases[i].restored)
			token_source_restore(&r->s, boot_add(r->now.boot, duration_s(7)), &failure);
		resume(r, before, false);
		assert_int_equal(r->s.failures, cases[i].expected);
		assert_int_equal(rig_decide(r), !cases[i].restored);
		rig_free(r);
	}
}

static void what_is_saved_is_restored(void **state)
{
	struct rig *before = rig_new(NULL, 1), *r;
	struct source_failure failure;
	struct boot_time not_before;

	(void)state;
	assert_true(rig_decide(before));
	rig_answer_failure(before, RESPONSE_THROTTLED, 100);
	token_source_save(&before->s, &not_before, &failure);
	r = rig_after(before);
	assert_false(r->s.last_failure.any);
	rig_decide(r); /* it would fetch */
	rig_free(r);
	r = rig_after(before);
	r->s.attention = false;
	token_source_restore(&r->s, not_before, &failure);
	assert_true(token_source_needs_turn(&r->s));
	assert_false(rig_decide(r));
	assert_int_equal(r->d.wake_at.ns, not_before.ns);
	assert_int_equal(r->s.last_failure.class, RESPONSE_THROTTLED);
	assert_string_equal(r->s.last_failure.correlation_id, "c0ffee");
	rig_free(r);
	rig_free(before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_token_is_served_without_a_fetch),
		cmocka_unit_test(both_tokens_go_on),
		cmocka_unit_test(a_larger_margin_moves_the_refresh),
		cmocka_unit_test(another_request_fetches_at_once),
		cmocka_unit_test(a_rejected_token_is_still_replaced),
		cmocka_unit_test(a_rejected_token_is_held_back_at_once),
		cmocka_unit_test(a_rejected_token_serves_through_a_backoff),
		cmocka_unit_test(a_rejected_token_that_was_not_replaced),
		cmocka_unit_test(a_revoked_source_stays_stopped),
		cmocka_unit_test(what_the_disk_says_of_a_revocation_counts),
		cmocka_unit_test(nothing_is_handed_over),
		cmocka_unit_test(pauses_go_on),
		cmocka_unit_test(the_backoff_grows),
		cmocka_unit_test(what_is_saved_is_restored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
