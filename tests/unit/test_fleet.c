/* A host's part in a fleet: what each answer of the store leads to, state by state. */
#include "fleet_fixture.h"

#include "core/fleet_record.h"

static void nothing_is_asked_without_a_connection(void **state)
{
	struct host h;

	(void)state;
	host_init(&h);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
	assert_true(h.d.wake_at.ns == BOOT_TIME_NEVER.ns);
}

static void what_the_store_has_is_taken(void **state)
{
	struct host h;

	(void)state;
	host_init(&h);
	connect_with(&h, 7);
	assert_true(h.f.current.generation == 7 && !h.f.current.own);
	/* a second is taken off for the rounding of the life */
	assert_true(boot_since(h.f.current.end, h.now).ns == (LIFE_S - 1) * NS_PER_S);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
	/* it is looked at again after fleet_poll and a tenth of it at the most */
	assert_in_range(boot_since(h.d.wake_at, h.now).ns, 10 * NS_PER_S, 11 * NS_PER_S);
	pass_ms(&h, 11000);
	expect_operation(&h, FLEET_READ);
	assert_true(h.d.poll);
}

static void a_look_that_is_nearly_due_goes_along_with_anothers(void **state)
{
	struct fleet_stored r;
	struct host h;

	(void)state;
	host_init(&h);
	assert_false(fleet_poll_along(&h.f, h.now)); /* no connection */
	connect_with(&h, 7);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
	assert_false(fleet_poll_along(&h.f, h.now));
	assert_false(fleet_poll_along(&h.f, boot_sub(h.d.wake_at, duration_ms(1001))));
	h.now = boot_sub(h.d.wake_at, duration_ms(999));
	assert_true(fleet_poll_along(&h.f, h.now));
	assert_false(fleet_poll_along(&h.f, h.now)); /* it is wanted already */
	expect_operation(&h, FLEET_READ);
	assert_false(h.d.poll); /* this one takes no others along */
	r = stored(&h, 7, 0, LIFE_S);
	answer_record(&h, FLEET_SAYS_RECORD, &r, &good_sight);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
	assert_in_range(boot_since(h.d.wake_at, h.now).ns, 10 * NS_PER_S, 11 * NS_PER_S);
}

static void the_age_of_a_record_counts(void **state)
{
	struct fleet_stored r;
	struct host h;

	(void)state;
	host_init(&h);
	fleet_up(&h.f, h.now);
	expect_operation(&h, FLEET_READ);
	r = stored(&h, 7, 600, LIFE_S - 10);
	pass_ms(&h, 100); /* the answer took so long: counted from when it was asked for */
	r.t0_us = store_now_us(&h) - 600 * US_PER_S;
	assert_int_equal(answer_record(&h, FLEET_SAYS_RECORD, &r, &good_sight), FLEET_TAKEN_TOKEN);
	assert_true(boot_since(h.f.current.end, h.now).ns ==
		    (LIFE_S - 10 - 600) * NS_PER_S - 100 * NS_PER_MS);
}

static void one_host_mints_and_puts(void **state)
{
	struct host h;

	(void)state;
	host_init(&h);
	connect_empty(&h);
	fleet_want(&h.f, h.now, FLEET_WISH_TOKEN);
	expect_operation(&h, FLEET_ACQUIRE);
	assert_true(h.d.generation == 0 && h.d.reject == 0);
	assert_true(h.d.lease.ns == FLEET_LEASE_S * NS_PER_S);
	answer_granted(&h, 7);
	assert_int_equal(decide(&h), FLEET_TODO_MINT);
	assert_false(h.d.alone);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
	/* the lease is renewed at a third of it, as long as the request runs */
	pass_ms(&h, 1700);
	expect_operation(&h, FLEET_RENEW);
	assert_true(h.d.fence == 7);
	answer_word(&h, FLEET_SAYS_KEPT);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
	pass_ms(&h, 1700);
	expect_operation(&h, FLEET_RENEW);
	answer_word(&h, FLEET_SAYS_LATE); /* whether it counts, its generation says */
	assert_true(fleet_minted(
		&h.f, h.now, boot_add(h.now, duration_s(LIFE_S - 1)), duration_s(LIFE_S)));
	expect_operation(&h, FLEET_PUT);
	assert_true(h.d.generation == 7);
	assert_true(h.d.left_us == (LIFE_S - 1) * US_PER_S);
	assert_true(h.d.stamp_us == store_now_us(&h));
	answer_word(&h, FLEET_SAYS_PUT);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
	assert_true(h.f.counters.minted == 1 && h.f.counters.put == 1 && !h.f.counters.restored);
}

static void a_put_is_dated_by_a_fresh_clock(void **state)
{
	struct host h;

	(void)state;
	host_init(&h);
	connect_empty(&h);
	fleet_want(&h.f, h.now, FLEET_WISH_TOKEN);
	expect_operation(&h, FLEET_ACQUIRE);
	answer_granted(&h, 7);
	assert_int_equal(decide(&h), FLEET_TODO_MINT);
	pass_ms(&h, 1100);
	assert_true(fleet_minted(
		&h.f, h.now, boot_add(h.now, duration_s(LIFE_S - 1)), duration_s(LIFE_S)));
	expect_operation(&h, FLEET_READ);
	pass_ms(&h, 300);
	answer_word(&h, FLEET_SAYS_RECORD);
	expect_operation(&h, FLEET_PUT);
	assert_true(h.d.left_us == (LIFE_S - 1) * US_PER_S - 300000);
	/* the script found the stamp too old: another one, and again */
	answer_word(&h, FLEET_SAYS_STALE);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
	pass_ms(&h, 200);
	expect_operation(&h, FLEET_READ);
	answer_word(&h, FLEET_SAYS_RECORD);
	expect_operation(&h, FLEET_PUT);
}

static void wait_and_ask_again(struct host *h, const struct fleet_answer *a, int64_t most_ms)
{
	answer(h, a, &no_sight);
	if (decide(h) == FLEET_TODO_GIVE_UP)
		fleet_want(&h->f, h->now, FLEET_WISH_TOKEN);
	assert_int_equal(decide(h), FLEET_TODO_NOTHING);
	assert_in_range(boot_since(h->f.not_before, h->now).ns, 0, most_ms * NS_PER_MS);
}

static void who_is_in_the_way_is_waited_for(void **state)
{
	struct fleet_answer a;
	struct host h;

	(void)state;
	host_init(&h);
	connect_empty(&h);
	fleet_want(&h.f, h.now, FLEET_WISH_TOKEN);
	expect_operation(&h, FLEET_ACQUIRE);
	a = obstacle(&h, FLEET_SAYS_HELD, "7:0", 4000, 5000);
	wait_and_ask_again(&h, &a, 6000);
	assert_int_equal(h.f.counters.held, 1);
	pass_ms(&h, 6000);
	expect_operation(&h, FLEET_ACQUIRE);
	assert_string_equal(h.d.break_lease.text, "");
}

/* By our own clock the lease is over: then it is broken, and no other one. */
static void what_stands_too_long_is_broken(void **state)
{
	static const enum fleet_word words[] = {FLEET_SAYS_HELD, FLEET_SAYS_HOLD};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		bool lease = words[i] == FLEET_SAYS_HELD;
		struct fleet_answer a;
		struct host h;

		host_init(&h);
		connect_empty(&h);
		fleet_want(&h.f, h.now, FLEET_WISH_TOKEN);
		expect_operation(&h, FLEET_ACQUIRE);
		/* the store's clock was set back by an hour */
		a = obstacle(&h, words[i], "7:1", 3605000, 5000);
		wait_and_ask_again(&h, &a, 7001);
		pass_ms(&h, 7001);
		expect_operation(&h, FLEET_ACQUIRE);
		assert_string_equal(h.d.break_lease.text, "");
		answer(&h, &a, &no_sight);
		assert_int_equal(h.f.counters.broken, 1);
		expect_operation(&h, FLEET_ACQUIRE);
		assert_string_equal(lease ? h.d.break_lease.text : h.d.break_hold.text, "7:1");
		assert_string_equal(lease ? h.d.break_hold.text : h.d.break_lease.text, "");
		/* it is being renewed: another one */
		a = obstacle(&h, words[i], "7:2", 4000, 5000);
		wait_and_ask_again(&h, &a, 6000);
		assert_int_equal(h.f.counters.broken, 1);
	}
}

/* Whoever waited for the token is told, and the store is asked no more until then. */
static void holds_and_limits_end_the_fetch(void **state)
{
	struct fleet_answer a;
	struct host h;

	(void)state;
	host_init(&h);
	connect_empty(&h);
	fleet_want(&h.f, h.now, FLEET_WISH_TOKEN);
	expect_operation(&h, FLEET_ACQUIRE);
	a = obstacle(&h, FLEET_SAYS_HOLD, "7", 20000, 60000);
	answer(&h, &a, &no_sight);
	assert_int_equal(decide(&h), FLEET_TODO_GIVE_UP);
	assert_int_equal(h.d.reason, FLEET_BECAUSE_HOLD);
	assert_int_equal(h.d.class, RESPONSE_THROTTLED);
	assert_in_range(h.d.wait.ns, 20 * NS_PER_S, 21 * NS_PER_S);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);

	host_init(&h);
	connect_empty(&h);
	fleet_want(&h.f, h.now, FLEET_WISH_TOKEN);
	expect_operation(&h, FLEET_ACQUIRE);
	a = says(&h, FLEET_SAYS_LIMIT);
	a.wait = duration_s(200);
	answer(&h, &a, &no_sight);
	assert_int_equal(decide(&h), FLEET_TODO_GIVE_UP);
	assert_int_equal(h.d.reason, FLEET_BECAUSE_LIMIT);
	assert_in_range(h.d.wait.ns, 200 * NS_PER_S, 201 * NS_PER_S);
	fleet_want(&h.f, h.now, FLEET_WISH_TOKEN);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
	/* no window is longer than 300 s */
	pass_ms(&h, 201000);
	decide(&h);
	answer_word(&h, FLEET_SAYS_RECORD);
	expect_operation(&h, FLEET_ACQUIRE);
	a = says(&h, FLEET_SAYS_LIMIT);
	a.wait = duration_s(86400);
	answer(&h, &a, &no_sight);
	assert_int_equal(decide(&h), FLEET_TODO_GIVE_UP);
	assert_in_range(h.d.wait.ns, 300 * NS_PER_S, 303 * NS_PER_S);
}

static void a_report_names_what_is_rejected(void **state)
{
	struct fleet_answer a;
	struct host h;

	(void)state;
	host_init(&h);
	connect_with(&h, 7);
	fleet_want(&h.f, h.now, FLEET_WISH_REPORT);
	expect_operation(&h, FLEET_ACQUIRE);
	assert_true(h.d.reject == 7 && h.d.generation == 7);
	/* nothing is served meanwhile, so the lease is the short one */
	assert_true(h.d.lease.ns == FLEET_LEASE_S * NS_PER_S);
	a = says(&h, FLEET_SAYS_COOLDOWN);
	a.wait = duration_s(20);
	answer(&h, &a, &no_sight);
	assert_false(h.f.current.rejected);
	assert_int_equal(decide(&h), FLEET_TODO_GIVE_UP);
	assert_int_equal(h.d.reason, FLEET_BECAUSE_COOLDOWN);
	assert_true(h.d.wait.ns == 20 * NS_PER_S);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);

	/* no honest store lets it wait for longer */
	fleet_want(&h.f, h.now, FLEET_WISH_REPORT);
	expect_operation(&h, FLEET_ACQUIRE);
	a.wait = duration_s(3600);
	answer(&h, &a, &no_sight);
	assert_int_equal(decide(&h), FLEET_TODO_GIVE_UP);
	assert_true(h.d.wait.ns == 30 * NS_PER_S);

	/* nor says so of a token that has been here for as long: it stays rejected, is not asked
	 * for in a loop, and replaced once the store lets it be */
	pass_ms(&h, 32000);
	fleet_want(&h.f, h.now, FLEET_WISH_REPORT);
	while (decide(&h) == FLEET_TODO_OPERATION && h.d.operation == FLEET_READ)
		answer_word(&h, FLEET_SAYS_RECORD);
	assert_int_equal(h.d.operation, FLEET_ACQUIRE);
	answer_word(&h, FLEET_SAYS_COOLDOWN);
	assert_true(h.f.current.rejected);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
	pass_ms(&h, 1000);
	expect_operation(&h, FLEET_ACQUIRE);
	answer_granted(&h, 9);
	assert_int_equal(decide(&h), FLEET_TODO_MINT);
}

static void a_report_is_late_where_the_store_has_a_newer_one(void **state)
{
	struct fleet_stored r;
	struct host h;

	(void)state;
	host_init(&h);
	connect_with(&h, 7);
	fleet_want(&h.f, h.now, FLEET_WISH_REPORT);
	expect_operation(&h, FLEET_ACQUIRE);
	r = stored(&h, 9, 1, LIFE_S);
	assert_int_equal(answer_record(&h, FLEET_SAYS_NEWER, &r, &good_sight), FLEET_TAKEN_TOKEN);
	assert_true(h.f.current.generation == 9 && !h.f.current.rejected);
	assert_int_equal(h.f.wish, FLEET_WISH_NONE);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
}

/* Rejected on another host: it has the lease, and a moment. */
static void a_rejection_elsewhere_is_learnt(void **state)
{
	struct fleet_stored r;
	struct host h;

	(void)state;
	host_init(&h);
	connect_with(&h, 7);
	pass_ms(&h, 11000);
	expect_operation(&h, FLEET_READ);
	r = stored(&h, 7, 11, LIFE_S);
	r.rejected = true;
	assert_int_equal(
		answer_record(&h, FLEET_SAYS_RECORD, &r, &good_sight), FLEET_TAKEN_REJECTED);
	fleet_want(&h.f, h.now, FLEET_WISH_REPORT);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
	pass_ms(&h, 1000);
	expect_operation(&h, FLEET_ACQUIRE);
}

static void a_refresh_has_a_long_lease(void **state)
{
	struct host h;

	(void)state;
	host_init(&h);
	connect_with(&h, 7);
	fleet_want(&h.f, h.now, FLEET_WISH_REFRESH);
	expect_operation(&h, FLEET_ACQUIRE);
	assert_true(h.d.reject == 0 && h.d.generation == 7);
	assert_true(h.d.lease.ns == FLEET_LEASE_LIVING_S * NS_PER_S);
}

static void a_failed_request_is_told_to_all(void **state)
{
	struct host h;

	(void)state;
	host_init(&h);
	connect_empty(&h);
	fleet_want(&h.f, h.now, FLEET_WISH_TOKEN);
	expect_operation(&h, FLEET_ACQUIRE);
	answer_granted(&h, 7);
	assert_int_equal(decide(&h), FLEET_TODO_MINT);
	fleet_mint_failed(&h.f, h.now, RESPONSE_THROTTLED, duration_s(30));
	expect_operation(&h, FLEET_FAIL);
	assert_true(h.d.fence == 7 && h.d.wait.ns == 30 * NS_PER_S && !h.d.living);
	assert_int_equal(h.d.class, RESPONSE_THROTTLED);
	answer_word(&h, FLEET_SAYS_FAILED);
	fleet_want(&h.f, h.now, FLEET_WISH_TOKEN);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
	pass_ms(&h, 9000); /* before the next poll */
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
}

static void a_refusal_elsewhere_may_be_of_another_secret(void **state)
{
	const struct fleet_message m = {
		.failure = true, .hold = {900 * NS_PER_S}, .class = RESPONSE_CLIENT_REJECTED};
	struct fleet_answer a;
	struct host h;

	(void)state;
	host_init(&h);
	connect_empty(&h);
	fleet_want(&h.f, h.now, FLEET_WISH_TOKEN);
	expect_operation(&h, FLEET_ACQUIRE);
	a = obstacle(&h, FLEET_SAYS_HELD, "7:0", 4000, 5000);
	answer(&h, &a, &no_sight);
	assert_int_equal(fleet_pushed(&h.f, h.now, &m, &no_sight), FLEET_TAKEN_NOTHING);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
	/* the store is asked, and knows whose it was */
	assert_in_range(boot_since(h.d.wake_at, h.now).ns, 0, NS_PER_S);
	pass_ms(&h, 1000);
	expect_operation(&h, FLEET_ACQUIRE);
	answer_granted(&h, 8);
	assert_int_equal(decide(&h), FLEET_TODO_MINT);
}

/* Full, read-only by some rule, without the rights: it answers, but each ACQUIRE with an error. */
static void a_store_that_refuses_is_of_no_help(void **state)
{
	for (uint32_t rank = 0; rank <= 3; rank++) {
		bool permitted = rank < 3; /* fleet_alone */
		struct host h;
		int64_t s;

		(void)state;
		host_init(&h);
		fleet_permitted(&h.f, rank);
		connect_empty(&h);
		fleet_want(&h.f, h.now, FLEET_WISH_TOKEN);
		for (s = 0; s < 60 && decide(&h) != FLEET_TODO_MINT; s++) {
			if (h.d.todo == FLEET_TODO_OPERATION) {
				if (h.d.operation == FLEET_READ)
					answer_word(&h, FLEET_SAYS_RECORD);
				else
					fleet_refused(&h.f, h.now);
			} else if (h.d.todo == FLEET_TODO_GIVE_UP) {
				assert_int_equal(h.d.reason, FLEET_BECAUSE_REFUSED);
				assert_true(s >= 5);
				fleet_want(&h.f, h.now, FLEET_WISH_TOKEN);
			}
			pass_ms(&h, 1000);
		}
		assert_int_equal(h.d.todo == FLEET_TODO_MINT, permitted);
		if (permitted) {
			assert_true(h.d.alone);
			/* and 2 s between two ranks, and up to 2 s until it is asked again */
			assert_in_range(s, 30 + 2 * (int64_t)rank, 32 + 2 * (int64_t)rank);
		}
	}
}

static void a_store_that_refused_once_is_asked_again(void **state)
{
	struct host h;

	(void)state;
	host_init(&h);
	fleet_permitted(&h.f, 0);
	connect_with(&h, 7);
	fleet_want(&h.f, h.now, FLEET_WISH_REFRESH);
	expect_operation(&h, FLEET_ACQUIRE);
	fleet_refused(&h.f, h.now);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
	pass_ms(&h, 2000);
	expect_operation(&h, FLEET_ACQUIRE);
	answer_granted(&h, 8);
	assert_int_equal(decide(&h), FLEET_TODO_MINT);
	assert_false(h.d.alone);
	assert_true(fleet_minted(
		&h.f, h.now, boot_add(h.now, duration_s(LIFE_S - 1)), duration_s(LIFE_S)));
	expect_operation(&h, FLEET_PUT);
	answer_word(&h, FLEET_SAYS_PUT);
	/* what was long ago is no reason to fetch alone */
	pass_ms(&h, 60000);
	expect_operation(&h, FLEET_READ);
	fleet_refused(&h.f, h.now);
	fleet_want(&h.f, h.now, FLEET_WISH_ADMIN);
	expect_operation(&h, FLEET_ACQUIRE);
	fleet_refused(&h.f, h.now);
	for (int64_t s = 0; s < 25; s++) {
		if (decide(&h) == FLEET_TODO_OPERATION)
			fleet_refused(&h.f, h.now);
		assert_int_not_equal(h.d.todo, FLEET_TODO_MINT);
		pass_ms(&h, 1000);
	}
}

/* A second at a time, until the host fetches; what it asks for a token is refused, and so is the
 * token itself. How long that took, or `most_s`. */
static int64_t refuse_until_mint(struct host *h, enum fleet_wish wish, int64_t most_s)
{
	int64_t s = 0;

	for (; s < most_s && decide(h) != FLEET_TODO_MINT; s++) {
		for (; h->d.todo == FLEET_TODO_OPERATION; decide(h)) {
			if (h->d.operation == FLEET_READ)
				answer_word(h, FLEET_SAYS_RECORD);
			else
				fleet_refused(&h->f, h->now);
		}
		if (h->d.todo == FLEET_TODO_MINT)
			break;
		if (h->d.todo == FLEET_TODO_GIVE_UP)
			fleet_want(&h->f, h->now, wish);
		pass_ms(h, 1000);
	}
	return s;
}

static void mints_alone(struct host *h)
{
	assert_int_equal(h->d.todo, FLEET_TODO_MINT);
	assert_true(h->d.alone);
	assert_true(fleet_minted(
		&h->f, h->now, boot_add(h->now, duration_s(LIFE_S - 1)), duration_s(LIFE_S)));
}

/* What was fetched alone cannot be put, and is replaced in time nevertheless: for a second life and
 * a third, as where the store is away. */
static void a_store_that_goes_on_refusing_is_of_no_help(void **state)
{
	static const enum fleet_wish wishes[] = {FLEET_WISH_REFRESH, FLEET_WISH_REPORT};

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct host h;

		host_init(&h);
		fleet_permitted(&h.f, 0);
		connect_empty(&h);
		fleet_want(&h.f, h.now, FLEET_WISH_TOKEN);
		refuse_until_mint(&h, FLEET_WISH_TOKEN, 60);
		for (int life = 0; life < 2; life++) {
			int64_t s, least = wishes[i] == FLEET_WISH_REPORT ? 0 : LIFE_S / 3 - 360;

			mints_alone(&h);
			assert_int_equal(
				refuse_until_mint(&h, wishes[i], LIFE_S * 2 / 3), LIFE_S * 2 / 3);
			fleet_want(&h.f, h.now, wishes[i]);
			s = refuse_until_mint(&h, wishes[i], LIFE_S / 3);
			/* a rejected one soon, one that lives while a twentieth of it is left */
			assert_in_range(
				s, least, wishes[i] == FLEET_WISH_REPORT ? 5 : LIFE_S / 3 - 100);
		}
		/* and once the store takes it, it is asked */
		mints_alone(&h);
		pass_ms(&h, 2000);
		if (decide(&h) == FLEET_TODO_OPERATION && h.d.operation == FLEET_READ)
			answer_word(&h, FLEET_SAYS_RECORD);
		expect_operation(&h, FLEET_PUT);
		answer_word(&h, FLEET_SAYS_PUT);
		fleet_want(&h.f, h.now, FLEET_WISH_REPORT);
		expect_operation(&h, FLEET_ACQUIRE);
	}
}

/* Before it can be put, the store's clock has to be read. */
static void a_store_that_refuses_all_is_of_no_help(void **state)
{
	struct host h;
	int64_t s;

	(void)state;
	host_init(&h);
	fleet_permitted(&h.f, 0);
	connect_empty(&h);
	fleet_want(&h.f, h.now, FLEET_WISH_TOKEN);
	refuse_until_mint(&h, FLEET_WISH_TOKEN, 60);
	mints_alone(&h);
	pass_ms(&h, 5000);
	fleet_want(&h.f, h.now, FLEET_WISH_REPORT);
	for (s = 0; s < 60 && decide(&h) != FLEET_TODO_MINT; s++) {
		if (h.d.todo == FLEET_TODO_OPERATION)
			fleet_refused(&h.f, h.now);
		else if (h.d.todo == FLEET_TODO_GIVE_UP)
			fleet_want(&h.f, h.now, FLEET_WISH_REPORT);
		pass_ms(&h, 1000);
	}
	mints_alone(&h);
	assert_in_range(s, 30, 36);
}

/* A new host, whose first wish has ended so: the store is not asked any more. */
static void give_up_refused(struct host *h)
{
	host_init(h);
	fleet_permitted(&h->f, 0);
	connect_empty(h);
	fleet_want(&h->f, h->now, FLEET_WISH_TOKEN);
	while (decide(h) != FLEET_TODO_GIVE_UP) {
		if (h->d.todo == FLEET_TODO_OPERATION)
			fleet_refused(&h->f, h->now);
		pass_ms(h, 1000);
	}
	assert_int_equal(h->d.reason, FLEET_BECAUSE_REFUSED);
}

/* It asks the store, and fetches only when that lets it. */
static void asks_first(struct host *h)
{
	for (int ms = 0; ms < 4000; ms += 100) {
		if (decide(h) == FLEET_TODO_OPERATION && h->d.operation == FLEET_ACQUIRE)
			break;
		assert_int_not_equal(h->d.todo, FLEET_TODO_MINT);
		if (h->d.todo == FLEET_TODO_OPERATION)
			answer_word(h, FLEET_SAYS_RECORD);
		pass_ms(h, 100);
	}
	assert_int_equal(h->d.todo, FLEET_TODO_OPERATION);
	answer_granted(h, h->f.seen + 1);
	assert_int_equal(decide(h), FLEET_TODO_MINT);
	assert_false(h->d.alone);
}

/* A refusal, a minute or ten of quiet in which the store may have been mended, and a wish. */
static void what_it_refused_before_is_no_reason(void **state)
{
	struct host h;

	(void)state;
	/* a stop was refused, and then it was put */
	host_init(&h);
	fleet_permitted(&h.f, 0);
	connect_with(&h, 7);
	fleet_stop(&h.f, h.now);
	expect_operation(&h, FLEET_STOP);
	fleet_refused(&h.f, h.now);
	pass_ms(&h, 2000);
	expect_operation(&h, FLEET_STOP);
	answer_word(&h, FLEET_SAYS_PUT);
	pass_ms(&h, 60000);
	fleet_want(&h.f, h.now, FLEET_WISH_ADMIN);
	asks_first(&h);

	/* it refused, and the link was new since */
	host_init(&h);
	fleet_permitted(&h.f, 0);
	connect_empty(&h);
	fleet_want(&h.f, h.now, FLEET_WISH_TOKEN);
	expect_operation(&h, FLEET_ACQUIRE);
	fleet_refused(&h.f, h.now);
	fleet_down(&h.f, h.now);
	pass_ms(&h, 29000);
	fleet_up(&h.f, h.now);
	pass_ms(&h, 2000);
	asks_first(&h);

	/* it refused, the wish ended, and nobody asked for a minute, or for ten */
	for (int64_t minutes = 1; minutes <= 10; minutes += 9) {
		give_up_refused(&h);
		pass_ms(&h, minutes * 60000);
		fleet_want(&h.f, h.now, FLEET_WISH_TOKEN);
		asks_first(&h);
	}
}

/* Ten minutes later its first refusal is one of a new trouble. */
static void a_new_refusal_is_waited_with(void **state)
{
	struct host h;

	(void)state;
	give_up_refused(&h);
	pass_ms(&h, 600000);
	fleet_want(&h.f, h.now, FLEET_WISH_TOKEN);
	assert_in_range(refuse_until_mint(&h, FLEET_WISH_TOKEN, 60), 30, 33);
	mints_alone(&h);

	/* but one that asks once a minute, as who waits for a store does, is told the same */
	give_up_refused(&h);
	pass_ms(&h, 60000);
	fleet_want(&h.f, h.now, FLEET_WISH_TOKEN);
	assert_in_range(refuse_until_mint(&h, FLEET_WISH_TOKEN, 60), 0, 2);
	mints_alone(&h);
}

/* A token of the highest number would be the last one that a host takes. */
static void a_lease_of_a_number_that_cannot_be(void **state)
{
	static const uint64_t lies[] = {
		FLEET_GENERATION_MAX, (UINT64_C(1) << 48) + 1, UINT64_C(1) << 52};
	struct fleet_stored r;
	struct fleet_answer a;
	struct host h;

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
		host_init(&h);
		connect_with(&h, 7);
		fleet_want(&h.f, h.now, FLEET_WISH_REFRESH);
		expect_operation(&h, FLEET_ACQUIRE);
		answer_granted(&h, lies[i]);
		assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
		assert_int_equal(h.f.seen, 7);
		pass_ms(&h, 1000);
		expect_operation(&h, FLEET_ACQUIRE);
		/* nor for a question to the API, or an admin's stop */
		host_init(&h);
		connect_with(&h, 7);
		fleet_check(&h.f, h.now);
		expect_operation(&h, FLEET_ACQUIRE);
		answer_granted(&h, lies[i]);
		assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
		host_init(&h);
		connect_with(&h, 7);
		fleet_stop(&h.f, h.now);
		expect_operation(&h, FLEET_STOP);
		a = says(&h, FLEET_SAYS_GRANTED);
		a.fence = lies[i];
		answer(&h, &a, &no_sight);
		assert_int_equal(h.f.seen, 8);
	}
	/* what follows on something that others had is fine, however high */
	host_init(&h);
	r = stored(&h, UINT64_C(1) << 49, 0, LIFE_S);
	fleet_up(&h.f, h.now);
	expect_operation(&h, FLEET_READ);
	assert_int_equal(answer_record(&h, FLEET_SAYS_RECORD, &r, &good_sight), FLEET_TAKEN_TOKEN);
	fleet_want(&h.f, h.now, FLEET_WISH_REFRESH);
	expect_operation(&h, FLEET_ACQUIRE);
	answer_granted(&h, (UINT64_C(1) << 49) + 1000);
	assert_int_equal(decide(&h), FLEET_TODO_MINT);
}

static void a_failure_elsewhere_ends_the_fetch(void **state)
{
	const struct fleet_message m = {
		.failure = true, .hold = {9 * NS_PER_S}, .class = RESPONSE_UNAVAILABLE};
	struct fleet_answer a;
	struct host h;

	(void)state;
	host_init(&h);
	connect_empty(&h);
	fleet_want(&h.f, h.now, FLEET_WISH_TOKEN);
	expect_operation(&h, FLEET_ACQUIRE);
	a = obstacle(&h, FLEET_SAYS_HELD, "7:0", 4000, 5000);
	answer(&h, &a, &no_sight);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
	assert_int_equal(fleet_pushed(&h.f, h.now, &m, &no_sight), FLEET_TAKEN_NOTHING);
	assert_int_equal(decide(&h), FLEET_TODO_GIVE_UP);
	assert_int_equal(h.d.class, RESPONSE_UNAVAILABLE);
	assert_in_range(h.d.wait.ns, 9 * NS_PER_S, 10 * NS_PER_S);
}

static void what_comes_while_an_answer_is_awaited(void **state)
{
	struct fleet_stored r;
	struct host h;

	(void)state;
	host_init(&h);
	connect_empty(&h);
	fleet_want(&h.f, h.now, FLEET_WISH_TOKEN);
	expect_operation(&h, FLEET_ACQUIRE);
	r = stored(&h, 9, 0, LIFE_S);
	assert_int_equal(push(&h, &r, &good_sight), FLEET_TAKEN_TOKEN);
	/* and the lease, although nobody wants a token any more */
	answer_granted(&h, 10);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
	assert_false(h.f.minting);
	assert_true(h.f.current.generation == 9 && h.f.seen == 10);
}

static void a_token_that_is_superseded_while_it_is_fetched(void **state)
{
	struct fleet_stored r;
	struct host h;

	(void)state;
	host_init(&h);
	connect_empty(&h);
	fleet_want(&h.f, h.now, FLEET_WISH_TOKEN);
	expect_operation(&h, FLEET_ACQUIRE);
	answer_granted(&h, 7);
	assert_int_equal(decide(&h), FLEET_TODO_MINT);
	r = stored(&h, 9, 0, LIFE_S);
	assert_int_equal(push(&h, &r, &good_sight), FLEET_TAKEN_TOKEN);
	assert_false(
		fleet_minted(&h.f, h.now, boot_add(h.now, duration_s(LIFE_S)), duration_s(LIFE_S)));
	assert_true(h.f.current.generation == 9);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
}

static void a_put_that_comes_too_late(void **state)
{
	struct fleet_stored r;
	struct host h;

	(void)state;
	host_init(&h);
	connect_empty(&h);
	fleet_want(&h.f, h.now, FLEET_WISH_TOKEN);
	expect_operation(&h, FLEET_ACQUIRE);
	answer_granted(&h, 7);
	decide(&h);
	fleet_minted(&h.f, h.now, boot_add(h.now, duration_s(LIFE_S)), duration_s(LIFE_S));
	expect_operation(&h, FLEET_PUT);
	r = stored(&h, 9, 1, LIFE_S);
	assert_int_equal(answer_record(&h, FLEET_SAYS_NEWER, &r, &good_sight), FLEET_TAKEN_TOKEN);
	assert_true(h.f.current.generation == 9 && h.f.counters.superseded == 1);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
}

static void what_the_store_lost_is_put_again(void **state)
{
	struct host h;

	(void)state;
	/* by whoever minted it at once */
	host_init(&h);
	connect_minted(&h, 7);
	pass_ms(&h, 11000);
	expect_operation(&h, FLEET_READ);
	answer_word(&h, FLEET_SAYS_RECORD);
	expect_operation(&h, FLEET_PUT);
	assert_true(h.d.generation == 7);
	answer_word(&h, FLEET_SAYS_PUT);
	assert_int_equal(h.f.counters.restored, 1);

	/* by another one in a moment */
	host_init(&h);
	connect_with(&h, 7);
	pass_ms(&h, 11000);
	expect_operation(&h, FLEET_READ);
	answer_word(&h, FLEET_SAYS_RECORD);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
	assert_in_range(boot_since(h.d.wake_at, h.now).ns, 750 * NS_PER_MS, 3750 * NS_PER_MS);
	h.now = h.d.wake_at;
	if (decide(&h) == FLEET_TODO_OPERATION && h.d.operation == FLEET_READ) {
		answer_word(&h, FLEET_SAYS_RECORD);
		decide(&h);
	}
	assert_int_equal(h.d.operation, FLEET_PUT);

	/* by nobody without the right to */
	host_init(&h);
	h.f.settings.may_mint = false;
	connect_with(&h, 7);
	pass_ms(&h, 11000);
	expect_operation(&h, FLEET_READ);
	answer_word(&h, FLEET_SAYS_RECORD);
	assert_true(h.f.put_at.ns == BOOT_TIME_NEVER.ns);
}

static void a_step_of_the_stores_clock_is_put_right(void **state)
{
	struct fleet_stored r;
	struct host h;

	(void)state;
	host_init(&h);
	connect_with(&h, 7);
	pass_ms(&h, 11000);
	h.store_us -= 3600 * US_PER_S;
	expect_operation(&h, FLEET_READ);
	r = stored(&h, 7, 11 - 3600, LIFE_S); /* dated in the future now */
	assert_int_equal(
		answer_record(&h, FLEET_SAYS_RECORD, &r, &good_sight), FLEET_TAKEN_NOTHING);
	assert_int_equal(h.f.counters.store_clock_steps, 1);
	assert_in_range(h.f.step.ns, -3601 * NS_PER_S, -3599 * NS_PER_S);
	assert_true(h.f.put_at.ns != BOOT_TIME_NEVER.ns);
	assert_true(boot_since(h.f.current.end, h.now).ns == (LIFE_S - 12) * NS_PER_S);
	/* another host was quicker: nothing more to do */
	pass_ms(&h, 3000);
	if (decide(&h) == FLEET_TODO_OPERATION) {
		assert_int_equal(h.d.operation, FLEET_READ);
		r = stored(&h, 7, 1, LIFE_S - 14);
		answer_record(&h, FLEET_SAYS_RECORD, &r, &good_sight);
	}
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
}

static void what_is_dated_in_the_future_waits(void **state)
{
	struct fleet_sight sight = good_sight;
	struct fleet_stored r;
	struct host h;

	(void)state;
	host_init(&h);
	fleet_up(&h.f, h.now);
	expect_operation(&h, FLEET_READ);
	r = stored(&h, 7, -3600, LIFE_S);
	assert_int_equal(
		answer_record(&h, FLEET_SAYS_RECORD, &r, &good_sight), FLEET_TAKEN_NOTHING);
	assert_int_equal(h.f.counters.undated, 1);
	fleet_want(&h.f, h.now, FLEET_WISH_TOKEN);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
	/* nobody put it right: another one is minted, and it is known to be there */
	pass_ms(&h, 3500);
	expect_operation(&h, FLEET_READ);
	r = stored(&h, 7, -3590, LIFE_S);
	answer_record(&h, FLEET_SAYS_RECORD, &r, &good_sight);
	pass_ms(&h, 500);
	expect_operation(&h, FLEET_ACQUIRE);
	assert_true(h.d.generation == 7);

	/* the login server's clock dates it, where it is known */
	host_init(&h);
	fleet_up(&h.f, h.now);
	expect_operation(&h, FLEET_READ);
	r = stored(&h, 7, -3600, LIFE_S);
	sight.ceiling = boot_add(h.now, duration_s(1000));
	assert_int_equal(answer_record(&h, FLEET_SAYS_RECORD, &r, &sight), FLEET_TAKEN_TOKEN);
	assert_true(h.f.current.end.ns == sight.ceiling.ns);
}

static void the_login_servers_clock_is_a_ceiling(void **state)
{
	struct fleet_sight sight = good_sight;
	struct fleet_stored r;
	struct host h;

	(void)state;
	host_init(&h);
	fleet_up(&h.f, h.now);
	expect_operation(&h, FLEET_READ);
	r = stored(&h, 7, 0, LIFE_S);
	sight.ceiling = boot_add(h.now, duration_s(100));
	answer_record(&h, FLEET_SAYS_RECORD, &r, &sight);
	assert_true(h.f.current.end.ns == sight.ceiling.ns);
	fleet_ends(&h.f, boot_add(h.now, duration_s(200)));
	assert_true(h.f.current.end.ns == sight.ceiling.ns);
	fleet_ends(&h.f, boot_add(h.now, duration_s(50)));
	assert_true(h.f.current.end.ns == boot_add(h.now, duration_s(50)).ns);
}

static void a_push_is_dated_between_ping_and_now(void **state)
{
	struct fleet_stored r;
	struct host h;

	(void)state;
	host_init(&h);
	connect_empty(&h);
	pass_ms(&h, 5000);
	fleet_anchored(&h.f, boot_sub(h.now, duration_s(1)));
	r = stored(&h, 7, 0, LIFE_S);
	push(&h, &r, &good_sight);
	/* by the store's clock just now, but for its drift */
	assert_in_range(boot_since(h.f.current.end, h.now).ns, (LIFE_S - 1) * NS_PER_S - NS_PER_MS,
		(LIFE_S - 1) * NS_PER_S);
	/* set back by an hour meanwhile: not before the ping */
	r = stored(&h, 8, 3600, LIFE_S);
	push(&h, &r, &good_sight);
	assert_true(boot_since(h.f.current.end, h.now).ns == (LIFE_S - 2) * NS_PER_S);
	/* set ahead: not after now */
	r = stored(&h, 9, -3600, LIFE_S);
	push(&h, &r, &good_sight);
	assert_true(boot_since(h.f.current.end, h.now).ns == (LIFE_S - 1) * NS_PER_S);
}

/* After a step several hosts put the date of a token right, one after another. */
static void what_is_put_right_after_a_step_back_takes_nothing_off(void **state)
{
	struct fleet_stored r;
	struct boot_time end;
	struct host h;

	(void)state;
	host_init(&h);
	connect_with(&h, 7);
	end = h.f.current.end;
	pass_ms(&h, 5000);
	fleet_anchored(&h.f, boot_sub(h.now, duration_s(4)));
	r = stored(&h, 7, 3600, LIFE_S - 5);
	assert_int_equal(push(&h, &r, &good_sight), FLEET_TAKEN_NOTHING);
	assert_true(h.f.current.end.ns == end.ns);
	/* but where the clock was not set, it ends earlier */
	r = stored(&h, 7, 0, LIFE_S - 100);
	assert_int_equal(push(&h, &r, &good_sight), FLEET_TAKEN_EARLIER);
	assert_in_range(boot_since(end, h.f.current.end).ns, 90 * NS_PER_S, 100 * NS_PER_S);
}

static void a_foreign_key_is_left_alone_while_its_token_lives(void **state)
{
	const struct fleet_sight foreign = {.seal = FLEET_SEAL_FOREIGN, .ceiling = {INT64_MAX}};
	struct fleet_stored r;
	struct host h;

	(void)state;
	host_init(&h);
	fleet_permitted(&h.f, FLEET_NO_PERMIT);
	connect_minted(&h, 5);
	fleet_want(&h.f, h.now, FLEET_WISH_REPORT);
	r = stored(&h, 7, 0, 100);
	push(&h, &r, &foreign);
	for (int i = 0; i < 90; i++) {
		pass_ms(&h, 1000);
		if (decide(&h) == FLEET_TODO_OPERATION) {
			assert_int_equal(h.d.operation, FLEET_READ);
			r = stored(&h, 7, i + 1, 100);
			answer_record(&h, FLEET_SAYS_RECORD, &r, &foreign);
		} else if (h.d.todo == FLEET_TODO_GIVE_UP) {
			assert_int_equal(h.d.reason, FLEET_BECAUSE_FOREIGN);
			fleet_want(&h.f, h.now, FLEET_WISH_REPORT);
		} else {
			assert_int_equal(h.d.todo, FLEET_TODO_NOTHING);
		}
	}
	pass_ms(&h, 10000);
	if (decide(&h) == FLEET_TODO_OPERATION && h.d.operation == FLEET_READ) {
		answer_word(&h, FLEET_SAYS_RECORD);
		decide(&h);
	}
	assert_int_equal(h.d.todo, FLEET_TODO_OPERATION);
	assert_int_equal(h.d.operation, FLEET_ACQUIRE);
}

static void a_damaged_record_is_replaced(void **state)
{
	const struct fleet_sight damaged = {.seal = FLEET_SEAL_DAMAGED, .ceiling = {INT64_MAX}};
	struct fleet_stored r;
	struct host h;

	(void)state;
	host_init(&h);
	fleet_up(&h.f, h.now);
	expect_operation(&h, FLEET_READ);
	r = stored(&h, 7, 0, LIFE_S);
	assert_int_equal(answer_record(&h, FLEET_SAYS_RECORD, &r, &damaged), FLEET_TAKEN_NOTHING);
	fleet_want(&h.f, h.now, FLEET_WISH_TOKEN);
	expect_operation(&h, FLEET_ACQUIRE);
	assert_true(h.d.generation == 7);
}

static void an_admin_stops_the_fleet(void **state)
{
	struct fleet_stored r;
	struct host h, other;

	(void)state;
	host_init(&h);
	connect_with(&h, 7);
	fleet_stop(&h.f, h.now);
	assert_true(h.f.current.stopped && h.f.current.generation == 8);
	expect_operation(&h, FLEET_STOP);
	assert_true(h.d.generation == 8);
	/* another token came meanwhile: it is stopped too */
	r = stored(&h, 20, 0, LIFE_S);
	assert_int_equal(answer_record(&h, FLEET_SAYS_NEWER, &r, &good_sight), FLEET_TAKEN_NOTHING);
	expect_operation(&h, FLEET_STOP);
	assert_true(h.d.generation == 21);
	/* and who is minting comes too late */
	answer_granted(&h, 30);
	expect_operation(&h, FLEET_STOP);
	assert_true(h.d.generation == 30);
	answer_granted(&h, 30);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
	pass_ms(&h, 1000);
	expect_operation(&h, FLEET_STOP);
	answer_word(&h, FLEET_SAYS_PUT);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
	/* lost, and put again */
	pass_ms(&h, 11000);
	expect_operation(&h, FLEET_READ);
	answer_word(&h, FLEET_SAYS_RECORD);
	expect_operation(&h, FLEET_STOP);
	answer_word(&h, FLEET_SAYS_PUT);
	/* until an admin wants a token again */
	fleet_want(&h.f, h.now, FLEET_WISH_TOKEN);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
	fleet_want(&h.f, h.now, FLEET_WISH_ADMIN);
	expect_operation(&h, FLEET_ACQUIRE);
	assert_true(h.d.generation == 30 && h.d.reject == 0);

	host_init(&other);
	connect_with(&other, 7);
	r = stored(&other, 21, 0, LIFE_S);
	assert_int_equal(push(&other, &r, &stopped_sight), FLEET_TAKEN_STOP);
	assert_false(fleet_alive(&other.f, other.now));
}

static void alone_when(bool living)
{
	struct host h;

	host_init(&h);
	fleet_permitted(&h.f, 1);
	if (living)
		connect_with(&h, 7);
	fleet_down(&h.f, h.now);
	fleet_want(&h.f, h.now, living ? FLEET_WISH_REFRESH : FLEET_WISH_TOKEN);
	for (int64_t s = 0; decide(&h) != FLEET_TODO_MINT; s++) {
		assert_in_range(s, 0, LIFE_S);
		if (h.d.todo == FLEET_TODO_GIVE_UP) {
			assert_false(living);
			assert_int_equal(h.d.reason, FLEET_BECAUSE_DOWN);
			assert_int_equal(s % 5, 0);
			fleet_want(&h.f, h.now, FLEET_WISH_TOKEN);
		}
		pass_ms(&h, 1000);
	}
	assert_true(h.d.alone);
	assert_in_range(h.f.fence, (living ? 7 : 0) + 1, (living ? 7 : 0) + 65536);
	if (living) {
		int64_t left = boot_since(h.f.current.end, h.now).ns / NS_PER_S;

		/* 5 % of 3,600 s, a sixteenth of that later for the second rank, 2 s margin */
		assert_in_range(left, 180 - 12, 180 - 11 + 2);
	} else {
		assert_true(boot_since(h.now, h.f.since).ns == 32 * NS_PER_S);
	}
	/* what it got is put when the store is back */
	assert_true(fleet_minted(
		&h.f, h.now, boot_add(h.now, duration_s(LIFE_S - 1)), duration_s(LIFE_S)));
	assert_int_equal(h.f.counters.minted_alone, 1);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
	fleet_up(&h.f, h.now);
	expect_operation(&h, FLEET_READ);
	answer_word(&h, FLEET_SAYS_RECORD);
	expect_operation(&h, FLEET_PUT);
}

static void without_a_store_those_with_a_permit_mint(void **state)
{
	(void)state;
	alone_when(false);
	alone_when(true);
}

/* Even where all were told the same rank, as after a flush. */
static void no_two_that_mint_alone_make_the_same_generation(void **state)
{
	uint64_t fences[3];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct host h;

		host_init(&h);
		h.f.random.state += i;
		fleet_permitted(&h.f, 0);
		fleet_down(&h.f, h.now);
		pass_ms(&h, 40000);
		fleet_want(&h.f, h.now, FLEET_WISH_TOKEN);
		assert_int_equal(decide(&h), FLEET_TODO_MINT);
		fences[i] = h.f.fence;
	}
	assert_true(fences[0] != fences[1] && fences[1] != fences[2] && fences[0] != fences[2]);
}

static void a_permit_that_the_store_may_have_lost_is_asked_for_again(void **state)
{
	struct fleet_stored r;
	struct host h;

	(void)state;
	host_init(&h);
	connect_with(&h, 7);
	/* a host without one waits until it is its time */
	assert_false(fleet_permit_lost(&h.f));
	fleet_permitted(&h.f, 2);
	assert_false(fleet_permit_lost(&h.f));
	/* another connection, once */
	fleet_down(&h.f, h.now);
	fleet_up(&h.f, h.now);
	assert_true(fleet_permit_lost(&h.f));
	assert_false(fleet_permit_lost(&h.f));
	/* what it knew of the token is there, and then it is not */
	expect_operation(&h, FLEET_READ);
	r = stored(&h, 7, 0, LIFE_S);
	answer_record(&h, FLEET_SAYS_RECORD, &r, &good_sight);
	assert_false(fleet_permit_lost(&h.f));
	pass_ms(&h, 11000);
	expect_operation(&h, FLEET_READ);
	answer_word(&h, FLEET_SAYS_RECORD);
	assert_true(fleet_permit_lost(&h.f));
	assert_false(fleet_permit_lost(&h.f));
}

static void without_a_permit_nobody_mints(void **state)
{
	static const struct {
		bool may_mint;
		uint32_t alone, rank;
	} cases[] = {{false, 3, 0}, {true, 0, 0}, {true, 3, 3}, {true, 3, FLEET_NO_PERMIT},
		{true, FLEET_NO_PERMIT, FLEET_NO_PERMIT}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct host h;
		int told = 0;

		host_init(&h);
		h.f.settings.may_mint = cases[i].may_mint;
		h.f.settings.alone = cases[i].alone;
		fleet_permitted(&h.f, cases[i].rank);
		for (int s = 0; s < 600; s++) {
			fleet_want(&h.f, h.now, FLEET_WISH_TOKEN);
			decide(&h);
			assert_true(
				h.d.todo == FLEET_TODO_NOTHING || h.d.todo == FLEET_TODO_GIVE_UP);
			told += h.d.todo == FLEET_TODO_GIVE_UP;
			pass_ms(&h, 1000);
		}
		assert_in_range(told, 60, 600);
	}
}

static void a_follower_waits_for_others(void **state)
{
	struct fleet_stored r;
	struct host h;

	(void)state;
	host_init(&h);
	h.f.settings.may_mint = false;
	connect_empty(&h);
	fleet_want(&h.f, h.now, FLEET_WISH_TOKEN);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
	pass_ms(&h, 5000);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
	r = stored(&h, 7, 0, LIFE_S);
	assert_int_equal(push(&h, &r, &good_sight), FLEET_TAKEN_TOKEN);

	host_init(&h);
	h.f.settings.may_mint = false;
	connect_empty(&h);
	fleet_want(&h.f, h.now, FLEET_WISH_TOKEN);
	pass_ms(&h, 8000);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
	pass_ms(&h, 3000);
	expect_operation(&h, FLEET_READ);
	answer_word(&h, FLEET_SAYS_RECORD);
	assert_int_equal(decide(&h), FLEET_TODO_GIVE_UP);
	assert_int_equal(h.d.reason, FLEET_BECAUSE_FOLLOWER);
}

static void what_is_refused_is_tried_again_in_a_moment(void **state)
{
	static const enum fleet_operation operations[] = {
		FLEET_READ, FLEET_ACQUIRE, FLEET_RENEW, FLEET_PUT, FLEET_FAIL, FLEET_STOP};

	(void)state;
	for (size_t i = 0; i < sizeof(operations) / sizeof(*operations); i++) {
		struct host h;
		int begun = 0;

		host_init(&h);
		connect_empty(&h);
		fleet_want(&h.f, h.now, FLEET_WISH_TOKEN);
		for (int ms = 0; ms < 20000; ms += 10) {
			if (decide(&h) == FLEET_TODO_OPERATION) {
				bool refused = h.d.operation == operations[i];

				begun += refused;
				if (refused)
					fleet_refused(&h.f, h.now);
				else if (h.d.operation == FLEET_ACQUIRE)
					answer_granted(&h, h.f.seen + 1);
				else
					answer_word(&h, h.d.operation == FLEET_READ
								? FLEET_SAYS_RECORD
								: FLEET_SAYS_PUT);
			}
			if (ms == 6000 && operations[i] == FLEET_FAIL && h.f.minting)
				fleet_mint_failed(&h.f, h.now, RESPONSE_UNAVAILABLE, DURATION_ZERO);
			if (ms == 6000 && operations[i] <= FLEET_PUT && h.f.minting)
				fleet_minted(&h.f, h.now, boot_add(h.now, duration_s(LIFE_S)),
					duration_s(LIFE_S));
			if (ms == 6000 && operations[i] == FLEET_STOP)
				fleet_stop(&h.f, h.now), h.f.minting = false;
			pass_ms(&h, 10);
		}
		assert_in_range(begun, 1, 20);
	}
}

static void a_lost_connection_loses_the_operation(void **state)
{
	struct host h;

	(void)state;
	host_init(&h);
	connect_empty(&h);
	fleet_want(&h.f, h.now, FLEET_WISH_TOKEN);
	expect_operation(&h, FLEET_ACQUIRE);
	fleet_down(&h.f, h.now);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
	pass_ms(&h, 100);
	fleet_up(&h.f, h.now);
	expect_operation(&h, FLEET_READ);
	answer_word(&h, FLEET_SAYS_RECORD);
	expect_operation(&h, FLEET_ACQUIRE);
}

static uint64_t counted(const struct host *h, enum fleet_operation operation, unsigned result)
{
	return h->f.counters.operations[operation][result];
}

/* Each is counted once, by what became of it. */
static void operations_are_counted(void **state)
{
	struct fleet_stored r;
	struct host h;

	(void)state;
	host_init(&h);
	connect_minted(&h, 7);
	assert_true(counted(&h, FLEET_READ, FLEET_RESULT_EMPTY) == 1);
	assert_true(counted(&h, FLEET_ACQUIRE, FLEET_SAYS_GRANTED) == 1);
	assert_true(counted(&h, FLEET_PUT, FLEET_SAYS_PUT) == 1);
	pass_ms(&h, 11000);
	expect_operation(&h, FLEET_READ);
	r = stored(&h, 7, 11, LIFE_S - 1);
	answer_record(&h, FLEET_SAYS_RECORD, &r, &good_sight);
	assert_true(counted(&h, FLEET_READ, FLEET_SAYS_RECORD) == 1);
	pass_ms(&h, 11000);
	expect_operation(&h, FLEET_READ);
	fleet_refused(&h.f, h.now);
	assert_true(counted(&h, FLEET_READ, FLEET_RESULT_REFUSED) == 1);
	pass_ms(&h, 2000);
	expect_operation(&h, FLEET_READ);
	fleet_down(&h.f, h.now);
	fleet_down(&h.f, h.now); /* another try to connect */
	assert_true(counted(&h, FLEET_READ, FLEET_RESULT_LOST) == 1);
	for (unsigned i = 0; i < FLEET_RESULTS; i++)
		assert_true(counted(&h, FLEET_FAIL, i) + counted(&h, FLEET_STOP, i) == 0);
}

/* From the put, as the store's clock has it, to the message. One that comes again says nothing. */
static void the_way_of_a_message_is_measured(void **state)
{
	struct fleet_stored r;
	struct host h;

	(void)state;
	host_init(&h);
	connect_empty(&h);
	r = stored(&h, 7, 0, LIFE_S);
	pass_ms(&h, 40);
	assert_int_equal(push(&h, &r, &good_sight), FLEET_TAKEN_TOKEN);
	assert_int_equal(push(&h, &r, &good_sight), FLEET_TAKEN_NOTHING);
	assert_true(h.f.counters.pushed == 1);
	assert_true(h.f.counters.push_delay.ns == 40 * NS_PER_MS);
	assert_true(h.f.counters.missed == 0);
}

static void a_message_that_does_not_come_is_noticed(void **state)
{
	struct fleet_stored r;
	struct host h;

	(void)state;
	host_init(&h);
	connect_with(&h, 7); /* what was there before cannot have been heard of */
	assert_true(h.f.counters.missed == 0);
	pass_ms(&h, 11000);
	expect_operation(&h, FLEET_READ);
	r = stored(&h, 8, 1, LIFE_S); /* it may be on its way */
	answer_record(&h, FLEET_SAYS_RECORD, &r, &good_sight);
	assert_true(h.f.counters.adopted == 2 && h.f.counters.missed == 0);
	pass_ms(&h, 11000);
	expect_operation(&h, FLEET_READ);
	r = stored(&h, 9, 5, LIFE_S);
	answer_record(&h, FLEET_SAYS_RECORD, &r, &good_sight);
	assert_true(h.f.counters.adopted == 3 && h.f.counters.missed == 1);
}

static void the_previous_run_is_remembered(void **state)
{
	const struct fleet_token token = {.generation = 9,
		.end = {2000 * NS_PER_S},
		.received = {900 * NS_PER_S},
		.issued = {LIFE_S * NS_PER_S},
		.own = true};
	struct fleet_stored r;
	struct host h;

	(void)state;
	host_init(&h);
	fleet_restore(&h.f, 12, 0);
	fleet_resume(&h.f, &token);
	assert_true(fleet_alive(&h.f, h.now));
	fleet_up(&h.f, h.now);
	expect_operation(&h, FLEET_READ);
	r = stored(&h, 8, 0, LIFE_S); /* the store is of an earlier time */
	assert_int_equal(
		answer_record(&h, FLEET_SAYS_RECORD, &r, &good_sight), FLEET_TAKEN_NOTHING);
	expect_operation(&h, FLEET_PUT);
	assert_true(h.d.generation == 9);
	answer_word(&h, FLEET_SAYS_PUT);
	fleet_want(&h.f, h.now, FLEET_WISH_REFRESH);
	expect_operation(&h, FLEET_ACQUIRE);
	assert_true(h.d.floor == 12);
}

/* A store that answers nonsense is not asked without end. */
static void nonsense_is_not_asked_for_in_a_loop(void **state)
{
	static const enum fleet_word words[] = {
		FLEET_SAYS_NEWER, FLEET_SAYS_HELD, FLEET_SAYS_HOLD, FLEET_SAYS_STALE};

	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		struct host h;
		int operations = 0;

		host_init(&h);
		connect_minted(&h, 7);
		h.f.put_at = words[i] == FLEET_SAYS_STALE ? h.now : BOOT_TIME_NEVER;
		for (int ms = 0; ms < 60000; ms++) {
			struct fleet_answer a = obstacle(&h, words[i], "7:1", 0, 1);

			pass_ms(&h, 1);
			fleet_want(&h.f, h.now, FLEET_WISH_REPORT);
			if (decide(&h) != FLEET_TODO_OPERATION)
				continue;
			operations++;
			a.record = stored(&h, 7, 0, LIFE_S);
			if (h.d.operation == FLEET_READ)
				answer_word(&h, FLEET_SAYS_RECORD);
			else if ((h.d.operation == FLEET_PUT) == (words[i] == FLEET_SAYS_STALE))
				answer(&h, &a, &good_sight);
			else
				fleet_refused(&h.f, h.now);
		}
		assert_in_range(operations, 1, 700);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_asked_without_a_connection),
		cmocka_unit_test(what_the_store_has_is_taken),
		cmocka_unit_test(a_look_that_is_nearly_due_goes_along_with_anothers),
		cmocka_unit_test(the_age_of_a_record_counts),
		cmocka_unit_test(one_host_mints_and_puts),
		cmocka_unit_test(a_put_is_dated_by_a_fresh_clock),
		cmocka_unit_test(who_is_in_the_way_is_waited_for),
		cmocka_unit_test(what_stands_too_long_is_broken),
		cmocka_unit_test(holds_and_limits_end_the_fetch),
		cmocka_unit_test(a_refusal_elsewhere_may_be_of_another_secret),
		cmocka_unit_test(a_store_that_refuses_is_of_no_help),
		cmocka_unit_test(a_store_that_refused_once_is_asked_again),
		cmocka_unit_test(a_store_that_goes_on_refusing_is_of_no_help),
		cmocka_unit_test(a_store_that_refuses_all_is_of_no_help),
		cmocka_unit_test(what_it_refused_before_is_no_reason),
		cmocka_unit_test(a_new_refusal_is_waited_with),
		cmocka_unit_test(a_lease_of_a_number_that_cannot_be),
		cmocka_unit_test(a_report_names_what_is_rejected),
		cmocka_unit_test(a_report_is_late_where_the_store_has_a_newer_one),
		cmocka_unit_test(a_rejection_elsewhere_is_learnt),
		cmocka_unit_test(a_refresh_has_a_long_lease),
		cmocka_unit_test(a_failed_request_is_told_to_all),
		cmocka_unit_test(a_failure_elsewhere_ends_the_fetch),
		cmocka_unit_test(what_comes_while_an_answer_is_awaited),
		cmocka_unit_test(a_token_that_is_superseded_while_it_is_fetched),
		cmocka_unit_test(a_put_that_comes_too_late),
		cmocka_unit_test(what_the_store_lost_is_put_again),
		cmocka_unit_test(a_step_of_the_stores_clock_is_put_right),
		cmocka_unit_test(what_is_dated_in_the_future_waits),
		cmocka_unit_test(the_login_servers_clock_is_a_ceiling),
		cmocka_unit_test(a_push_is_dated_between_ping_and_now),
		cmocka_unit_test(what_is_put_right_after_a_step_back_takes_nothing_off),
		cmocka_unit_test(a_foreign_key_is_left_alone_while_its_token_lives),
		cmocka_unit_test(a_damaged_record_is_replaced),
		cmocka_unit_test(an_admin_stops_the_fleet),
		cmocka_unit_test(without_a_store_those_with_a_permit_mint),
		cmocka_unit_test(no_two_that_mint_alone_make_the_same_generation),
		cmocka_unit_test(a_permit_that_the_store_may_have_lost_is_asked_for_again),
		cmocka_unit_test(without_a_permit_nobody_mints),
		cmocka_unit_test(a_follower_waits_for_others),
		cmocka_unit_test(what_is_refused_is_tried_again_in_a_moment),
		cmocka_unit_test(nonsense_is_not_asked_for_in_a_loop),
		cmocka_unit_test(a_lost_connection_loses_the_operation),
		cmocka_unit_test(operations_are_counted),
		cmocka_unit_test(the_way_of_a_message_is_measured),
		cmocka_unit_test(a_message_that_does_not_come_is_noticed),
		cmocka_unit_test(the_previous_run_is_remembered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
