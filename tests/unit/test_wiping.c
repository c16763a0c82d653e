/* The allocator below libcurl and OpenSSL. That nothing is left of what it frees is for
 * tests/system/test_memory.py, which may look at memory that is nobody's. */
#include "core/wiping.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_growing_keeps_what_was_there(void **state)
{
	size_t size = 1;
	unsigned char *p = wiping_malloc(size);

	(void)state;
	assert_non_null(p);
	*p = 1;
	while (size < 300 * 1024) {
		size_t more = size + size / 2 + 1;

		p = wiping_realloc(p, more);
		assert_non_null(p);
		for (size_t i = size; i < more; i++)
			p[i] = (unsigned char)(i % 251 + 1);
		size = more;
		assert_int_equal(*p, 1);
		for (size_t i = 1; i < size; i++)
			assert_int_equal(p[i], i % 251 + 1);
	}
	wiping_free(p);
}

static void test_shrinking_moves_nothing(void **state)
{
	char *p = wiping_malloc(4096);

	(void)state;
	assert_non_null(p);
	memcpy(p, "kept", 5);
	assert_ptr_equal(wiping_realloc(p, 5), p);
	assert_string_equal(p, "kept");
	/* and back, as far as the block is */
	assert_ptr_equal(wiping_realloc(p, malloc_usable_size(p)), p);
	wiping_free(p);
}

static void test_nothing_at_either_end(void **state)
{
	void *p = wiping_realloc(NULL, 10);

	(void)state;
	assert_non_null(p);
	assert_null(wiping_realloc(p, 0)); /* frees it */
	wiping_free(NULL);
}

/* For a build with AddressSanitizer, which else ends the program where malloc fails. */
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

static void test_without_memory_the_old_block_stays(void **state)
{
	char *p = wiping_strdup("still here");

	(void)state;
	assert_non_null(p);
	assert_null(wiping_realloc(p, SIZE_MAX / 2));
	assert_string_equal(p, "still here");
	wiping_free(p);
}

static void test_zeroed(void **state)
{
	unsigned char *p = wiping_calloc(100, 7);

	(void)state;
	assert_non_null(p);
	for (size_t i = 0; i < 700; i++)
		assert_int_equal(p[i], 0);
	wiping_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_growing_keeps_what_was_there),
		cmocka_unit_test(test_shrinking_moves_nothing),
		cmocka_unit_test(test_nothing_at_either_end),
		cmocka_unit_test(test_without_memory_the_old_block_stays),
		cmocka_unit_test(test_zeroed),
	};

	return cmocka_run_group_tests_name("wiping", tests, NULL, NULL);
}
