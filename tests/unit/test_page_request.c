/* The line of the page socket. */
#include "core/page_request.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define LENGTH(a) (sizeof(a) / sizeof(*(a)))
#define NAME_48 "a23456789012345678901234567890123456789012345678"

static void whole_lines(void **state)
{
	static const struct {
		const char *line, *profile;
		unsigned version;
	} cases[] = {
		{"page 1 default\n", "default", 1},
		{"page 2 a\n", "a", 2},
		{"page 999 a-b_9\n", "a-b_9", 999},
		{"page 10 0\n", "0", 10},
		/* names that no profile can have are for the access check */
		{"page 1 -_\n", "-_", 1},
		{"page 1 " NAME_48 "\n", NAME_48, 1},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		size_t length = strlen(cases[i].line);
		struct page_request r;

		assert_true(length <= PAGE_REQUEST_MAX);
		/* every part of it is a beginning */
		for (size_t n = 0; n < length; n++)
			assert_int_equal(page_request_read(cases[i].line, n, &r), -EAGAIN);
		assert_int_equal(page_request_read(cases[i].line, length, &r), 0);
		assert_int_equal(r.version, cases[i].version);
		assert_string_equal(r.profile, cases[i].profile);
	}
}

static void anything_else(void **state)
{
	static const char *const lines[] = {"\n", "page\n", "page \n", "page 1\n", "page 1 \n",
		"page  1 a\n", "page 1  a\n", "page 1 a \n", "page 1 a\r\n", " page 1 a\n",
		"Page 1 a\n", "page 0 a\n", "page 01 a\n", "page +1 a\n", "page -1 a\n",
		"page 1x a\n", "page 1000 a\n", "page 1 A\n", "page 1 ../a\n", "page 1 a/b\n",
		"page 1 a\nx", "page 1 a\n\n", "page 1 " NAME_48 "9\n", "page 1 " NAME_48 "9",
		"GET / HTTP/1.1\r\n", "\x80", "page 1 \xc3\xa9\n"};

	(void)state;
	for (size_t i = 0; i < LENGTH(lines); i++) {
		struct page_request r = {.version = 77, .profile = "kept"};

		assert_int_equal(page_request_read(lines[i], strlen(lines[i]), &r), -EBADMSG);
		assert_int_equal(r.version, 77);
		assert_string_equal(r.profile, "kept");
	}
	assert_int_equal(
		page_request_read("page 1 a\0b\n", 11, &(struct page_request){0}), -EBADMSG);
	assert_int_equal(page_request_read("page 1\0a\n", 9, &(struct page_request){0}), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_lines),
		cmocka_unit_test(anything_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
