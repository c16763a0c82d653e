/* Elements that are taken and given back in any order: no two are one, all are zero, and the memory
 * of a crowd goes back when it does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "front/pool.h"
#include <malloc.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof(*(a)))
#define SIZE 250 /* no multiple of anything */

static uint32_t number;

static size_t below(size_t most)
{
	number = number * 1103515245 + 12345;
	return number / 65536 % most;
}

static size_t heap_used(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

static unsigned char *take_zero(struct pool *p)
{
	static const unsigned char zero[SIZE];
	unsigned char *one = pool_take(p);

	assert_non_null(one);
	assert_int_equal((uintptr_t)one % sizeof(void *), 0);
	assert_memory_equal(one, zero, SIZE);
	return one;
}

static void each_is_its_own(void **state)
{
	unsigned char *taken[1500] = {0}, same[SIZE];
	struct pool p;

	(void)state;
	number = 1;
	pool_init(&p, SIZE);
	for (unsigned step = 0; step < 60000; step++) {
		size_t at = below(COUNT(taken));

		if (taken[at]) {
			memset(same, (int)(at % 255 + 1), SIZE);
			assert_memory_equal(taken[at], same, SIZE);
			pool_give(&p, taken[at]);
			taken[at] = NULL;
		} else {
			taken[at] = take_zero(&p);
			memset(taken[at], (int)(at % 255 + 1), SIZE);
		}
	}
	for (size_t at = 0; at < COUNT(taken); at++)
		pool_give(&p, taken[at]);
	pool_fini(&p);
}

static void a_crowd_leaves_nothing(void **state)
{
	static unsigned char *taken[1500];
	size_t before = heap_used(), most, left;
	struct pool p;

	(void)state;
	number = 2;
	pool_init(&p, SIZE);
	for (size_t at = 0; at < COUNT(taken); at++)
		taken[at] = take_zero(&p);
	most = heap_used();
	for (size_t count = COUNT(taken); count; count--) {
		size_t at = below(count);

		pool_give(&p, taken[at]);
		taken[at] = taken[count - 1];
	}
	left = heap_used();
	pool_fini(&p);
	/* A sanitizer's allocator does not say. */
	if (most == before)
		skip();
	assert_true(most - before >= COUNT(taken) * SIZE);
	assert_true(left - before < (most - before) / 8);
	assert_int_equal(heap_used(), before);
}

/* No memory is asked for then, which would be seen in what is used. */
static void who_comes_and_goes_alone_costs_nothing(void **state)
{
	struct pool p;
	size_t used;

	(void)state;
	pool_init(&p, SIZE);
	pool_give(&p, take_zero(&p));
	used = heap_used();
	for (unsigned i = 0; i < 1000; i++) {
		unsigned char *one = take_zero(&p);

		memset(one, 7, SIZE);
		assert_int_equal(heap_used(), used);
		pool_give(&p, one);
		assert_int_equal(heap_used(), used);
	}
	pool_give(&p, NULL);
	pool_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_is_its_own),
		cmocka_unit_test(a_crowd_leaves_nothing),
		cmocka_unit_test(who_comes_and_goes_alone_costs_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
