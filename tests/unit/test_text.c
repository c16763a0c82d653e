/* Names, hexadecimal, percent-encoding, UTF-8: what files of the daemon and the command share. */
#include "core/text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define LENGTH(a) (sizeof(a) / sizeof(*(a)))
#define NAME_48 "a23456789012345678901234567890123456789012345678"

static void names_of_profiles(void **state)
{
	static const char *const good[] = {"a", "0", "default", "a-b_c", "9_", NAME_48};
	static const char *const bad[] = {
		"", "_a", "-a", "A", "a b", "a.b", "a/b", "\xc3\xa4", "a\n", NAME_48 "9"};

	(void)state;
	assert_int_equal(strlen(NAME_48), PROFILE_NAME_MAX);
	for (size_t i = 0; i < LENGTH(good); i++)
		assert_true(profile_name_valid(good[i]));
	for (size_t i = 0; i < LENGTH(bad); i++)
		assert_false(profile_name_valid(bad[i]));
	for (int c = 0; c < 256; c++)
		assert_int_equal(profile_name_letter((char)c),
			c && strchr("abcdefghijklmnopqrstuvwxyz0123456789_-", c));
}

static void hexadecimal(void **state)
{
	static const char *const bad[] = {
		"", "0", "0g", "g0", "0x", " 0", "0 ", "+1", "@0", "`0", ":0", "/0", "G0"};
	unsigned char bytes[256], again[256];
	char text[513];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)i;
	hex_write(bytes, sizeof(bytes), text);
	assert_int_equal(strlen(text), 512);
	assert_memory_equal(text, "000102", 6);
	assert_string_equal(text + 506, "fdfeff");
	assert_true(hex_read(text, sizeof(again), again));
	assert_memory_equal(again, bytes, sizeof(bytes));
	assert_true(hex_read("aBCd", 2, again));
	assert_memory_equal(again, "\xab\xcd", 2);
	for (size_t i = 0; i < LENGTH(bad); i++)
		assert_false(hex_read(bad[i], 1, again));
	hex_write(bytes, 0, text);
	assert_string_equal(text, "");
}

static void percent_writes(void **state)
{
	static const struct {
		enum percent_style style;
		const char *plain, *encoded;
	} cases[] = {
		{PERCENT_URL, "", ""},
		{PERCENT_URL, "AZaz09-._~", "AZaz09-._~"},
		{PERCENT_URL, " /%*+\xff", "%20%2F%25%2A%2B%FF"},
		{PERCENT_FORM, "AZaz09-._*", "AZaz09-._*"},
		{PERCENT_FORM, " /%~+\xff", "+%2F%25%7E%2B%FF"},
	};
	char text[64];

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		*percent_write(cases[i].style, text, cases[i].plain) = '\0';
		assert_string_equal(text, cases[i].encoded);
		assert_int_equal(
			percent_length(cases[i].style, cases[i].plain), strlen(cases[i].encoded));
	}
}

/* Every byte but NUL comes back, in both styles. */
static void percent_comes_back(void **state)
{
	char plain[256], encoded[3 * sizeof(plain)], again[sizeof(plain)];

	(void)state;
	for (size_t i = 0; i < 255; i++)
		plain[i] = (char)(i + 1);
	plain[255] = '\0';
	for (enum percent_style style = PERCENT_URL; style <= PERCENT_FORM; style++) {
		char *end = percent_write(style, encoded, plain);

		assert_true(percent_read(encoded, (size_t)(end - encoded), again, sizeof(again)));
		assert_string_equal(again, plain);
		assert_false(
			percent_read(encoded, (size_t)(end - encoded), again, sizeof(again) - 1));
	}
}

static void percent_refuses(void **state)
{
	static const char *const bad[] = {"%", "%4", "a%", "%4g", "%g4", "%%41", "%00", "a%00b"};
	char text[8];

	(void)state;
	for (size_t i = 0; i < LENGTH(bad); i++)
		assert_false(percent_read(bad[i], strlen(bad[i]), text, sizeof(text)));
	assert_false(percent_read("a\0b", 3, text, sizeof(text)));
	/* what follows is not looked at */
	assert_false(percent_read("%41", 2, text, sizeof(text)));
	assert_true(percent_read("%41%", 3, text, sizeof(text)));
	assert_string_equal(text, "A");
	assert_true(percent_read("", 0, text, 1));
	assert_string_equal(text, "");
	assert_false(percent_read("", 0, text, 0));
}

/* As RFC 3629 draws it, independent of how it is read. */
static size_t encode(uint32_t code, char *ret)
{
	size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	static const unsigned char leads[] = {0, 0, 0xc0, 0xe0, 0xf0};

	for (size_t i = n - 1; i > 0; i--, code >>= 6)
		ret[i] = (char)(0x80 | (code & 0x3f));
	ret[0] = (char)(leads[n] | code);
	return n;
}

static void utf8_of_every_code(void **state)
{
	char text[8];

	(void)state;
	for (uint32_t code = 0; code < 0x110000; code++) {
		size_t n = encode(code, text);
		bool surrogate = code >= 0xd800 && code <= 0xdfff;
		uint32_t read = 0;

		text[n] = 'x';
		assert_int_equal(utf8_length(text, n + 1, &read), surrogate ? 0 : n);
		assert_int_equal(utf8_length(text, n, NULL), surrogate ? 0 : n);
		if (!surrogate)
			assert_int_equal(read, code);
		if (n > 1)
			assert_int_equal(utf8_length(text, n - 1, NULL), 0);
	}
}

static void utf8_malformed(void **state)
{
	static const char *const bad[] = {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2x",
		"\xc2\xc2", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xe2\x82", "\xe2\x82x",
		"\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf", "\xf0\x9f\x98", "\xf0\x9f\x98x",
		"\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xf8\x88\x80\x80\x80", "\xfe", "\xff"};

	(void)state;
	for (size_t i = 0; i < LENGTH(bad); i++) {
		uint32_t code = 77;

		assert_int_equal(utf8_length(bad[i], strlen(bad[i]), &code), 0);
		assert_int_equal(code, 77);
	}
}

static void distances(void **state)
{
	static const char long_word[] =
		"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklm";

	(void)state;
	assert_int_equal(text_distance("", ""), 0);
	assert_int_equal(text_distance("abc", ""), 3);
	assert_int_equal(text_distance("", "abc"), 3);
	assert_int_equal(text_distance("kitten", "sitting"), 3);
	assert_int_equal(text_distance("flaw", "lawn"), 2);
	assert_int_equal(text_distance("same", "same"), 0);
	assert_int_equal(text_distance(long_word, "abc"), strlen(long_word) - 3);
	assert_int_equal(text_distance("abc", long_word), strlen(long_word));
	assert_int_equal(text_distance(long_word, long_word + 2), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_profiles),
		cmocka_unit_test(hexadecimal),
		cmocka_unit_test(percent_writes),
		cmocka_unit_test(percent_comes_back),
		cmocka_unit_test(percent_refuses),
		cmocka_unit_test(utf8_of_every_code),
		cmocka_unit_test(utf8_malformed),
		cmocka_unit_test(distances),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
