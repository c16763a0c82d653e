#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/redis_pause.h"

#define TRIES 1000

struct bounds {
	int64_t least_ms, most_ms;
};

static struct bounds seen(unsigned failures, int64_t hosts)
{
	struct random random = {7};
	struct bounds b = {INT64_MAX, 0};

	for (int i = 0; i < TRIES; i++) {
		int64_t ms = redis_pause(&random, failures, hosts).ns / NS_PER_MS;

		if (ms < b.least_ms)
			b.least_ms = ms;
		if (ms > b.most_ms)
			b.most_ms = ms;
	}
	return b;
}

/* Never longer than `most_ms`, and spread over at least half of what it may be. */
static void check(unsigned failures, int64_t hosts, int64_t least_ms, int64_t most_ms)
{
	struct bounds b = seen(failures, hosts);

	assert_in_range(b.least_ms, least_ms, most_ms);
	assert_in_range(b.most_ms, most_ms - (most_ms - least_ms) / 20, most_ms);
}

static void the_first_is_short(void **state)
{
	(void)state;
	check(0, 0, 100, 1100);
	check(0, 50, 100, 1100);
	check(0, 1000, 100, 1100);
	check(0, 10000, 100, 10100);
}

static void they_grow(void **state)
{
	(void)state;
	check(1, 3, 200, 2200);
	check(2, 3, 400, 4400);
	check(1, 5000, 200, 10200);
}

/* However long it was away: few hosts are back soon. */
static void the_longest_is_by_how_many_there_are(void **state)
{
	static const unsigned long_ago[] = {8, 10, 1000, UINT32_MAX};

	(void)state;
	for (size_t i = 0; i < sizeof(long_ago) / sizeof(*long_ago); i++) {
		check(long_ago[i], 1, 2500, 5000);
		check(long_ago[i], 1000, 2500, 5000);
		check(long_ago[i], 4000, 10000, 20000);
		check(long_ago[i], 6000, 15000, 30000);
		check(long_ago[i], INT64_MAX, 15000, 30000);
		check(long_ago[i], 0, 15000, 30000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_is_short),
		cmocka_unit_test(they_grow),
		cmocka_unit_test(the_longest_is_by_how_many_there_are),
	};

	return cmocka_run_group_tests_name("redis_pause", tests, NULL, NULL);
}
