/* The rate of a counter, over suspends and counters that begin again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "front/counter_rate.h"

#define MS INT64_C(1000000)
#define PER_US 2000

static struct counter_rate rate;
static uint64_t counter;
static int64_t ns;

static int begin(void **state)
{
	(void)state;
	counter = 7000000;
	ns = 3000 * MS;
	counter_rate_init(&rate, counter, ns);
	return 0;
}

/* So much of the clock later, at so many ticks a microsecond. */
static bool look_after(int64_t passed, uint64_t per_us)
{
	ns += passed;
	counter += (uint64_t)(passed / 1000) * per_us;
	return counter_rate_learn(&rate, counter, ns);
}

static int begin_known(void **state)
{
	begin(state);
	assert_true(look_after(MS, PER_US));
	return 0;
}

static void a_millisecond_is_enough_at_first(void **state)
{
	(void)state;
	assert_false(look_after(MS / 2, PER_US));
	assert_int_equal(rate.per_us, 0);
	assert_true(look_after(MS / 2, PER_US));
	assert_int_equal(rate.per_us, PER_US);
	/* what a millisecond told is told better later */
	assert_false(look_after(MS, PER_US + 100));
	assert_true(look_after(99 * MS, PER_US + 100));
	assert_int_equal(rate.per_us, PER_US + 100);
}

/* The counter goes on while the clock stands. */
static void a_suspend_is_no_rate(void **state)
{
	(void)state;
	for (unsigned i = 1; i < 20; i++) {
		counter += (uint64_t)i * i * 3600 * 1000000 * PER_US;
		assert_false(look_after(200 * MS, PER_US));
		assert_int_equal(rate.per_us, PER_US);
		look_after(200 * MS, PER_US);
		assert_int_equal(rate.per_us, PER_US);
	}
	/* nor is it where that was long ago */
	counter += UINT64_C(3600) * 1000000 * PER_US;
	assert_false(look_after(3600 * 1000 * MS, PER_US));
	assert_false(look_after(200 * MS, PER_US));
	assert_int_equal(rate.per_us, PER_US);
}

static void a_counter_may_begin_again(void **state)
{
	(void)state;
	counter = 0;
	assert_false(look_after(MS, PER_US));
	assert_int_equal(rate.per_us, PER_US);
	assert_true(look_after(100 * MS, PER_US + 1));
	assert_int_equal(rate.per_us, PER_US + 1);
}

/* On another machine, say, or where the first look was a bad one. */
static void another_rate_is_believed_the_second_time(void **state)
{
	(void)state;
	assert_false(look_after(200 * MS, 3 * PER_US));
	assert_true(look_after(200 * MS, 3 * PER_US));
	assert_int_equal(rate.per_us, 3 * PER_US);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_millisecond_is_enough_at_first, begin),
		cmocka_unit_test_setup(a_suspend_is_no_rate, begin_known),
		cmocka_unit_test_setup(a_counter_may_begin_again, begin_known),
		cmocka_unit_test_setup(another_rate_is_believed_the_second_time, begin_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
