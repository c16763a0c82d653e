/* One host of a fleet, and answers as a store gives them. */
#ifndef TESTS_UNIT_FLEET_FIXTURE_H
#define TESTS_UNIT_FLEET_FIXTURE_H

#include "core/fleet.h"
#include "core/fleet_decide.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define LIFE_S INT64_C(3600)
#define STORE_US INT64_C(1795693523000000) /* the store's clock at the host's 0 */
#define US_PER_S INT64_C(1000000)

struct host {
	struct fleet f;
	struct boot_time now;
	int64_t store_us; /* the store's clock at the host's 0 */
	struct fleet_decision d;
};

static const struct fleet_sight no_sight = {.seal = FLEET_SEAL_NONE};
static const struct fleet_sight good_sight = {
	.seal = FLEET_SEAL_GOOD, .issued = {LIFE_S * NS_PER_S}, .ceiling = {INT64_MAX}};
static const struct fleet_sight stopped_sight = {
	.seal = FLEET_SEAL_STOPPED, .issued = {LIFE_S * NS_PER_S}, .ceiling = {INT64_MAX}};

static inline void host_init(struct host *h)
{
	const struct fleet_settings settings = {
		.may_mint = true,
		.poll = duration_s(10),
		.use_margin = duration_s(2),
		.alone = 3,
		.cooldown = duration_s(30),
	};

	*h = (struct host){.now = {1000 * NS_PER_S}, .store_us = STORE_US};
	fleet_init(&h->f, &settings, 1, h->now);
}

static inline void pass_ms(struct host *h, int64_t ms)
{
	h->now = boot_add(h->now, duration_ms(ms));
}

static inline enum fleet_todo decide(struct host *h)
{
	fleet_decide(&h->f, h->now, &h->d);
	return h->d.todo;
}

/* It has to be that operation, now. */
static inline void expect_operation(struct host *h, enum fleet_operation operation)
{
	assert_int_equal(decide(h), FLEET_TODO_OPERATION);
	assert_int_equal(h->d.operation, operation);
}

static inline int64_t store_now_us(const struct host *h)
{
	return h->store_us + h->now.ns / 1000;
}

static inline struct fleet_answer says(const struct host *h, enum fleet_word word)
{
	return (struct fleet_answer){.word = word, .stamp_us = store_now_us(h)};
}

/* A record that was put `age_s` ago, with `left_s` of its life left then. */
static inline struct fleet_stored stored(
	const struct host *h, uint64_t generation, int64_t age_s, int64_t left_s)
{
	return (struct fleet_stored){.generation = generation,
		.t0_us = store_now_us(h) - age_s * US_PER_S,
		.left_us = left_s * US_PER_S,
		.issued_us = LIFE_S * US_PER_S,
		.sealed = "sealed",
		.sealed_length = 6};
}

static inline enum fleet_taken answer(
	struct host *h, const struct fleet_answer *a, const struct fleet_sight *sight)
{
	return fleet_answered(&h->f, h->now, a, sight);
}

static inline enum fleet_taken answer_word(struct host *h, enum fleet_word word)
{
	struct fleet_answer a = says(h, word);

	return answer(h, &a, &no_sight);
}

static inline enum fleet_taken answer_record(struct host *h, enum fleet_word word,
	const struct fleet_stored *record, const struct fleet_sight *sight)
{
	struct fleet_answer a = says(h, word);

	a.record = *record;
	return answer(h, &a, sight);
}

static inline void answer_granted(struct host *h, uint64_t fence)
{
	struct fleet_answer a = says(h, FLEET_SAYS_GRANTED);

	a.fence = fence;
	answer(h, &a, &no_sight);
}

static inline struct fleet_answer obstacle(const struct host *h, enum fleet_word word,
	const char *id, int64_t wait_ms, int64_t whole_ms)
{
	struct fleet_answer a = says(h, word);

	snprintf(a.id.text, sizeof(a.id.text), "%s", id);
	snprintf(a.host, sizeof(a.host), "another");
	a.wait = duration_ms(wait_ms);
	a.whole = duration_ms(whole_ms);
	a.class = RESPONSE_THROTTLED;
	return a;
}

static inline enum fleet_taken push(
	struct host *h, const struct fleet_stored *record, const struct fleet_sight *sight)
{
	const struct fleet_message m = {.record = *record};

	return fleet_pushed(&h->f, h->now, &m, sight);
}

/* Connected, and the store has nothing. */
static inline void connect_empty(struct host *h)
{
	fleet_up(&h->f, h->now);
	expect_operation(h, FLEET_READ);
	answer_word(h, FLEET_SAYS_RECORD);
}

/* Connected, and the store has `generation`, whole. */
static inline void connect_with(struct host *h, uint64_t generation)
{
	struct fleet_stored r = stored(h, generation, 0, LIFE_S);

	fleet_up(&h->f, h->now);
	expect_operation(h, FLEET_READ);
	assert_int_equal(answer_record(h, FLEET_SAYS_RECORD, &r, &good_sight), FLEET_TAKEN_TOKEN);
}

/* Connected, and this host has minted `generation` and put it. */
static inline void connect_minted(struct host *h, uint64_t generation)
{
	connect_empty(h);
	fleet_want(&h->f, h->now, FLEET_WISH_TOKEN);
	expect_operation(h, FLEET_ACQUIRE);
	answer_granted(h, generation);
	assert_int_equal(decide(h), FLEET_TODO_MINT);
	assert_true(fleet_minted(
		&h->f, h->now, boot_add(h->now, duration_s(LIFE_S - 1)), duration_s(LIFE_S)));
	expect_operation(h, FLEET_PUT);
	answer_word(h, FLEET_SAYS_PUT);
}

#endif
