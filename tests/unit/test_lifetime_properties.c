/* What a lifetime promises for any clocks: random servers, delays, claims, drifts, steps and
 * pauses, by seed. The server of the model accepts a token by its own clock, as it really does. */
#include "clock_model.h"
#include "core/lifetime.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS NS_PER_MS
#define S NS_PER_S

#define assert_holds(condition, seed) \
	do { \
		if (!(condition)) \
			fail_msg("seed %llu: %s", (unsigned long long)(seed), #condition); \
	} while (0)

/* A token as its server sees it, in nanoseconds of the server's clock. */
struct issued {
	int64_t from, until;
	struct lifetime_evidence evidence;
	struct skew_sample sample;
};

static const struct lifetime_policy policy = {.use_margin = {5 * S}, .refresh_margin_auto = true};

/* Nothing but what the token's own exchange says may be what protects it. */
static const struct lifetime_policy no_margin = {.refresh_margin_auto = true};

static int64_t server_clock(const struct clock_model *m)
{
	return m->now.boot.ns + m->theta;
}

static int64_t floor_to_s(int64_t ns)
{
	return duration_s(duration_floor_s(duration_ns(ns))).ns;
}

/* Fetches a token. JWTs carry whole seconds, rounded either way, perhaps backdated; an opaque token
 * lives its L from when it was made. */
static void issue(struct issued *t, struct clock_model *m, int64_t life_s, bool jwt, int64_t delay)
{
	int64_t forward = model_up_to(m, delay), back = model_up_to(m, delay), made;
	struct exchange x = {.status = 200, .sent = m->now};
	struct jwt_claims *c = &t->evidence.claims;

	*t = (struct issued){.evidence = {.expires_in = duration_s(life_s)}};
	model_pass(m, forward);
	made = server_clock(m);
	model_write_date(&x,
		duration_floor_s(
			duration_ns(made - (random_next(&m->random) % 2 ? model_up_to(m, S) : 0))));
	model_pass(m, back);
	x.received = m->now;
	assert_true(skew_sample_of(&x, &t->sample));
	t->evidence.sent = x.sent;
	t->evidence.received = x.received.boot;
	t->evidence.sample = &t->sample;
	t->from = INT64_MIN;
	t->until = made + life_s * S;
	if (!jwt)
		return;
	made = floor_to_s(made) + (random_next(&m->random) % 2 ? S : 0);
	c->has_exp = true;
	c->exp = made / S + life_s;
	t->until = c->exp * S < t->until ? c->exp * S : t->until;
	if (random_next(&m->random) % 4 == 0)
		made -= 300 * S;
	c->has_iat = random_next(&m->random) % 2;
	c->iat = made / S;
	c->has_nbf = random_next(&m->random) % 2;
	c->nbf = made / S;
	if (c->has_iat || c->has_nbf)
		t->from = made;
}

static void check_accepted_at(
	const struct clock_model *m, const struct issued *t, struct boot_time at, uint64_t seed)
{
	struct clock_model then = *m;

	/* there by the worst drift either way */
	for (int way = -1; way <= 1; way += 2) {
		int64_t passed = at.ns - m->now.boot.ns;
		int64_t clock = at.ns + then.theta +
				way * (int64_t)((__int128)passed * SKEW_DRIFT_PPM / 1000000);

		assert_holds(clock >= t->from, seed);
		assert_holds(clock < t->until, seed);
	}
}

/* Invariant 5, without any margin or guard to help. */
static void served_tokens_are_accepted(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 20000; seed++) {
		struct clock_model m;
		struct lifetime l;
		struct issued t;

		clock_model_init(&m, seed);
		issue(&t, &m, 20 + model_up_to(&m, seed % 2 ? 200 : 40000000), seed % 3 != 0,
			2 * S);
		assert_holds(lifetime_begin(&l, &t.evidence, &no_margin) == LIFETIME_FINE, seed);
		assert_holds(!boot_before(l.valid, t.evidence.received), seed);
		assert_holds(boot_before(l.valid, lifetime_dead(&l)), seed);
		check_accepted_at(&m, &t, l.valid, seed);
		check_accepted_at(&m, &t, (struct boot_time){lifetime_dead(&l).ns - 1}, seed);
	}
}

/* Nor is much given away: of an opaque token a second, the drift and the way there; of a JWT three
 * seconds and both ways. */
static void little_life_is_given_away(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 5000; seed++) {
		int64_t life_s, took, whole;
		struct clock_model m;
		struct lifetime l;
		struct issued t;

		clock_model_init(&m, seed);
		life_s = 60 + model_up_to(&m, 86400);
		issue(&t, &m, life_s, seed % 2, 2 * S);
		assert_holds(lifetime_begin(&l, &t.evidence, &no_margin) == LIFETIME_FINE, seed);
		took = t.evidence.received.ns - t.evidence.sent.boot.ns;
		whole = lifetime_dead(&l).ns - t.evidence.sent.boot.ns;
		assert_holds(whole >= life_s * S - life_s * S / 9000 - 4 * S - 2 * took, seed);
		assert_holds(l.valid.ns - t.evidence.received.ns <= 2 * S + 2 * took, seed);
	}
}

/* The server's clock is stepped ahead, or our machine stands still and its wall clock is repaired.
 * As soon as the exchanges ask for no further one, no token is served that the server refuses; for
 * that it takes two at most, and where our wall clock agrees mostly one. */
static void lost_time_is_found(void **state)
{
	unsigned paused = 0, found_at_once = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 10000; seed++) {
		enum lifetime_step verdict = LIFETIME_STEP_ALONE;
		struct clock_model m;
		struct lifetime l;
		struct issued t;
		int64_t lost;
		int exchanges;

		clock_model_init(&m, seed);
		issue(&t, &m, 3600, seed % 3 != 0, 300 * MS);
		assert_holds(lifetime_begin(&l, &t.evidence, &policy) == LIFETIME_FINE, seed);
		model_pass(&m, model_up_to(&m, 600 * S));
		lost = 4 * S + model_up_to(&m, 2000 * S);
		m.theta += lost;
		if (seed % 2)
			m.now.wall.ns += lost;
		for (exchanges = 0; verdict == LIFETIME_STEP_ALONE; exchanges++) {
			struct skew_sample sample;
			struct exchange x;

			assert_holds(exchanges < 2, seed);
			model_pass(&m, model_up_to(&m, 60 * S));
			x = model_exchange(&m, model_up_to(&m, 300 * MS), model_up_to(&m, 300 * MS),
				model_up_to(&m, S));
			assert_holds(skew_sample_of(&x, &sample), seed);
			verdict = lifetime_exchange(&l, &sample, DURATION_ZERO);
		}
		check_accepted_at(&m, &t, (struct boot_time){lifetime_dead(&l).ns - 1}, seed);
		/* and no more was taken than was lost */
		assert_holds(l.step.ns <= lost, seed);
		paused += seed % 2;
		found_at_once += seed % 2 && exchanges == 1;
	}
	assert_true(found_at_once >= paused * 8 / 10);
}

/* Invariants 4 and 7 under any exchanges, honest or not, and any setting of our wall clock: dead
 * and valid never move out, the end stays, and a wall clock that was set never makes a token live
 * longer than one that was left alone. */
static void dead_never_moves_out(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 3000; seed++) {
		struct lifetime left_alone, set;
		struct clock_model m;
		struct issued t;
		struct lifetime begun;

		clock_model_init(&m, seed);
		issue(&t, &m, 20 + model_up_to(&m, 40000), seed % 2, 2 * S);
		assert_holds(lifetime_begin(&begun, &t.evidence, &policy) == LIFETIME_FINE, seed);
		left_alone = set = begun;
		for (int n = 0; n < 60; n++) {
			struct boot_time before = lifetime_dead(&set);
			struct skew_sample honest, moved;
			struct duration spread = random_duration(&m.random, duration_s(5));
			struct exchange x;

			model_pass(&m, model_up_to(&m, 100 * S));
			if (random_next(&m.random) % 8 == 0)
				m.theta += model_up_to(&m, 120 * S) - 60 * S;
			x = model_exchange(&m, model_up_to(&m, S), model_up_to(&m, S), 0);
			assert_holds(skew_sample_of(&x, &honest), seed);
			moved = honest;
			moved.sent.wall.ns += model_up_to(&m, 200 * S) - 100 * S;
			if (n % 3 == 0)
				spread = DURATION_ZERO;
			lifetime_suspect(&set, &moved.sent);
			assert_holds(!boot_before(before, lifetime_dead(&set)), seed);
			lifetime_exchange(&left_alone, &honest, spread);
			lifetime_exchange(&set, &moved, spread);
			assert_holds(!boot_before(before, lifetime_dead(&set)), seed);
			assert_holds(!boot_before(lifetime_dead(&left_alone), lifetime_dead(&set)),
				seed);
			assert_holds(set.end.ns == begun.end.ns, seed);
			assert_holds(set.valid.ns == begun.valid.ns, seed);
		}
	}
}

/* One lie among honest exchanges takes nothing off a token's life: it is asked about, once. */
static void bogus_exchange_costs_one_question(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 3000; seed++) {
		unsigned asked = 0;
		struct clock_model m;
		struct lifetime l;
		struct issued t;
		int64_t dead;
		int lie_at;

		clock_model_init(&m, seed);
		issue(&t, &m, 3600, seed % 2, 300 * MS);
		assert_holds(lifetime_begin(&l, &t.evidence, &policy) == LIFETIME_FINE, seed);
		dead = lifetime_dead(&l).ns;
		lie_at = (int)(seed % 20);
		for (int n = 0; n < 20; n++) {
			struct clock_model lying;
			struct skew_sample sample;
			struct exchange x;

			model_pass(&m, model_up_to(&m, 60 * S));
			lying = m;
			if (n == lie_at)
				lying.theta += model_up_to(&m, 7200 * S) - 3600 * S;
			x = model_exchange(&lying, 20 * MS, 20 * MS, model_up_to(&m, S));
			assert_holds(skew_sample_of(&x, &sample), seed);
			switch (lifetime_exchange(&l, &sample, DURATION_ZERO)) {
			case LIFETIME_STEP_ALONE:
				asked++;
				assert_holds(n == lie_at, seed);
				break;
			case LIFETIME_STEP_COUNTED:
				fail_msg("seed %llu: a lone lie counted", (unsigned long long)seed);
				break;
			case LIFETIME_STEP_NONE:
				break;
			}
		}
		assert_holds(asked <= 1, seed);
		assert_holds(lifetime_dead(&l).ns == dead, seed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(served_tokens_are_accepted),
		cmocka_unit_test(little_life_is_given_away),
		cmocka_unit_test(lost_time_is_found),
		cmocka_unit_test(dead_never_moves_out),
		cmocka_unit_test(bogus_exchange_costs_one_question),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
