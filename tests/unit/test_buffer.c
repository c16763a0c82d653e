/* Bytes being written: lent storage first, the heap after, nothing left behind in either; numbers
 * and JSON strings to the byte. */
#include "core/buffer.h"
#include "core/random.h"
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#include <cmocka.h>

#define LENGTH(a) (sizeof(a) / sizeof(*(a)))

#define assert_written(b, text) \
	do { \
		assert_int_equal((b)->length, strlen(text)); \
		assert_memory_equal((b)->data, text, strlen(text)); \
	} while (0)

static bool all_zero(const char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (bytes[i])
			return false;
	return true;
}

static void stays_in_lent_storage_while_it_fits(void **state)
{
	char storage[8];
	struct buffer b;

	(void)state;
	buffer_init(&b, storage, sizeof(storage));
	assert_int_equal(b.length, 0);
	buffer_put(&b, "secrets", 7);
	buffer_put_char(&b, '!');
	assert_false(b.on_heap);
	assert_ptr_equal(b.data, storage);
	assert_written(&b, "secrets!");
	buffer_fini(&b);
	assert_true(all_zero(storage, sizeof(storage)));
	assert_null(b.data);
	assert_int_equal(b.capacity, 0);
}

static void moves_to_the_heap_and_wipes_what_it_leaves(void **state)
{
	char storage[8];
	struct buffer b;

	(void)state;
	buffer_init(&b, storage, sizeof(storage));
	buffer_put_text(&b, "secrets!");
	buffer_put_char(&b, '?');
	assert_true(b.on_heap);
	assert_true(all_zero(storage, sizeof(storage)));
	assert_written(&b, "secrets!?");
	for (int i = 0; i < 100000; i++)
		buffer_put_char(&b, (char)('a' + i % 26));
	assert_false(buffer_failed(&b));
	assert_int_equal(b.length, 100009);
	assert_memory_equal(b.data, "secrets!?abcdef", 15);
	assert_int_equal(b.data[100008], 'a' + 99999 % 26);
	buffer_fini(&b);
	buffer_fini(&b); /* nothing is left to end */
	assert_false(b.on_heap);
}

static void starts_without_storage(void **state)
{
	struct buffer b;

	(void)state;
	buffer_init(&b, NULL, 0);
	buffer_put(&b, NULL, 0);
	assert_null(b.data);
	buffer_put_text(&b, "");
	assert_false(b.on_heap);
	buffer_put_text(&b, "x");
	assert_written(&b, "x");
	buffer_fini(&b);
}

/* More than there can be: refused before anything is read, and for good. */
static void impossible_size_marks_the_buffer(void **state)
{
	static const size_t sizes[] = {SIZE_MAX, SIZE_MAX / 2, SIZE_MAX / 4};
	char storage[4];
	struct buffer b;

	(void)state;
	for (size_t i = 0; i < LENGTH(sizes); i++) {
		volatile size_t size = sizes[i];

		buffer_init(&b, storage, sizeof(storage));
		buffer_put_text(&b, "ab");
		buffer_put(&b, "x", size);
		assert_true(buffer_failed(&b));
		assert_written(&b, "ab");
		/* what would fit is not written either: half an answer must not look whole */
		buffer_put_char(&b, 'c');
		buffer_printf(&b, "%d", 1);
		buffer_put_json(&b, "d");
		assert_written(&b, "ab");
		buffer_fini(&b);
		assert_false(buffer_failed(&b));
	}
}

static void writes_whole_numbers(void **state)
{
	static const int64_t values[] = {
		0, 1, 9, 10, -1, -10, 1700000000, INT64_MAX, INT64_MIN, INT64_MIN + 1};
	char expected[32], storage[64];
	struct buffer b;

	(void)state;
	for (size_t i = 0; i < LENGTH(values); i++) {
		snprintf(expected, sizeof(expected), "%" PRId64, values[i]);
		buffer_init(&b, storage, sizeof(storage));
		buffer_put_signed(&b, values[i]);
		assert_written(&b, expected);
		snprintf(expected, sizeof(expected), "%" PRIu64, (uint64_t)values[i]);
		buffer_init(&b, storage, sizeof(storage));
		buffer_put_unsigned(&b, (uint64_t)values[i]);
		assert_written(&b, expected);
	}
}

static void writes_fixed_point(void **state)
{
	static const struct {
		int64_t value;
		unsigned decimals;
		const char *expected;
	} cases[] = {
		{0, 0, "0"},
		{0, 3, "0.000"},
		{7, 3, "0.007"},
		{-7, 3, "-0.007"},
		{1234, 3, "1.234"},
		{-1234, 3, "-1.234"},
		{1200, 3, "1.200"},
		{1000, 3, "1.000"},
		{999, 3, "0.999"},
		{42, 0, "42"},
		{-42, 0, "-42"},
		{5, 1, "0.5"},
		{INT64_MAX, 9, "9223372036.854775807"},
		{INT64_MIN, 9, "-9223372036.854775808"},
		{INT64_MIN, 0, "-9223372036854775808"},
		{INT64_MAX, 19, "0.9223372036854775807"},
	};
	char storage[64];
	struct buffer b;

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		buffer_init(&b, storage, sizeof(storage));
		buffer_put_fixed(&b, cases[i].value, cases[i].decimals);
		assert_written(&b, cases[i].expected);
	}
}

/* Around every boundary of the storage; vsnprintf wants one byte more than it is allowed to leave.
 */
static void formats_at_any_fill(void **state)
{
	char storage[16], expected[64];
	struct buffer b;

	(void)state;
	for (int before = 0; before <= 16; before++)
		for (int width = 0; width <= 17; width++) {
			int length = snprintf(expected, sizeof(expected), "%.*s%0*d", before,
				"0123456789abcdef", width, 5);

			buffer_init(&b, storage, sizeof(storage));
			buffer_printf(&b, "%.*s", before, "0123456789abcdef");
			buffer_printf(&b, "%0*d", width, 5);
			assert_false(buffer_failed(&b));
			assert_int_equal(b.length, length);
			assert_memory_equal(b.data, expected, (size_t)length);
			buffer_fini(&b);
		}
}

#define BAD "\xEF\xBF\xBD"

static void json_strings_are_escaped(void **state)
{
	static const struct {
		const char *text, *expected;
	} cases[] = {
		{"", "\"\""},
		{"plain", "\"plain\""},
		{"a\"b\\c/", "\"a\\\"b\\\\c/\""},
		{"\x01\n\r\t\x1f", "\"\\u0001\\u000a\\u000d\\u0009\\u001f\""},
		{"\x7f", "\"\\u007f\""},
		{"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80",
			"\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\""},
		/* the ends of what is well formed */
		{"\xC2\x80\xDF\xBF", "\"\xC2\x80\xDF\xBF\""},
		{"\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xEF\xBF\xBF",
			"\"\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xEF\xBF\xBF\""},
		{"\xF0\x90\x80\x80\xF4\x8F\xBF\xBF", "\"\xF0\x90\x80\x80\xF4\x8F\xBF\xBF\""},
		/* overlong, surrogates, beyond U+10FFFF, stray and cut */
		{"\xC0\x80", "\"" BAD BAD "\""},
		{"\xC1\xBF", "\"" BAD BAD "\""},
		{"\xE0\x9F\xBF", "\"" BAD BAD BAD "\""},
		{"\xED\xA0\x80", "\"" BAD BAD BAD "\""},
		{"\xF0\x8F\xBF\xBF", "\"" BAD BAD BAD BAD "\""},
		{"\xF4\x90\x80\x80", "\"" BAD BAD BAD BAD "\""},
		{"\xF5\x80", "\"" BAD BAD "\""},
		{"\x80z", "\"" BAD "z\""},
		{"z\xE2\x82", "\"z" BAD BAD "\""},
		{"\xC3\"", "\"" BAD "\\\"\""},
		{"\xFF\xFE", "\"" BAD BAD "\""},
	};
	char storage[128];
	struct buffer b;

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		buffer_init(&b, storage, sizeof(storage));
		buffer_put_json(&b, cases[i].text);
		assert_written(&b, cases[i].expected);
	}
	buffer_init(&b, storage, sizeof(storage));
	buffer_put_json(&b, NULL);
	assert_written(&b, "null");
	buffer_init(&b, storage, sizeof(storage));
	buffer_put_json_bytes(&b, "a\0b", 3);
	assert_written(&b, "\"a\\u0000b\"");
}

struct heard {
	char text[1024];
	size_t length;
	int strings;
};

static int hear_string(void *context, const unsigned char *text, size_t length)
{
	struct heard *h = context;

	h->strings++;
	h->length = length;
	memcpy(h->text, text, length);
	return 1;
}

/* Another parser has to find one string in whatever was written, and where the bytes were UTF-8
 * (ASCII here), exactly those. */
static void any_bytes_make_one_json_string(void **state)
{
	static const yajl_callbacks callbacks = {.yajl_string = hear_string};
	struct random random = {3};

	(void)state;
	for (int round = 0; round < 20000; round++) {
		size_t length = random_next(&random) % 40;
		bool ascii = round % 2;
		struct heard heard = {.strings = 0};
		char text[40], storage[64];
		struct buffer b;
		yajl_handle parser;

		for (size_t i = 0; i < length; i++)
			text[i] = (char)(random_next(&random) >> (ascii ? 57 : 56));
		buffer_init(&b, storage, sizeof(storage));
		buffer_put_json_bytes(&b, text, length);
		parser = yajl_alloc(&callbacks, NULL, &heard);
		assert_non_null(parser);
		assert_int_equal(yajl_parse(parser, (const unsigned char *)b.data, b.length),
			yajl_status_ok);
		assert_int_equal(yajl_complete_parse(parser), yajl_status_ok);
		yajl_free(parser);
		assert_int_equal(heard.strings, 1);
		if (ascii) {
			assert_int_equal(heard.length, length);
			assert_memory_equal(heard.text, text, length);
		}
		buffer_fini(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stays_in_lent_storage_while_it_fits),
		cmocka_unit_test(moves_to_the_heap_and_wipes_what_it_leaves),
		cmocka_unit_test(starts_without_storage),
		cmocka_unit_test(impossible_size_marks_the_buffer),
		cmocka_unit_test(writes_whole_numbers),
		cmocka_unit_test(writes_fixed_point),
		cmocka_unit_test(formats_at_any_fill),
		cmocka_unit_test(json_strings_are_escaped),
		cmocka_unit_test(any_bytes_make_one_json_string),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
