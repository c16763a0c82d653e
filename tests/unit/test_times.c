/* Arithmetic on instants: saturating at both ends, rounding towards the right side, and jitter that
 * a seed reproduces. */
#include "core/random.h"
#include "core/times.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define LENGTH(a) (sizeof(a) / sizeof(*(a)))

static const int64_t edges[] = {INT64_MIN, INT64_MIN + 1, -NS_PER_S - 1, -NS_PER_S, -1, 0, 1,
	NS_PER_MS, NS_PER_S - 1, NS_PER_S, NS_PER_S + 1, INT64_MAX / 2, INT64_MAX - 1, INT64_MAX};

static int64_t clamp(__int128 wide)
{
	return wide > INT64_MAX ? INT64_MAX : wide < INT64_MIN ? INT64_MIN : (int64_t)wide;
}

static void check_pair(int64_t a, int64_t b)
{
	struct duration da = {a}, db = {b};
	struct boot_time ta = {a}, tb = {b};
	int64_t sum = clamp((__int128)a + b), difference = clamp((__int128)a - b);

	assert_int_equal(ns_add(a, b), sum);
	assert_int_equal(ns_sub(a, b), difference);
	assert_int_equal(duration_add(da, db).ns, sum);
	assert_int_equal(duration_sub(da, db).ns, difference);
	assert_int_equal(boot_add(ta, db).ns, sum);
	assert_int_equal(boot_sub(ta, db).ns, difference);
	assert_int_equal(boot_since(ta, tb).ns, difference);
	assert_int_equal(duration_min(da, db).ns, a < b ? a : b);
	assert_int_equal(duration_max(da, db).ns, a < b ? b : a);
	assert_int_equal(boot_min(ta, tb).ns, a < b ? a : b);
	assert_int_equal(boot_max(ta, tb).ns, a < b ? b : a);
	assert_int_equal(boot_before(ta, tb), a < b);
	assert_int_equal(
		ns_distance(a, b), clamp(difference < 0 ? -(__int128)difference : difference));
}

static void arithmetic_saturates(void **state)
{
	struct random random = {1};

	(void)state;
	for (size_t i = 0; i < LENGTH(edges); i++)
		for (size_t j = 0; j < LENGTH(edges); j++)
			check_pair(edges[i], edges[j]);
	for (int i = 0; i < 100000; i++) {
		/* every magnitude, not only the huge ones that 64 random bits mostly are */
		int64_t a = (int64_t)random_next(&random) >> (random_next(&random) % 64);
		int64_t b = (int64_t)random_next(&random) >> (random_next(&random) % 64);

		check_pair(a, b);
	}
}

static void units_saturate(void **state)
{
	static const struct {
		int64_t value, from_ms, from_s;
	} cases[] = {
		{0, 0, 0},
		{1, 1000000, 1000000000},
		{-3, -3000000, -3000000000},
		{9223372036, 9223372036000000, 9223372036000000000},
		{9223372037, 9223372037000000, INT64_MAX},
		{-9223372037, -9223372037000000, INT64_MIN},
		{9223372036854, 9223372036854000000, INT64_MAX},
		{9223372036855, INT64_MAX, INT64_MAX},
		{-9223372036855, INT64_MIN, INT64_MIN},
		{INT64_MAX, INT64_MAX, INT64_MAX},
		{INT64_MIN, INT64_MIN, INT64_MIN},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		assert_int_equal(duration_ns(cases[i].value).ns, cases[i].value);
		assert_int_equal(duration_ms(cases[i].value).ns, cases[i].from_ms);
		assert_int_equal(duration_s(cases[i].value).ns, cases[i].from_s);
	}
}

static void whole_seconds_round_to_the_named_side(void **state)
{
	static const struct {
		int64_t ns, floor_s, ceil_s;
	} cases[] = {
		{0, 0, 0},
		{1, 0, 1},
		{-1, -1, 0},
		{999999999, 0, 1},
		{1000000000, 1, 1},
		{1000000001, 1, 2},
		{-999999999, -1, 0},
		{-1000000000, -1, -1},
		{-1000000001, -2, -1},
		{INT64_MAX, 9223372036, 9223372037},
		{INT64_MIN, -9223372037, -9223372036},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		assert_int_equal(duration_floor_s(duration_ns(cases[i].ns)), cases[i].floor_s);
		assert_int_equal(duration_ceil_s(duration_ns(cases[i].ns)), cases[i].ceil_s);
	}
}

static void wall_offset_is_wall_minus_boot(void **state)
{
	struct clock_reading r = {.boot = {5 * NS_PER_S}, .wall = {1700000000 * NS_PER_S}};

	(void)state;
	assert_int_equal(clock_wall_offset(&r).ns, 1699999995 * NS_PER_S);
	r.wall.ns = 0;
	assert_int_equal(clock_wall_offset(&r).ns, -5 * NS_PER_S);
	r = (struct clock_reading){.boot = {INT64_MAX}, .wall = {INT64_MIN}};
	assert_int_equal(clock_wall_offset(&r).ns, INT64_MIN);
}

/* The reference sequence of SplitMix64 for the seed 1234567. */
static void generator_is_the_published_one(void **state)
{
	static const uint64_t expected[] = {UINT64_C(6457827717110365317),
		UINT64_C(3203168211198807973), UINT64_C(9817491932198370423),
		UINT64_C(4593380528125082431), UINT64_C(16408922859458223821)};
	struct random random = {1234567};

	(void)state;
	for (size_t i = 0; i < LENGTH(expected); i++)
		assert_true(random_next(&random) == expected[i]);
}

static void random_durations_fill_their_range(void **state)
{
	struct random random = {7}, again = {7};
	unsigned seen[4] = {0};

	(void)state;
	assert_int_equal(random_duration(&random, DURATION_ZERO).ns, 0);
	assert_int_equal(random_duration(&random, duration_ns(-5)).ns, 0);
	assert_int_equal(random_duration(&random, duration_ns(INT64_MIN)).ns, 0);
	assert_true(random.state == again.state); /* nothing drawn for nothing */
	for (int i = 0; i < 4000; i++)
		seen[random_duration(&random, duration_ns(3)).ns]++;
	for (size_t i = 0; i < LENGTH(seen); i++)
		assert_in_range(seen[i], 850, 1150);
	for (int i = 0; i < 1000; i++)
		assert_true(random_duration(&random, duration_ns(INT64_MAX)).ns >= 0);
	random = again;
	for (int i = 0; i < 100; i++)
		assert_int_equal(random_duration(&random, duration_s(9)).ns,
			random_duration(&again, duration_s(9)).ns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arithmetic_saturates),
		cmocka_unit_test(units_saturate),
		cmocka_unit_test(whole_seconds_round_to_the_named_side),
		cmocka_unit_test(wall_offset_is_wall_minus_boot),
		cmocka_unit_test(generator_is_the_published_one),
		cmocka_unit_test(random_durations_fill_their_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
