/* Lives that other hosts began: never longer than the login server's clock allows, by clocks that
 * drift, and with stores that lie. */
#include "core/exchange.h"
#include "core/lifetime_adopt.h"

#include "clock_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define S NS_PER_S
#define RUNS 2000

static const struct lifetime_policy policy = {.use_margin = {5 * S}, .refresh_margin_auto = true};

static struct lifetime_adoption usual(void)
{
	return (struct lifetime_adoption){
		.now = {.boot = {1000 * S}, .wall = {1700001000 * S}},
		.end = {4000 * S},
		.issued = {3600 * S},
	};
}

static void the_end_is_the_fleets(void **state)
{
	struct lifetime_adoption a = usual();
	struct lifetime l;

	(void)state;
	assert_int_equal(lifetime_adopt(&l, &a, &policy), LIFETIME_FINE);
	assert_true(lifetime_dead(&l).ns == 3995 * S);
	assert_true(l.valid.ns == 1000 * S && l.guard_until.ns == 1000 * S);
	assert_false(l.dated);
	/* never longer than it was issued for */
	a.end.ns = 1000000 * S;
	assert_int_equal(lifetime_adopt(&l, &a, &policy), LIFETIME_FINE);
	assert_true(l.end.ns == 4600 * S);
	/* clocks of a cluster that differ */
	a = usual();
	a.spread.ns = 2 * S;
	assert_int_equal(lifetime_adopt(&l, &a, &policy), LIFETIME_FINE);
	assert_true(lifetime_dead(&l).ns == 3993 * S);
	a.end.ns = 1007 * S;
	assert_int_equal(lifetime_adopt(&l, &a, &policy), LIFETIME_DEAD);
}

static void it_is_held_back_for_a_bounded_time(void **state)
{
	static const struct {
		int64_t not_before_s;
		bool background;
		int64_t expected_s;
	} cases[] = {{0, false, 0}, {2, false, 2}, {60, false, 4}, {60, true, 10}, {-5, true, 0}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct lifetime_adoption a = usual();
		struct lifetime l;

		a.not_before.ns = cases[i].not_before_s * S;
		a.background = cases[i].background;
		assert_int_equal(lifetime_adopt(&l, &a, &policy), LIFETIME_FINE);
		assert_true(l.valid.ns == (1000 + cases[i].expected_s) * S);
	}
}

/* The host that minted says when the token ends by the server's clock; another host knows that
 * clock, and neither believes more of the store than that. */
static void no_store_stretches_a_life(void **state)
{
	uint64_t late = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= RUNS; seed++) {
		struct clock_model server, reader;
		struct skew skew = {0};
		struct skew_sample sample;
		struct jwt_claims none = {0};
		struct lifetime_adoption a = usual();
		struct lifetime l;
		struct exchange x;
		struct wall_time end;
		int64_t issued = (60 + (int64_t)(seed % 7200)) * S, true_end, minted_at;

		/* the minter */
		clock_model_init(&server, seed);
		minted_at = server.now.boot.ns;
		x = model_exchange(&server, model_up_to(&server, S), model_up_to(&server, S), 0);
		assert_true(skew_sample_of(&x, &sample));
		end = lifetime_server_end(&sample, (struct duration){issued}, &none);
		/* of the server's clock: issued after the request came */
		true_end = minted_at + server.theta + issued;
		assert_true(end.ns <= true_end + 2 * S);

		/* another host, with a clock of its own, that has asked that server once */
		clock_model_init(&reader, seed + RUNS);
		reader.theta = end.ns - issued / 2 - reader.now.boot.ns;
		x = model_exchange(&reader, model_up_to(&reader, S), model_up_to(&reader, S), 0);
		assert_true(skew_sample_of(&x, &sample));
		skew_add(&skew, &sample, NULL);
		a.now = reader.now;
		a.issued.ns = issued;
		a.server_end = end;
		/* the store says what it likes */
		a.end = boot_min(boot_add(reader.now.boot, duration_ns(10 * issued)),
			lifetime_ceiling(&skew, &reader.now, end));
		if (lifetime_adopt(&l, &a, &policy) == LIFETIME_DEAD)
			continue;
		/* what the server's clock says when it is dead here */
		model_pass(&reader, lifetime_over(&l).ns - reader.now.boot.ns);
		late += reader.now.boot.ns + reader.theta > end.ns;
	}
	assert_int_equal(late, 0);
}

/* Not known at first: each exchange that comes later counts, once another one agrees. */
static void later_exchanges_shorten_it(void **state)
{
	struct lifetime_adoption a = usual();
	struct skew_sample sample = {.sent = a.now, .received = a.now.boot};
	struct lifetime l;

	(void)state;
	/* by the server's clock it ends 1,000 s earlier than the store says */
	a.server_end.ns = 1700003000 * S;
	assert_int_equal(lifetime_adopt(&l, &a, &policy), LIFETIME_FINE);
	for (int i = 0; i < 2; i++) {
		sample.sent.boot.ns += 20 * S;
		sample.sent.wall.ns += 20 * S;
		sample.received.ns = sample.sent.boot.ns;
		sample.lo.ns = 1700000000 * S;
		sample.hi.ns = 1700000001 * S;
		lifetime_exchange(&l, &sample, DURATION_ZERO);
	}
	/* a difference of three seconds says nothing: the end by that clock is an early one */
	assert_in_range(lifetime_dead(&l).ns, 2993 * S, 2999 * S);
}

/* What another host knows of the end is early by the rounding of a Date and by the way of a
 * response, and what the store knows by less: that is no step of any clock. */
static void an_honest_store_raises_no_doubt(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= RUNS; seed++) {
		struct lifetime_adoption a = usual();
		struct clock_model reader;
		struct skew_sample sample;
		struct lifetime l;
		struct exchange x;
		int64_t true_end;

		clock_model_init(&reader, seed);
		a.now = reader.now;
		true_end = reader.now.boot.ns + a.issued.ns / 2;
		a.end.ns = true_end - S - model_up_to(&reader, S / 2);
		a.server_end.ns = true_end + reader.theta - S - model_up_to(&reader, 2 * S);
		assert_int_equal(lifetime_adopt(&l, &a, &policy), LIFETIME_FINE);
		for (int i = 0; i < 5; i++) {
			model_pass(&reader, 60 * S);
			x = model_exchange(
				&reader, model_up_to(&reader, S), model_up_to(&reader, S), 0);
			assert_true(skew_sample_of(&x, &sample));
			assert_int_equal(
				lifetime_exchange(&l, &sample, DURATION_ZERO), LIFETIME_STEP_NONE);
		}
	}
}

static void claims_end_it_earlier(void **state)
{
	struct skew_sample sample = {.sent = {.boot = {1000 * S}}, .lo = {1700000000 * S}};
	struct jwt_claims claims = {0};

	(void)state;
	assert_true(lifetime_server_end(NULL, duration_s(60), &claims).ns == 0);
	assert_true(lifetime_server_end(&sample, duration_s(60), &claims).ns == 1700001059 * S);
	claims.has_exp = true;
	claims.exp = 1700001050;
	assert_true(lifetime_server_end(&sample, duration_s(60), &claims).ns == 1700001050 * S);
	claims.exp = 1700009999;
	assert_true(lifetime_server_end(&sample, duration_s(60), &claims).ns == 1700001059 * S);
}

static void without_a_clock_there_is_no_ceiling(void **state)
{
	const struct clock_reading now = {.boot = {1000 * S}};
	struct skew skew = {0};

	(void)state;
	assert_true(lifetime_ceiling(&skew, &now, (struct wall_time){0}).ns == BOOT_TIME_NEVER.ns);
	assert_true(lifetime_ceiling(&skew, &now, (struct wall_time){S}).ns == BOOT_TIME_NEVER.ns);
}

static void the_own_token_is_refreshed_first(void **state)
{
	struct lifetime_adoption a = usual();
	struct random random = {1};
	struct lifetime l;

	(void)state;
	a.end.ns = 4600 * S;
	assert_int_equal(lifetime_adopt(&l, &a, &policy), LIFETIME_FINE);
	for (int i = 0; i < 1000; i++) {
		/* dead at 4,595 s */
		assert_true(lifetime_shared_refresh_at(&l, true, &random).ns == 3371 * S);
		assert_in_range(
			lifetime_shared_refresh_at(&l, false, &random).ns, 3515 * S, 3875 * S);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_end_is_the_fleets),
		cmocka_unit_test(it_is_held_back_for_a_bounded_time),
		cmocka_unit_test(no_store_stretches_a_life),
		cmocka_unit_test(later_exchanges_shorten_it),
		cmocka_unit_test(an_honest_store_raises_no_doubt),
		cmocka_unit_test(claims_end_it_earlier),
		cmocka_unit_test(without_a_clock_there_is_no_ceiling),
		cmocka_unit_test(the_own_token_is_refreshed_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
