/* A host's part in a fleet: what must not happen, and that nobody has to look more often than
 * fleet_decide says. */
#include "fleet_fixture.h"

static void an_end_that_is_found_earlier(void **state)
{
	struct fleet_stored r;
	struct host h;

	(void)state;
	host_init(&h);
	connect_with(&h, 7);
	r = stored(&h, 7, 0, 1000);
	assert_int_equal(push(&h, &r, &good_sight), FLEET_TAKEN_EARLIER);
	assert_in_range(boot_since(h.f.current.end, h.now).ns, 999 * NS_PER_S, 1000 * NS_PER_S);
	r = stored(&h, 7, 0, 2000);
	assert_int_equal(push(&h, &r, &good_sight), FLEET_TAKEN_NOTHING);

	/* of the own one nobody knows more */
	host_init(&h);
	connect_minted(&h, 7);
	r = stored(&h, 7, 0, 1000);
	assert_int_equal(push(&h, &r, &good_sight), FLEET_TAKEN_NOTHING);
	assert_true(boot_since(h.f.current.end, h.now).ns == (LIFE_S - 1) * NS_PER_S);
}

static void what_is_no_use_is_not_taken(void **state)
{
	struct fleet_sight damaged = good_sight;
	struct fleet_stored r;
	struct host h;

	(void)state;
	host_init(&h);
	connect_with(&h, 7);
	damaged.seal = FLEET_SEAL_DAMAGED;
	r = stored(&h, 8, 0, LIFE_S);
	assert_int_equal(push(&h, &r, &damaged), FLEET_TAKEN_NOTHING);
	damaged.seal = FLEET_SEAL_NONE;
	assert_int_equal(push(&h, &r, &damaged), FLEET_TAKEN_NOTHING);
	r.rejected = true;
	assert_int_equal(push(&h, &r, &good_sight), FLEET_TAKEN_NOTHING);
	r = stored(&h, 8, 0, 2); /* its margin is all that is left */
	assert_int_equal(push(&h, &r, &good_sight), FLEET_TAKEN_NOTHING);
	assert_true(h.f.current.generation == 7);
}

static void what_is_broken_is_broken_once(void **state)
{
	struct fleet_answer a;
	struct fleet_stored r;
	struct host h;

	(void)state;
	host_init(&h);
	connect_empty(&h);
	fleet_want(&h.f, h.now, FLEET_WISH_TOKEN);
	for (int i = 0; i < 2; i++) {
		expect_operation(&h, FLEET_ACQUIRE);
		a = obstacle(&h, FLEET_SAYS_HELD, "7:1", 100000, 1000);
		answer(&h, &a, &no_sight);
		pass_ms(&h, 3002);
	}
	expect_operation(&h, FLEET_ACQUIRE);
	assert_string_equal(h.d.break_lease.text, "7:1");
	r = stored(&h, 9, 0, LIFE_S);
	answer_record(&h, FLEET_SAYS_NEWER, &r, &good_sight);
	fleet_want(&h.f, h.now, FLEET_WISH_REPORT);
	expect_operation(&h, FLEET_ACQUIRE);
	assert_string_equal(h.d.break_lease.text, "");
	assert_string_equal(h.d.break_hold.text, "");
}

/* Whoever waits for another host's lease asks as soon as something comes, or is reported. */
static void news_end_a_wait(void **state)
{
	struct fleet_sight damaged = good_sight;
	struct fleet_answer a;
	struct fleet_stored r;
	struct host h;

	(void)state;
	damaged.seal = FLEET_SEAL_DAMAGED;
	host_init(&h);
	connect_with(&h, 7);
	fleet_want(&h.f, h.now, FLEET_WISH_REFRESH);
	expect_operation(&h, FLEET_ACQUIRE);
	a = obstacle(&h, FLEET_SAYS_HELD, "8:0", 14000, 15000);
	answer(&h, &a, &no_sight);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
	r = stored(&h, 8, 0, LIFE_S);
	push(&h, &r, &damaged);
	expect_operation(&h, FLEET_ACQUIRE);
	a = obstacle(&h, FLEET_SAYS_HELD, "8:0", 14000, 15000);
	answer(&h, &a, &no_sight);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
	fleet_want(&h.f, h.now, FLEET_WISH_REPORT);
	expect_operation(&h, FLEET_ACQUIRE);
}

static void another_host_was_quicker(void **state)
{
	struct fleet_stored r;
	struct host h;

	(void)state;
	host_init(&h);
	connect_with(&h, 7);
	pass_ms(&h, 11000);
	expect_operation(&h, FLEET_READ);
	answer_word(&h, FLEET_SAYS_RECORD);
	assert_true(h.f.put_at.ns != BOOT_TIME_NEVER.ns);
	/* an older one is not it */
	r = stored(&h, 6, 0, LIFE_S);
	push(&h, &r, &good_sight);
	assert_true(h.f.put_at.ns != BOOT_TIME_NEVER.ns);
	r = stored(&h, 7, 0, LIFE_S - 11);
	push(&h, &r, &good_sight);
	assert_true(h.f.put_at.ns == BOOT_TIME_NEVER.ns);
}

static void who_may_not_or_need_not_does_not_put(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct fleet_stored r;
		struct host h;

		host_init(&h);
		connect_with(&h, 7);
		if (i)
			fleet_want(&h.f, h.now, FLEET_WISH_REPORT);
		else
			h.f.settings.may_mint = false;
		pass_ms(&h, 11000);
		h.store_us += 3600 * US_PER_S;
		expect_operation(&h, FLEET_READ);
		r = stored(&h, 7, 11 + 3600, LIFE_S);
		answer_record(&h, FLEET_SAYS_RECORD, &r, &good_sight);
		assert_int_equal(h.f.counters.store_clock_steps, 1);
		assert_true(h.f.put_at.ns == BOOT_TIME_NEVER.ns);
	}
}

static void a_stop_has_no_end(void **state)
{
	struct host h;

	(void)state;
	host_init(&h);
	connect_with(&h, 7);
	fleet_stop(&h.f, h.now);
	fleet_ends(&h.f, h.now);
	assert_true(h.f.current.end.ns == BOOT_TIME_NEVER.ns);
	pass_ms(&h, LIFE_S * 1000);
	decide(&h);
	assert_true(h.f.current.stopped);
}

static void an_unpublished_token_dies(void **state)
{
	struct host h;

	(void)state;
	host_init(&h);
	connect_empty(&h);
	fleet_want(&h.f, h.now, FLEET_WISH_TOKEN);
	expect_operation(&h, FLEET_ACQUIRE);
	answer_granted(&h, 7);
	decide(&h);
	fleet_down(&h.f, h.now);
	assert_true(fleet_minted(&h.f, h.now, boot_add(h.now, duration_s(60)), duration_s(61)));
	pass_ms(&h, 61000);
	decide(&h);
	fleet_up(&h.f, h.now);
	expect_operation(&h, FLEET_READ);
	answer_word(&h, FLEET_SAYS_RECORD);
	fleet_want(&h.f, h.now, FLEET_WISH_TOKEN);
	expect_operation(&h, FLEET_ACQUIRE);
}

static void a_lease_that_comes_after_all(void **state)
{
	const struct fleet_message m = {
		.failure = true, .hold = {9 * NS_PER_S}, .class = RESPONSE_UNAVAILABLE};
	struct host h;

	(void)state;
	host_init(&h);
	connect_empty(&h);
	fleet_want(&h.f, h.now, FLEET_WISH_TOKEN);
	expect_operation(&h, FLEET_ACQUIRE);
	fleet_pushed(&h.f, h.now, &m, &no_sight);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
	answer_granted(&h, 7);
	assert_int_equal(decide(&h), FLEET_TODO_MINT);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
	fleet_mint_failed(&h.f, h.now, RESPONSE_UNAVAILABLE, DURATION_ZERO);
	expect_operation(&h, FLEET_FAIL);
}

/* ---- whoever looks only when told to misses nothing ---- */

enum story { STORY_USUAL, STORY_ALONE, STORY_FOLLOWER, STORY_FOREIGN, STORIES };

struct journal {
	int64_t at_ms[200];
	int what[200];
	size_t count;
};

static void note(struct journal *j, const struct host *h, int what)
{
	assert_in_range(j->count, 0, 199);
	j->at_ms[j->count] = h->now.ns / NS_PER_MS;
	j->what[j->count++] = what;
}

static void play(
	struct host *h, enum story story, struct journal *j, int64_t *mint_ends_ms, int *acquired)
{
	const struct fleet_sight foreign = {.seal = FLEET_SEAL_FOREIGN, .ceiling = {INT64_MAX}};
	struct fleet_stored r = stored(h, 9, 0, 100);

	while (decide(h) != FLEET_TODO_NOTHING) {
		note(j, h, (int)h->d.todo * 10 + (int)h->d.operation);
		if (h->d.todo == FLEET_TODO_MINT)
			*mint_ends_ms = h->now.ns / NS_PER_MS + 4000;
		if (h->d.todo == FLEET_TODO_GIVE_UP)
			fleet_want(&h->f, h->now, FLEET_WISH_TOKEN);
		if (h->d.todo != FLEET_TODO_OPERATION)
			continue;
		if (h->d.operation == FLEET_ACQUIRE && ++*acquired % 3) {
			struct fleet_answer a = obstacle(h, FLEET_SAYS_HELD, "7:1", 400, 5000);

			answer(h, &a, &no_sight);
		} else if (h->d.operation == FLEET_ACQUIRE) {
			answer_granted(h, h->f.seen + 1);
		} else if (h->d.operation == FLEET_READ && story == STORY_FOREIGN &&
			   h->now.ns < 1100 * NS_PER_S) {
			r.t0_us = h->store_us + 1000 * US_PER_S;
			answer_record(h, FLEET_SAYS_RECORD, &r, &foreign);
		} else {
			answer_word(h, h->d.operation == FLEET_READ    ? FLEET_SAYS_RECORD
				       : h->d.operation == FLEET_RENEW ? FLEET_SAYS_KEPT
								       : FLEET_SAYS_PUT);
		}
	}
}

/* What happens at `ms` after the beginning, by itself. */
static void happen(struct host *h, enum story story, int64_t ms)
{
	if (ms == 500 && story != STORY_ALONE)
		fleet_up(&h->f, h->now);
	if (ms == 1000 || ms == 200000)
		fleet_want(&h->f, h->now, FLEET_WISH_TOKEN);
	if (ms == 150000)
		fleet_down(&h->f, h->now);
	if (ms == 260000)
		fleet_up(&h->f, h->now);
}

static void tell(enum story story, bool eager, struct journal *j)
{
	int64_t from_ms, mint_ends_ms = INT64_MAX, now_ms;
	int acquired = 0;
	struct host h;

	host_init(&h);
	h.f.settings.may_mint = story != STORY_FOLLOWER;
	fleet_permitted(&h.f, story == STORY_ALONE ? 1 : FLEET_NO_PERMIT);
	from_ms = h.now.ns / NS_PER_MS;
	for (int64_t ms = 0; ms < 300000; ms += 10) {
		bool event = ms == 0 || ms == 500 || ms == 1000 || ms == 150000 || ms == 200000 ||
			     ms == 260000;

		now_ms = from_ms + ms;
		h.now.ns = now_ms * NS_PER_MS;
		happen(&h, story, ms);
		if (now_ms >= mint_ends_ms) {
			mint_ends_ms = INT64_MAX;
			event = true;
			fleet_minted(
				&h.f, h.now, boot_add(h.now, duration_s(100)), duration_s(101));
		}
		if (eager || event || !boot_before(h.now, h.d.wake_at))
			play(&h, story, j, &mint_ends_ms, &acquired);
	}
}

static void who_sleeps_as_told_misses_nothing(void **state)
{
	(void)state;
	for (enum story story = STORY_USUAL; story < STORIES; story++) {
		struct journal eager = {.count = 0}, lazy = {.count = 0};

		tell(story, true, &eager);
		tell(story, false, &lazy);
		assert_true(eager.count > 5);
		assert_int_equal(eager.count, lazy.count);
		for (size_t i = 0; i < eager.count; i++) {
			assert_int_equal(eager.what[i], lazy.what[i]);
			assert_int_equal(eager.at_ms[i], lazy.at_ms[i]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_end_that_is_found_earlier),
		cmocka_unit_test(what_is_no_use_is_not_taken),
		cmocka_unit_test(what_is_broken_is_broken_once),
		cmocka_unit_test(news_end_a_wait),
		cmocka_unit_test(another_host_was_quicker),
		cmocka_unit_test(who_may_not_or_need_not_does_not_put),
		cmocka_unit_test(a_stop_has_no_end),
		cmocka_unit_test(an_unpublished_token_dies),
		cmocka_unit_test(a_lease_that_comes_after_all),
		cmocka_unit_test(who_sleeps_as_told_misses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
