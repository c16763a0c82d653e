/* A caller reports the token: who asks the API, what other hosts believe of that, and for how long.
 */
#include "fleet_fixture.h"

#define COOLDOWN_S 30

/* Generation 7 is here, and a caller has reported it. */
static void reported(struct host *h)
{
	host_init(h);
	connect_with(h, 7);
	fleet_check(&h->f, h->now);
}

static void expect_check_acquire(struct host *h)
{
	expect_operation(h, FLEET_ACQUIRE);
	assert_true(h->d.check && h->d.reject == 7 && h->d.generation == 7);
	assert_true(h->d.lease.ns == FLEET_LEASE_S * NS_PER_S);
}

static void granted(struct host *h, uint64_t fence)
{
	expect_check_acquire(h);
	answer_granted(h, fence);
	assert_int_equal(decide(h), FLEET_TODO_CHECK);
	assert_int_equal(decide(h), FLEET_TODO_NOTHING);
}

/* The store tells of a verdict that was told `age_ms` ago. */
static void answer_accepted(struct host *h, uint64_t fence, int64_t age_ms, bool proven)
{
	struct fleet_answer a = says(h, FLEET_SAYS_ACCEPTED);
	const struct fleet_sight sight = {.proven = proven};

	a.verdict.fence = fence;
	a.verdict.at_us = a.stamp_us - age_ms * 1000;
	assert_int_equal(answer(h, &a, &sight), FLEET_TAKEN_NOTHING);
}

/* Reads find generation 7 until something else is to be done, or nothing is. */
static enum fleet_todo decide_reading(struct host *h)
{
	while (decide(h) == FLEET_TODO_OPERATION && h->d.operation == FLEET_READ) {
		struct fleet_stored r = stored(h, 7, 0, LIFE_S);

		answer_record(h, FLEET_SAYS_RECORD, &r, &good_sight);
	}
	return h->d.todo;
}

static void expect_checked(struct host *h, bool accepted)
{
	assert_int_equal(decide(h), FLEET_TODO_CHECKED);
	assert_int_equal(h->d.accepted, accepted);
	assert_int_equal(decide(h), FLEET_TODO_NOTHING);
}

static void whoever_is_granted_asks_and_tells(void **state)
{
	struct host h;

	(void)state;
	reported(&h);
	granted(&h, 9);
	assert_false(h.f.current.rejected);
	fleet_checked(&h.f, h.now, FLEET_FOUND_ACCEPTED);
	expect_operation(&h, FLEET_ACCEPT);
	assert_true(h.d.fence == 9 && h.d.generation == 7);
	answer_word(&h, FLEET_SAYS_PUT);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
	/* for a cool-down there is nothing to ask */
	pass_ms(&h, 5000);
	fleet_check(&h.f, h.now);
	expect_checked(&h, true);
}

static void what_the_api_refuses_is_replaced_by_the_same_host(void **state)
{
	struct host h;

	(void)state;
	reported(&h);
	granted(&h, 9);
	fleet_checked(&h.f, h.now, FLEET_FOUND_REJECTED);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
	fleet_want(&h.f, h.now, FLEET_WISH_REPORT);
	expect_operation(&h, FLEET_ACQUIRE);
	assert_true(!h.d.check && h.d.reject == 7);
	answer_granted(&h, 10);
	assert_int_equal(decide(&h), FLEET_TODO_MINT);
}

/* The API says nothing, and so nothing follows: others may ask, or fetch the next token. */
static void a_lease_that_came_to_nothing_is_given_back(void **state)
{
	struct host h;

	(void)state;
	for (int refused = 0; refused < 2; refused++) {
		reported(&h);
		granted(&h, 9);
		fleet_checked(&h.f, h.now, FLEET_FOUND_NOTHING);
		expect_operation(&h, FLEET_RENEW);
		assert_true(h.d.fence == 9 && h.d.lease.ns == NS_PER_MS);
		if (refused)
			fleet_refused(&h.f, h.now);
		else
			answer_word(&h, FLEET_SAYS_KEPT);
		assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
		/* whoever reports it next asks again */
		fleet_check(&h.f, h.now);
		expect_check_acquire(&h);
	}

	/* not where a report follows all the same */
	reported(&h);
	granted(&h, 9);
	fleet_checked(&h.f, h.now, FLEET_FOUND_NOTHING);
	fleet_want(&h.f, h.now, FLEET_WISH_REPORT);
	expect_operation(&h, FLEET_ACQUIRE);
	assert_false(h.d.check);

	/* and there is none to give back where the store was of no help */
	reported(&h);
	expect_check_acquire(&h);
	fleet_refused(&h.f, h.now);
	assert_int_equal(decide(&h), FLEET_TODO_CHECK);
	fleet_checked(&h.f, h.now, FLEET_FOUND_NOTHING);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
}

/* The API takes its time, and the lease is kept. */
static void the_lease_is_kept_meanwhile(void **state)
{
	struct host h;

	(void)state;
	reported(&h);
	granted(&h, 9);
	for (int i = 0; i < 4; i++) {
		pass_ms(&h, 1700);
		expect_operation(&h, FLEET_RENEW);
		assert_true(h.d.fence == 9 && h.d.lease.ns == FLEET_LEASE_S * NS_PER_S);
		answer_word(&h, FLEET_SAYS_KEPT);
	}
	/* a refresh that gets due waits for it, an admin does not */
	fleet_want(&h.f, h.now, FLEET_WISH_REFRESH);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
	fleet_want(&h.f, h.now, FLEET_WISH_ADMIN);
	while (decide(&h) == FLEET_TODO_OPERATION && h.d.operation == FLEET_READ)
		answer_word(&h, FLEET_SAYS_RECORD);
	assert_int_equal(h.d.operation, FLEET_ACQUIRE);
	assert_false(h.d.check);
}

static void others_wait_for_it_and_ask_again(void **state)
{
	struct fleet_answer a;
	struct host h;

	(void)state;
	reported(&h);
	expect_check_acquire(&h);
	a = obstacle(&h, FLEET_SAYS_HELD, "9.0", 5000, 5000);
	answer(&h, &a, &no_sight);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
	assert_in_range(boot_since(h.d.wake_at, h.now).ns, 500 * NS_PER_MS, 1500 * NS_PER_MS);
	pass_ms(&h, 1500);
	expect_check_acquire(&h);
	answer_accepted(&h, 9, 1000, true);
	expect_checked(&h, true);
	/* no longer than where it was asked */
	pass_ms(&h, 28900);
	fleet_check(&h.f, h.now);
	assert_int_equal(decide(&h), FLEET_TODO_CHECKED);
	assert_true(h.d.accepted);
	expect_operation(&h, FLEET_READ);
	answer_word(&h, FLEET_SAYS_RECORD);
	pass_ms(&h, 200);
	fleet_check(&h.f, h.now);
	expect_check_acquire(&h);
}

/* Whoever asks the API dies: its lease ends, and is broken if the store does not end it. */
static void a_lease_of_a_dead_host_stops_nobody(void **state)
{
	struct boot_time begun;
	struct host h;
	bool broken = false;

	(void)state;
	reported(&h);
	begun = h.now;
	while (!broken) {
		struct fleet_answer a;

		pass_ms(&h, 10);
		if (decide(&h) != FLEET_TODO_OPERATION)
			continue;
		if (h.d.operation == FLEET_READ) {
			answer_word(&h, FLEET_SAYS_RECORD);
			continue;
		}
		broken = *h.d.break_lease.text != '\0';
		a = obstacle(&h, FLEET_SAYS_HELD, "9.0", 3600000, 5000);
		answer(&h, &a, &no_sight);
	}
	assert_string_equal(h.d.break_lease.text, "9.0");
	assert_in_range(boot_since(h.now, begun).ns, 7 * NS_PER_S, 9 * NS_PER_S);
}

/* ... nor one that is kept and kept. */
static void nobody_waits_for_ever(void **state)
{
	struct boot_time begun;
	struct host h;
	unsigned n = 0;

	(void)state;
	reported(&h);
	begun = h.now;
	while (decide(&h) != FLEET_TODO_CHECK) {
		if (h.d.todo == FLEET_TODO_OPERATION && h.d.operation == FLEET_ACQUIRE) {
			char id[16];
			struct fleet_answer a;

			snprintf(id, sizeof(id), "9.%u", n++);
			a = obstacle(&h, FLEET_SAYS_HELD, id, 5000, 5000);
			answer(&h, &a, &no_sight);
		} else if (h.d.todo == FLEET_TODO_OPERATION) {
			answer_word(&h, FLEET_SAYS_RECORD);
		}
		pass_ms(&h, 10);
	}
	assert_in_range(boot_since(h.now, begun).ns, 10 * NS_PER_S, 10 * NS_PER_S + 20 * NS_PER_MS);
	/* it told nobody to wait, and tells nobody what it learns */
	fleet_checked(&h.f, h.now, FLEET_FOUND_ACCEPTED);
	while (decide(&h) == FLEET_TODO_OPERATION) {
		assert_int_equal(h.d.operation, FLEET_READ);
		answer_word(&h, FLEET_SAYS_RECORD);
	}
	fleet_check(&h.f, h.now);
	expect_checked(&h, true);
}

/* A verdict that is not proven, is over by our own clock, or is older than one that was known. */
static void a_store_that_lies_is_doubted(void **state)
{
	struct host h;

	(void)state;
	reported(&h);
	expect_check_acquire(&h);
	assert_true(h.d.doubted == 0);
	answer_accepted(&h, 9, 0, false);
	expect_check_acquire(&h);
	assert_true(h.d.doubted == 9);
	/* again, and for ever: no loop, and then it is asked here */
	answer_accepted(&h, 9, 0, false);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
	pass_ms(&h, 1000);
	expect_check_acquire(&h);
	answer_accepted(&h, 10, 0, true);
	expect_checked(&h, true);

	for (int64_t s = 1; s < COOLDOWN_S + 60; s++) {
		pass_ms(&h, 1000);
		fleet_check(&h.f, h.now);
		decide_reading(&h);
		if (s < COOLDOWN_S) {
			assert_int_equal(h.d.todo, FLEET_TODO_CHECKED);
			continue;
		}
		/* its clock is set back, and so it is always new */
		assert_int_equal(h.d.operation, FLEET_ACQUIRE);
		if (h.d.doubted == 10)
			break;
		answer_accepted(&h, 10, -3600000, true);
		if (decide(&h) == FLEET_TODO_OPERATION) {
			assert_true(h.d.doubted == 10);
			break;
		}
	}
	assert_true(h.d.doubted == 10);
	answer_granted(&h, 12);
	assert_int_equal(decide(&h), FLEET_TODO_CHECK);
	fleet_checked(&h.f, h.now, FLEET_FOUND_ACCEPTED);
	pass_ms(&h, 40000);
	/* one from before that is brought back does not count again */
	fleet_check(&h.f, h.now);
	while (decide_reading(&h) == FLEET_TODO_OPERATION && h.d.operation != FLEET_ACQUIRE)
		answer_word(&h, FLEET_SAYS_LATE);
	answer_accepted(&h, 11, 0, true);
	expect_check_acquire(&h);
	assert_true(h.d.doubted == 11);
}

/* Genuine ones that it has kept, one after another. */
static void a_store_cannot_go_on_with_what_it_has_kept(void **state)
{
	struct host h;
	uint64_t fence = 10;

	(void)state;
	host_init(&h);
	connect_with(&h, 7);
	for (int round = 0; round < 5; round++) {
		int believed = 0;

		while (h.d.todo != FLEET_TODO_CHECK) {
			fleet_check(&h.f, h.now);
			while (decide_reading(&h) < FLEET_TODO_CHECK) {
				if (h.d.todo == FLEET_TODO_NOTHING) {
					h.now = h.d.wake_at;
					continue;
				}
				assert_int_equal(h.d.operation, FLEET_ACQUIRE);
				answer_accepted(&h, fence++, 0, true);
			}
			believed += h.d.todo == FLEET_TODO_CHECKED;
			assert_true(believed <= 20);
			pass_ms(&h, 31000);
		}
		assert_in_range(believed, 11, 20);
		fleet_checked(&h.f, h.now, FLEET_FOUND_ACCEPTED);
		pass_ms(&h, 31000);
		decide_reading(&h);
	}
}

/* ... and an honest one has nobody ask in vain: whoever has believed enough of others asks for all.
 */
static void whoever_has_believed_enough_asks_for_all(void **state)
{
	struct host h;
	uint64_t fence = 10;

	(void)state;
	host_init(&h);
	connect_with(&h, 7);
	for (;;) {
		fleet_check(&h.f, h.now);
		assert_int_equal(decide_reading(&h), FLEET_TODO_OPERATION);
		assert_int_equal(h.d.operation, FLEET_ACQUIRE);
		answer_accepted(&h, fence, 0, true);
		if (decide(&h) != FLEET_TODO_CHECKED)
			break;
		assert_true(++fence <= 30);
		pass_ms(&h, 31000);
	}
	assert_in_range(fence - 10, 11, 20);
	assert_int_equal(h.d.operation, FLEET_ACQUIRE);
	assert_true(h.d.check && h.d.doubted == fence);
	answer_granted(&h, fence + 1);
	assert_int_equal(decide(&h), FLEET_TODO_CHECK);
	fleet_checked(&h.f, h.now, FLEET_FOUND_ACCEPTED);
	expect_operation(&h, FLEET_ACCEPT);
}

/* A store that is honest. */
struct verdict_store {
	uint64_t seq, fence; /* of the verdict; 0: there is none */
	int64_t at_us;
};

static void answer_honestly(struct host *h, struct verdict_store *s)
{
	const struct fleet_sight sight = {
		.seal = FLEET_SEAL_GOOD, .issued = {LIFE_S * NS_PER_S}, .ceiling = {INT64_MAX}};
	struct fleet_answer a = says(h, FLEET_SAYS_RECORD);

	switch (h->d.operation) {
	case FLEET_READ:
		a.record = stored(h, 7, 0, LIFE_S);
		answer(h, &a, &sight);
		break;
	case FLEET_ACQUIRE:
		if (s->fence && s->fence != h->d.doubted &&
			a.stamp_us - s->at_us < COOLDOWN_S * US_PER_S)
			answer_accepted(h, s->fence, (a.stamp_us - s->at_us) / 1000, true);
		else
			answer_granted(h, ++s->seq);
		break;
	default:
		assert_int_equal(h->d.operation, FLEET_ACCEPT);
		s->fence = h->d.fence;
		s->at_us = a.stamp_us;
		answer_word(h, FLEET_SAYS_PUT);
		break;
	}
}

/* Every ten seconds each of them has a false report, for most of the token's life: how
 * often the API is asked in a cool-down, in hundredths. */
static int64_t questions_of(unsigned count)
{
	static struct host hosts[100];
	struct verdict_store store = {.seq = 100};
	struct random dice = {count};
	int64_t cooldowns = 100, questions = 0;

	for (unsigned i = 0; i < count; i++) {
		host_init(&hosts[i]);
		hosts[i].f.random.state = i;
		connect_with(&hosts[i], 7);
	}
	for (int64_t ms = 0; ms < cooldowns * COOLDOWN_S * 1000; ms += 10000) {
		uint64_t first = random_next(&dice);

		for (unsigned i = 0; i < count; i++) {
			struct host *h = &hosts[(first + i) % count];

			pass_ms(h, 10000);
			fleet_check(&h->f, h->now);
			while (decide(h) != FLEET_TODO_NOTHING) {
				if (h->d.todo == FLEET_TODO_OPERATION)
					answer_honestly(h, &store);
				if (h->d.todo != FLEET_TODO_CHECK)
					continue;
				questions++;
				fleet_checked(&h->f, h->now, FLEET_FOUND_ACCEPTED);
			}
		}
	}
	return questions * 100 / cooldowns;
}

static void questions_of_many_hosts_are_few(void **state)
{
	static const struct {
		unsigned hosts;
		int64_t most;
	} fleets[] = {{1, 100}, {3, 110}, {10, 150}, {50, 400}, {100, 800}};

	(void)state;
	for (size_t i = 0; i < sizeof(fleets) / sizeof(*fleets); i++) {
		int64_t questions = questions_of(fleets[i].hosts);

		print_message("%u hosts: %lld.%02lld questions in a cool-down\n", fleets[i].hosts,
			(long long)questions / 100, (long long)questions % 100);
		assert_in_range(questions, 50, fleets[i].most);
	}
}

static void without_the_store_each_asks(void **state)
{
	struct host h;

	(void)state;
	reported(&h);
	expect_check_acquire(&h);
	fleet_down(&h.f, h.now);
	assert_int_equal(decide(&h), FLEET_TODO_CHECK);
	fleet_checked(&h.f, h.now, FLEET_FOUND_ACCEPTED);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);

	reported(&h);
	expect_check_acquire(&h);
	fleet_refused(&h.f, h.now);
	assert_int_equal(decide(&h), FLEET_TODO_CHECK);
}

/* Nor does one that only follows ask the store for ever what it cannot be asked. */
static void a_read_that_is_refused_is_not_due_again(void **state)
{
	struct host h;

	(void)state;
	reported(&h);
	h.f.settings.may_mint = false;
	expect_operation(&h, FLEET_READ);
	fleet_refused(&h.f, h.now);
	assert_int_equal(decide(&h), FLEET_TODO_CHECK);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
	assert_true(boot_since(h.d.wake_at, h.now).ns >= NS_PER_S);

	/* one that was for something else, while a host that may ask for a lease does */
	reported(&h);
	h.f.read_at = h.now;
	expect_operation(&h, FLEET_READ);
	fleet_refused(&h.f, h.now);
	expect_check_acquire(&h);
}

static void it_is_moot_once_the_token_is_another(void **state)
{
	struct fleet_stored r;
	struct host h;

	(void)state;
	reported(&h);
	expect_check_acquire(&h);
	r = stored(&h, 9, 0, LIFE_S);
	assert_int_equal(answer_record(&h, FLEET_SAYS_NEWER, &r, &good_sight), FLEET_TAKEN_TOKEN);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);

	/* refused where it was asked */
	reported(&h);
	expect_check_acquire(&h);
	r = stored(&h, 7, 0, LIFE_S);
	r.rejected = true;
	assert_int_equal(
		answer_record(&h, FLEET_SAYS_NEWER, &r, &good_sight), FLEET_TAKEN_REJECTED);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
	assert_int_equal(h.f.check.state, FLEET_CHECK_NONE);

	/* a grant that comes too late is of no use, and does no harm */
	reported(&h);
	expect_check_acquire(&h);
	r = stored(&h, 9, 0, LIFE_S);
	assert_int_equal(push(&h, &r, &good_sight), FLEET_TAKEN_TOKEN);
	fleet_want(&h.f, h.now, FLEET_WISH_REFRESH);
	answer_granted(&h, 12);
	assert_false(h.f.minting);
	expect_operation(&h, FLEET_ACQUIRE);
	assert_false(h.d.check);

	/* nor does a verdict on the one before count */
	reported(&h);
	granted(&h, 9);
	fleet_checked(&h.f, h.now, FLEET_FOUND_ACCEPTED);
	r = stored(&h, 11, 0, LIFE_S);
	assert_int_equal(push(&h, &r, &good_sight), FLEET_TAKEN_TOKEN);
	assert_int_equal(decide(&h), FLEET_TODO_NOTHING);
	fleet_check(&h.f, h.now);
	expect_operation(&h, FLEET_ACQUIRE);
	assert_true(h.d.check && h.d.reject == 11);
}

static void what_has_only_just_replaced_another_is_not_asked_about(void **state)
{
	struct fleet_answer a;
	struct host h;

	(void)state;
	reported(&h);
	expect_check_acquire(&h);
	a = says(&h, FLEET_SAYS_COOLDOWN);
	a.wait = duration_s(20);
	answer(&h, &a, &no_sight);
	expect_checked(&h, false);
}

/* ... which a store may say for ever. */
static void nothing_stays_new(void **state)
{
	struct boot_time received;
	struct fleet_answer a;
	struct host h;
	int questions = 0;

	(void)state;
	host_init(&h);
	connect_with(&h, 7);
	received = h.now;
	for (int64_t s = 0; s < 3000; s++) {
		bool is_new = boot_since(h.now, received).ns < (COOLDOWN_S + 2) * NS_PER_S;

		fleet_check(&h.f, h.now);
		while (decide(&h) == FLEET_TODO_OPERATION) {
			a = says(&h, h.d.operation == FLEET_ACQUIRE ? FLEET_SAYS_COOLDOWN
								    : FLEET_SAYS_RECORD);
			a.wait = duration_s(20);
			answer(&h, &a, &no_sight);
		}
		if (h.d.todo == FLEET_TODO_CHECKED) {
			assert_int_equal(h.d.accepted, !is_new);
		} else {
			assert_int_equal(h.d.todo, FLEET_TODO_CHECK);
			assert_false(is_new);
			fleet_checked(&h.f, h.now, FLEET_FOUND_ACCEPTED);
			questions++;
		}
		pass_ms(&h, 1000);
	}
	assert_in_range(questions, 98, 100);
}

/* It is granted nothing: it looks whether another host has asked, and then asks for itself. */
static void who_only_follows_looks(void **state)
{
	const struct fleet_sight proven = {.seal = FLEET_SEAL_GOOD,
		.issued = {LIFE_S * NS_PER_S},
		.ceiling = {INT64_MAX},
		.proven = true};

	(void)state;
	for (int found = 0; found < 2; found++) {
		struct boot_time begun;
		struct host h;
		int reads = 0;

		reported(&h);
		h.f.settings.may_mint = false;
		begun = h.now;
		while (decide(&h) == FLEET_TODO_NOTHING || h.d.todo == FLEET_TODO_OPERATION) {
			if (h.d.todo == FLEET_TODO_OPERATION) {
				struct fleet_answer a = says(&h, FLEET_SAYS_RECORD);

				assert_int_equal(h.d.operation, FLEET_READ);
				a.record = stored(&h, 7, 0, LIFE_S);
				if (++reads == 2 && found)
					a.verdict = (struct fleet_verdict){
						.fence = 9, .at_us = a.stamp_us};
				answer(&h, &a, &proven);
			}
			pass_ms(&h, 10);
		}
		if (found) {
			assert_int_equal(h.d.todo, FLEET_TODO_CHECKED);
			assert_true(h.d.accepted && reads == 2);
			continue;
		}
		assert_int_equal(h.d.todo, FLEET_TODO_CHECK);
		assert_in_range(reads, 2, 7);
		assert_in_range(
			boot_since(h.now, begun).ns, 3 * NS_PER_S, 3 * NS_PER_S + 20 * NS_PER_MS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whoever_is_granted_asks_and_tells),
		cmocka_unit_test(what_the_api_refuses_is_replaced_by_the_same_host),
		cmocka_unit_test(a_lease_that_came_to_nothing_is_given_back),
		cmocka_unit_test(the_lease_is_kept_meanwhile),
		cmocka_unit_test(others_wait_for_it_and_ask_again),
		cmocka_unit_test(a_lease_of_a_dead_host_stops_nobody),
		cmocka_unit_test(nobody_waits_for_ever),
		cmocka_unit_test(a_store_that_lies_is_doubted),
		cmocka_unit_test(a_store_cannot_go_on_with_what_it_has_kept),
		cmocka_unit_test(whoever_has_believed_enough_asks_for_all),
		cmocka_unit_test(questions_of_many_hosts_are_few),
		cmocka_unit_test(without_the_store_each_asks),
		cmocka_unit_test(a_read_that_is_refused_is_not_due_again),
		cmocka_unit_test(it_is_moot_once_the_token_is_another),
		cmocka_unit_test(what_has_only_just_replaced_another_is_not_asked_about),
		cmocka_unit_test(nothing_stays_new),
		cmocka_unit_test(who_only_follows_looks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
