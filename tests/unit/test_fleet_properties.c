/* What holds whatever the store says: random records, pushes, stamps, cuts and refusals, by a store
 * that lies as well. */
#include "fleet_fixture.h"

#define RUNS 300
#define STEPS 600
#define GENERATIONS 40

struct world {
	struct host h;
	struct random dice;
	struct boot_time ends[GENERATIONS]; /* the earliest that was ever known; BOOT_TIME_NEVER */
	uint64_t highest;
	bool granted;
};

static uint64_t below(struct world *w, uint64_t limit)
{
	return random_next(&w->dice) % limit;
}

static struct fleet_sight any_sight(struct world *w)
{
	struct fleet_sight sight = good_sight;

	sight.proven = below(w, 2);
	switch (below(w, 12)) {
	case 0:
		sight.seal = FLEET_SEAL_DAMAGED;
		break;
	case 1:
		sight.seal = FLEET_SEAL_FOREIGN;
		break;
	case 2:
		sight.seal = below(w, 4) ? FLEET_SEAL_GOOD : FLEET_SEAL_STOPPED;
		break;
	case 3:
		sight.ceiling = boot_add(w->h.now, duration_s((int64_t)below(w, 2 * LIFE_S)));
		break;
	default:
		break;
	}
	return sight;
}

static struct fleet_stored any_record(struct world *w)
{
	int64_t age_s = (int64_t)below(w, LIFE_S);
	struct fleet_stored r = stored(&w->h, 1 + below(w, GENERATIONS - 1),
		below(w, 5) ? age_s : age_s - 3000, (int64_t)below(w, 2 * LIFE_S));

	r.rejected = !below(w, 8);
	if (!below(w, 40))
		r.left_us = INT64_C(1) << 53;
	if (!below(w, 40))
		r.t0_us = 0;
	return r;
}

static void any_answer(struct world *w)
{
	static const enum fleet_word words[][8] = {
		[FLEET_READ] = {FLEET_SAYS_RECORD},
		[FLEET_ACQUIRE] = {FLEET_SAYS_NEWER, FLEET_SAYS_COOLDOWN, FLEET_SAYS_HOLD,
			FLEET_SAYS_HELD, FLEET_SAYS_LIMIT, FLEET_SAYS_GRANTED, FLEET_SAYS_ACCEPTED},
		[FLEET_RENEW] = {FLEET_SAYS_KEPT, FLEET_SAYS_LATE},
		[FLEET_PUT] = {FLEET_SAYS_NEWER, FLEET_SAYS_PUT, FLEET_SAYS_SAME, FLEET_SAYS_DEAD,
			FLEET_SAYS_STALE},
		[FLEET_FAIL] = {FLEET_SAYS_FAILED, FLEET_SAYS_LATE},
		[FLEET_STOP] = {FLEET_SAYS_PUT, FLEET_SAYS_NEWER},
		[FLEET_ACCEPT] = {FLEET_SAYS_PUT, FLEET_SAYS_LATE},
	};
	static const uint64_t counts[] = {1, 7, 2, 5, 2, 2, 2};
	enum fleet_operation operation = w->h.f.operation;
	enum fleet_word word = words[operation][below(w, counts[operation])];
	struct fleet_answer a = obstacle(&w->h, word, below(w, 2) ? "7:1" : "8:1",
		(int64_t)below(w, 4000000), 1 + (int64_t)below(w, 30000));
	const struct fleet_sight sight = any_sight(w);

	if (word == FLEET_SAYS_NEWER || (word == FLEET_SAYS_RECORD && below(w, 4)))
		a.record = any_record(w);
	a.fence = 1 + below(w, GENERATIONS - 1);
	a.verdict.fence = below(w, 3) ? 1 + below(w, GENERATIONS - 1) : 0;
	a.verdict.at_us = a.stamp_us - (int64_t)below(w, 60) * US_PER_S;
	w->granted |= word == FLEET_SAYS_GRANTED;
	answer(&w->h, &a, &sight);
}

static void any_event(struct world *w)
{
	struct host *h = &w->h;
	struct fleet *f = &h->f;

	pass_ms(h, (int64_t)below(w, below(w, 20) ? 500 : 300000));
	if (!below(w, 30))
		h->store_us += ((int64_t)below(w, 7200) - 3600) * US_PER_S;
	if (f->busy && below(w, 4)) {
		if (below(w, 8))
			any_answer(w);
		else
			fleet_refused(f, h->now);
		return;
	}
	switch (below(w, 11)) {
	case 10:
		if (f->check.state == FLEET_CHECK_UNDER_WAY)
			fleet_checked(f, h->now, (enum fleet_found)below(w, 3));
		else if (f->current.generation && !f->current.stopped && !f->current.rejected)
			fleet_check(f, h->now);
		break;
	case 0:
		fleet_down(f, h->now);
		break;
	case 1:
	case 2:
		if (!f->up)
			fleet_up(f, h->now);
		break;
	case 3:
		fleet_want(f, h->now, (enum fleet_wish)(1 + below(w, FLEET_WISH_ADMIN)));
		break;
	case 4:
		fleet_anchored(f, boot_sub(h->now, duration_ms((int64_t)below(w, 1000))));
		break;
	case 5:
		fleet_permitted(f, below(w, 3) ? (uint32_t)below(w, 5) : FLEET_NO_PERMIT);
		break;
	case 6:
		if (!below(w, 20))
			fleet_stop(f, h->now);
		break;
	default:
		if (f->up) {
			const struct fleet_sight sight = any_sight(w);
			const struct fleet_stored r = any_record(w);

			push(h, &r, &sight);
		}
		break;
	}
	if (f->minting && !f->want_mint && below(w, 3))
		return;
	if (f->minting && !f->want_mint) {
		if (below(w, 3))
			fleet_minted(f, h->now, boot_add(h->now, duration_s(LIFE_S - 1)),
				duration_s(LIFE_S));
		else
			fleet_mint_failed(f, h->now, RESPONSE_UNAVAILABLE, DURATION_ZERO);
	}
}

/* F2 and F3. */
static void check_token(struct world *w)
{
	const struct fleet_token *c = &w->h.f.current;

	if (!c->generation)
		return;
	assert_true(c->generation >= w->highest);
	w->highest = c->generation;
	if (c->stopped || c->generation >= GENERATIONS)
		return;
	assert_true(c->end.ns <= w->ends[c->generation].ns);
	w->ends[c->generation] = c->end;
	/* never more than it was issued with */
	assert_true(boot_since(c->end, c->received).ns <= c->issued.ns);
}

static void check_decision(struct world *w)
{
	struct host *h = &w->h;
	bool was_busy = h->f.busy, had_permit = h->f.rank < h->f.settings.alone;

	switch (decide(h)) {
	case FLEET_TODO_OPERATION:
		assert_true(h->f.up && !was_busy);
		if (h->d.operation == FLEET_PUT || h->d.operation == FLEET_STOP)
			assert_true(h->d.generation == h->f.current.generation);
		break;
	case FLEET_TODO_MINT:
		assert_true(h->d.alone ? had_permit : w->granted);
		w->granted = false;
		break;
	case FLEET_TODO_GIVE_UP:
		assert_true(h->d.wait.ns >= 0);
		break;
	case FLEET_TODO_CHECK:
	case FLEET_TODO_CHECKED:
		assert_true(
			h->f.current.generation && !h->f.current.stopped && !h->f.current.rejected);
		break;
	case FLEET_TODO_NOTHING:
		assert_true(boot_before(h->now, h->d.wake_at));
		break;
	}
}

static void no_store_makes_a_token_older_or_longer(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= RUNS; seed++) {
		struct world w = {.dice = {seed}};

		host_init(&w.h);
		for (size_t i = 0; i < GENERATIONS; i++)
			w.ends[i] = BOOT_TIME_NEVER;
		for (int i = 0; i < STEPS; i++) {
			any_event(&w);
			check_token(&w);
			check_decision(&w);
			check_token(&w);
		}
	}
}

/* F8: whatever the store says of how long it lasts, and however its clock is set. */
static void no_lease_or_hold_stops_a_host_for_longer(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= RUNS; seed++) {
		struct world w = {.dice = {seed}};
		struct host *h = &w.h;
		enum fleet_word word = below(&w, 2) ? FLEET_SAYS_HELD : FLEET_SAYS_HOLD;
		int64_t whole_ms = 1 + (int64_t)below(&w, 60000);
		struct boot_time first;
		struct fleet_answer a;
		const char *broken = "";

		host_init(h);
		connect_empty(h);
		first = h->now;
		while (!*broken) {
			pass_ms(h, 10);
			if (!below(&w, 200))
				h->store_us += ((int64_t)below(&w, 7200) - 3600) * US_PER_S;
			fleet_want(&h->f, h->now, FLEET_WISH_TOKEN);
			if (decide(h) != FLEET_TODO_OPERATION)
				continue;
			if (h->d.operation == FLEET_ACQUIRE) {
				broken = word == FLEET_SAYS_HELD ? h->d.break_lease.text
								 : h->d.break_hold.text;
				a = obstacle(h, word, "7:1", (int64_t)below(&w, 4000000), whole_ms);
				if (!*broken)
					answer(h, &a, &no_sight);
			} else {
				answer_word(h, FLEET_SAYS_RECORD);
			}
			assert_true(boot_since(h->now, first).ns < (whole_ms + 2100) * NS_PER_MS);
		}
		assert_true(boot_since(h->now, first).ns > (whole_ms + 2000) * NS_PER_MS);
		assert_string_equal(broken, "7:1");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_store_makes_a_token_older_or_longer),
		cmocka_unit_test(no_lease_or_hold_stops_a_host_for_longer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
