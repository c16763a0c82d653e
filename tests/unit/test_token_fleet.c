/* The token source in a fleet: tokens and failures of other hosts. */
#include "source_fixture.h"

#include "core/lifetime_adopt.h"
#include "core/token_fleet.h"

static struct rig *shared_rig(void)
{
	struct token_source_settings settings = usual_settings();

	settings.shared = true;
	return rig_new(&settings, 1);
}

static bool adopt(struct rig *r, const char *text, uint64_t fleet_generation, int64_t left_s)
{
	const struct lifetime_adoption from_store = {
		.now = r->now,
		.end = boot_add(r->now.boot, duration_s(left_s)),
		.issued = duration_s(3600),
	};
	struct lifetime life;
	const struct token_adoption a = {
		.life = &life,
		.generation = r->generation + 1,
		.fleet_generation = fleet_generation,
		.ends_fetch = true,
	};
	struct token token;
	bool taken;

	assert_int_equal(lifetime_adopt(&life, &from_store, &r->s.settings.policy), LIFETIME_FINE);
	assert_int_equal(token_init(&token, text, strlen(text)), 0);
	taken = token_source_adopt(&r->s, &r->now, &token, &a);
	r->generation += taken;
	assert_true(taken == !token.text);
	token_fini(&token);
	return taken;
}

static void a_fetch_ends_with_anothers_token(void **state)
{
	struct rig *r = shared_rig();
	struct token_ask ask = rig_get(r, 10);

	(void)state;
	assert_true(rig_decide(r));
	assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
	rig_pass(r, S);
	assert_true(adopt(r, "theirs", 7, 3000));
	assert_true(token_source_needs_turn(&r->s));
	assert_false(rig_decide(r));
	assert_true(r->d.changed);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_TOKEN);
	assert_string_equal(r->o.slot->token.text, "theirs");
	assert_true(r->s.current.fleet_generation == 7 && !r->s.current.own);
	/* nothing was minted, and nothing has failed */
	assert_int_equal(r->mint.count, 0);
	assert_int_equal(r->s.counters.fetches[RESPONSE_TOKEN], 0);
	/* at 70 to 80 % of its life, which has begun 600 s ago */
	assert_in_range(
		r->s.refresh_at.ns - r->now.boot.ns, (3000 - 5 - 1080) * S, (3000 - 5 - 720) * S);
	rig_free(r);
}

static void a_push_that_nobody_waits_for(void **state)
{
	struct rig *r = shared_rig();

	(void)state;
	rig_fetch_token(r, "ours", 3600);
	assert_true(r->s.current.own);
	token_source_share(&r->s, 7);
	/* at 66 % of its life */
	assert_in_range(r->s.refresh_at.ns - r->now.boot.ns, 2360 * S, 2376 * S);
	rig_pass(r, 100 * S);
	assert_true(adopt(r, "theirs", 9, 3600));
	assert_string_equal(rig_served(r), "theirs");
	assert_false(rig_decide(r));
	assert_false(adopt(r, "theirs", 10, 3600));
	assert_true(r->s.current.generation == 2);
	rig_free(r);
}

/* Its own request is under way: it ends by itself. */
static void a_push_while_a_request_is_under_way(void **state)
{
	struct rig *r = shared_rig();
	struct lifetime life;
	const struct lifetime_adoption from_store = {
		.now = r->now,
		.end = boot_add(r->now.boot, duration_s(3000)),
		.issued = duration_s(3600),
	};
	const struct token_adoption a = {.life = &life, .generation = 1, .fleet_generation = 9};
	struct token token;

	(void)state;
	assert_true(rig_decide(r));
	lifetime_adopt(&life, &from_store, &r->s.settings.policy);
	assert_int_equal(token_init(&token, "theirs", 6), 0);
	assert_true(token_source_adopt(&r->s, &r->now, &token, &a));
	assert_false(rig_decide(r));
	assert_true(token_source_fetching(&r->s));
	assert_int_equal(r->mint.count, 1);
	token_source_superseded(&r->s, &r->now);
	assert_false(token_source_fetching(&r->s));
	assert_string_equal(rig_served(r), "theirs");
	/* it was minted, if in vain */
	assert_int_equal(r->mint.count, 1);
	assert_false(rig_decide(r));
	rig_free(r);
}

static void anothers_failure_ends_a_fetch(void **state)
{
	const struct token_refusal refusal = {.class = RESPONSE_THROTTLED,
		.words = "another host was told to wait",
		.wait = {20 * S}};
	struct rig *r = shared_rig();
	struct token_ask ask = rig_get(r, 5);

	(void)state;
	token_source_give_up(&r->s, &r->now, &refusal); /* there is none */
	assert_false(r->s.last_failure.any);
	assert_true(rig_decide(r));
	assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
	token_source_give_up(&r->s, &r->now, &refusal);
	assert_false(rig_decide(r));
	assert_int_equal(rig_ask(r, &ask), OUTCOME_UNAVAILABLE);
	assert_int_equal(r->o.retry_after_s, 20);
	assert_int_equal(r->mint.count, 0);
	assert_int_equal(rig_told(r, EVENT_THROTTLED), 1);
	rig_pass(r, 20 * S);
	assert_true(rig_decide(r));
	rig_free(r);
}

static void a_report_that_the_fleet_does_not_follow(void **state)
{
	const struct token_refusal refusal = {.class = RESPONSE_UNAVAILABLE,
		.words = "replaced only just",
		.wait = {20 * S},
		.accepted = true};
	struct rig *r = shared_rig();
	struct token_ask ask;

	(void)state;
	rig_fetch_token(r, "ours", 3600);
	ask = rig_reject(r, 1, 10);
	assert_int_equal(rig_ask(r, &ask), OUTCOME_HOLD);
	assert_true(rig_decide(r));
	token_source_give_up(&r->s, &r->now, &refusal);
	assert_false(r->s.current.rejected);
	assert_string_equal(rig_served(r), "ours");
	rig_free(r);
}

static void a_rejection_elsewhere(void **state)
{
	struct rig *r = shared_rig();

	(void)state;
	rig_fetch_token(r, "ours", 3600);
	token_source_share(&r->s, 7);
	token_source_rejected_elsewhere(&r->s, &r->now, 6);
	assert_false(r->s.current.rejected);
	token_source_rejected_elsewhere(&r->s, &r->now, 7);
	assert_true(r->s.current.rejected);
	assert_true(rig_decide(r));
	assert_int_equal(rig_told(r, EVENT_REJECTED), 1);
	rig_free(r);
}

static void an_end_moves_in_and_never_out(void **state)
{
	struct rig *r = shared_rig();
	struct boot_time before, refresh;

	(void)state;
	adopt(r, "theirs", 7, 3000);
	before = lifetime_dead(&r->s.current.life);
	refresh = r->s.refresh_at;
	token_source_end_earlier(&r->s, 6, boot_add(r->now.boot, duration_s(10)));
	token_source_end_earlier(&r->s, 7, boot_add(r->now.boot, duration_s(4000)));
	assert_true(lifetime_dead(&r->s.current.life).ns == before.ns);
	token_source_end_earlier(&r->s, 7, boot_add(r->now.boot, duration_s(2900)));
	assert_true(lifetime_dead(&r->s.current.life).ns == before.ns - 100 * S);
	assert_true(r->s.refresh_at.ns == refresh.ns - 100 * S);
	rig_free(r);
}

static void a_revoked_source_takes_nothing(void **state)
{
	struct rig *r = shared_rig();

	(void)state;
	rig_fetch_token(r, "ours", 3600);
	rig_revoke(r);
	assert_false(adopt(r, "theirs", 9, 3600));
	assert_null(rig_served(r));
	rig_free(r);
}

/* It waited for another host's lease; what counts is when it was sent. */
static void a_request_counts_when_it_is_sent(void **state)
{
	struct rig *r = shared_rig();

	(void)state;
	assert_true(rig_decide(r));
	assert_true(mint_window_at(&r->mint, 0).ns == r->now.boot.ns);
	rig_pass(r, 60 * S);
	token_source_posts(&r->s, &r->now);
	assert_int_equal(r->mint.count, 1);
	assert_true(mint_window_at(&r->mint, 0).ns == r->now.boot.ns);
	/* and it is taken back where it has minted nothing */
	rig_answer_failure(r, RESPONSE_UNAVAILABLE, -1);
	assert_int_equal(r->mint.count, 0);
	rig_free(r);
}

/* The older one is served until the new one may be used. */
static void an_older_token_bridges(void **state)
{
	struct rig *r = shared_rig();
	struct lifetime life;
	struct lifetime_adoption from_store;
	const struct token_adoption a = {.life = &life, .generation = 2, .fleet_generation = 9};
	struct token token;

	(void)state;
	rig_fetch_token(r, "ours", 3600);
	from_store = (struct lifetime_adoption){
		.now = r->now,
		.end = boot_add(r->now.boot, duration_s(3000)),
		.issued = duration_s(3600),
		.not_before = duration_s(3),
		.background = true,
	};
	lifetime_adopt(&life, &from_store, &r->s.settings.policy);
	assert_int_equal(token_init(&token, "theirs", 6), 0);
	assert_true(token_source_adopt(&r->s, &r->now, &token, &a));
	assert_string_equal(rig_served(r), "ours");
	assert_false(rig_decide(r));
	rig_pass(r, 3 * S);
	assert_string_equal(rig_served(r), "theirs");
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fetch_ends_with_anothers_token),
		cmocka_unit_test(a_push_that_nobody_waits_for),
		cmocka_unit_test(a_push_while_a_request_is_under_way),
		cmocka_unit_test(anothers_failure_ends_a_fetch),
		cmocka_unit_test(a_report_that_the_fleet_does_not_follow),
		cmocka_unit_test(a_rejection_elsewhere),
		cmocka_unit_test(an_end_moves_in_and_never_out),
		cmocka_unit_test(a_revoked_source_takes_nothing),
		cmocka_unit_test(a_request_counts_when_it_is_sent),
		cmocka_unit_test(an_older_token_bridges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
