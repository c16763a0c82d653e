/* The three formats of a date, each against gmtime, and everything that only resembles one. */
#include "core/http_date.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define LENGTH(a) (sizeof(a) / sizeof(*(a)))

static void reads_the_examples(void **state)
{
	static const struct {
		const char *text;
		int64_t s;
	} cases[] = {
		{"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
		{"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
		{"Sun Nov  6 08:49:37 1994", 784111777},
		{"Sun Nov 16 08:49:37 1994", 784975777},
		{"Thu, 01 Jan 1970 00:00:00 GMT", 0},
		{"Wed, 31 Dec 1969 23:59:59 GMT", -1},
		{"Fri, 31 Dec 1999 23:59:59 GMT", 946684799},
		{"Tue, 29 Feb 2000 12:00:00 GMT", 951825600},
		{"Tue, 19 Jan 2038 03:14:08 GMT", INT64_C(2147483648)},
		{"Fri, 31 Dec 9999 23:59:59 GMT", INT64_C(253402300799)},
		{"Sat, 01 Jan 0000 00:00:00 GMT", INT64_C(-62167219200)},
		{"Sat, 31 Dec 2016 23:59:60 GMT", 1483228800}, /* a leap second */
		{"Mon, 06 Nov 1994 08:49:37 GMT", 784111777},  /* weekday for form only */
		{"Thursday, 01-Jan-70 00:00:00 GMT", 0},
		{"Wednesday, 31-Dec-69 23:59:59 GMT", INT64_C(3155759999)},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		int64_t s = 1;

		assert_int_equal(http_date_parse(cases[i].text, strlen(cases[i].text), &s), 0);
		assert_true(s == cases[i].s);
	}
}

static void refuses_what_is_no_date(void **state)
{
	static const char *const cases[] = {
		"",
		"Sun",
		"Sun,",
		"Sunday",
		"0",
		"784111777",
		"Sun, 6 Nov 1994 08:49:37 GMT",
		"Sun, 06 Nov 94 08:49:37 GMT",
		"Sun, 06 Nov 1994 08:49:37",
		"Sun, 06 Nov 1994 08:49:37 UTC",
		"Sun, 06 Nov 1994 08:49:37 gmt",
		"Sun, 06 Nov 1994 08:49:37 +0000",
		"Sun, 06 Nov 1994 08:49:37 GMT ",
		"Sun, 06 Nov 1994 08:49:37 GMTx",
		" Sun, 06 Nov 1994 08:49:37 GMT",
		"Sun,  06 Nov 1994 08:49:37 GMT",
		"Sun,06 Nov 1994 08:49:37 GMT",
		"sun, 06 Nov 1994 08:49:37 GMT",
		"Sun, 06 nov 1994 08:49:37 GMT",
		"Sun, 06 Nom 1994 08:49:37 GMT",
		"Sun, 00 Nov 1994 08:49:37 GMT",
		"Sun, 31 Nov 1994 08:49:37 GMT",
		"Sun, 32 Dec 1994 08:49:37 GMT",
		"Sun, 29 Feb 1994 08:49:37 GMT",
		"Sun, 29 Feb 1900 08:49:37 GMT",
		"Sun, 30 Feb 2000 08:49:37 GMT",
		"Sun, 06 Nov 1994 24:00:00 GMT",
		"Sun, 06 Nov 1994 08:60:00 GMT",
		"Sun, 06 Nov 1994 08:49:61 GMT",
		"Sun, 06 Nov 1994 8:49:37 GMT",
		"Sun, 06 Nov 1994 08:49 GMT",
		"Sun, 06 Nov -994 08:49:37 GMT",
		"Sun, 06 Nov 19941 08:49:37 GMT",
		"Sun, +6 Nov 1994 08:49:37 GMT",
		"Sun, 06-Nov-1994 08:49:37 GMT",
		"Sunday, 06-Nov-1994 08:49:37 GMT",
		"Sunday, 06 Nov 94 08:49:37 GMT",
		"Sund, 06-Nov-94 08:49:37 GMT",
		"Sun Nov 6 08:49:37 1994",
		"Sun Nov 06 08:49:37 1994 GMT",
		"Sun Nov  6 08:49:37 94",
		"Sun Nov  66 08:49:37 1994",
		"Nov  6 08:49:37 1994",
		"Sun, 06 Nov 1994 08:49:37 GM",
		"Dimanche, 06-Nov-94 08:49:37 GMT",
	};
	int64_t s = 77;

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		assert_int_equal(http_date_parse(cases[i], strlen(cases[i]), &s), -EINVAL);
		assert_int_equal(s, 77);
	}
	/* A NUL ends nothing, and every prefix of a date is none. */
	assert_int_equal(http_date_parse("Sun, 06 Nov 1994 08:49:37 GMT\0", 30, &s), -EINVAL);
	for (size_t length = 0; length < 29; length++)
		assert_int_equal(
			http_date_parse("Sun, 06 Nov 1994 08:49:37 GMT", length, &s), -EINVAL);
}

static void agrees_with_gmtime(void **state)
{
	static const char *const formats[] = {
		"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"};
	unsigned seed = 4711;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		/* 1970 to 2069, where two digits of a year are enough */
		int64_t s = ((int64_t)rand_r(&seed) << 16 ^ rand_r(&seed)) % INT64_C(3155760000);
		time_t t = s;
		struct tm tm;

		gmtime_r(&t, &tm);
		for (size_t i = 0; i < LENGTH(formats); i++) {
			char text[64];
			int64_t got = -1;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-y2k"
			assert_true(strftime(text, sizeof(text), formats[i], &tm) > 0);
#pragma GCC diagnostic pop
			assert_int_equal(http_date_parse(text, strlen(text), &got), 0);
			assert_true(got == s);
		}
	}
}

/* Any damaged date is refused or read as another one; nothing is read out of bounds. */
static void survives_damage(void **state)
{
	unsigned seed = 99;

	(void)state;
	for (int round = 0; round < 50000; round++) {
		char text[29];
		char *exact = malloc(sizeof(text));
		size_t length = sizeof(text) - (size_t)(rand_r(&seed) % 4);
		int64_t s;

		assert_non_null(exact);
		memcpy(exact, "Sun, 06 Nov 1994 08:49:37 GMT", sizeof(text));
		exact[rand_r(&seed) % 29] = (char)rand_r(&seed);
		exact = realloc(exact, length);
		assert_non_null(exact);
		http_date_parse(exact, length, &s);
		free(exact);
	}
}

static void reads_retry_after(void **state)
{
	static const char date[] = "Sun, 06 Nov 1994 08:49:37 GMT"; /* 784111777 */
	static const struct {
		const char *text;
		int64_t now_s;
		int r;
		int64_t ns;
	} cases[] = {
		{"0", 0, 0, 0},
		{"120", 0, 0, 120 * NS_PER_S},
		{"007", 0, 0, 7 * NS_PER_S},
		{"9223372036", 0, 0, INT64_C(9223372036) * NS_PER_S},
		{"9223372037", 0, 0, INT64_MAX},
		{"99999999999999999999999999999999", 0, 0, INT64_MAX},
		{date, 784111777 - 60, 0, 60 * NS_PER_S},
		{date, 784111777, 0, 0},
		{date, 784111778, 0, 0},
		{date, INT64_MAX, 0, 0},
		{date, INT64_MIN, 0, INT64_MAX},
		{"", 0, -EINVAL, 0},
		{"-1", 0, -EINVAL, 0},
		{"+1", 0, -EINVAL, 0},
		{"1.5", 0, -EINVAL, 0},
		{"1e3", 0, -EINVAL, 0},
		{"60 ", 0, -EINVAL, 0},
		{"60, 70", 0, -EINVAL, 0},
		{"soon", 0, -EINVAL, 0},
		{"0x10", 0, -EINVAL, 0},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct duration d = {-77};

		assert_int_equal(
			retry_after_parse(cases[i].text, strlen(cases[i].text), cases[i].now_s, &d),
			cases[i].r);
		assert_true(d.ns == (cases[i].r < 0 ? -77 : cases[i].ns));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_the_examples),
		cmocka_unit_test(refuses_what_is_no_date),
		cmocka_unit_test(agrees_with_gmtime),
		cmocka_unit_test(survives_damage),
		cmocka_unit_test(reads_retry_after),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
