/* What a key file may hold. */
#include "core/state_key.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define HEX "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define UPPER "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F"
#define BASE64 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

static void keys_in_each_form(void **state)
{
	static const char *const texts[] = {HEX, HEX "\n", HEX "\r\n", UPPER, BASE64, BASE64 "\n"};
	unsigned char expected[SEALED_KEY_LENGTH], key[SEALED_KEY_LENGTH];

	(void)state;
	for (size_t i = 0; i < sizeof(expected); i++)
		expected[i] = (unsigned char)i;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		memset(key, 0, sizeof(key));
		assert_true(state_key_parse(texts[i], strlen(texts[i]), key));
		assert_memory_equal(key, expected, sizeof(key));
	}
	memset(key, 0, sizeof(key));
	assert_true(state_key_parse((const char *)expected, sizeof(expected), key));
	assert_memory_equal(key, expected, sizeof(key));
}

static void what_is_no_key(void **state)
{
	static const char *const texts[] = {"", "\n", "short", HEX "\n\n", HEX " ", "x" HEX,
		"g00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8A",
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh-=",
		"AAECAwQFBgcICQoL DA0ODxAREhMUFRYXGBkaGxwdHh8=",
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", HEX HEX};
	unsigned char key[SEALED_KEY_LENGTH], untouched[SEALED_KEY_LENGTH];

	(void)state;
	memset(untouched, 0xa5, sizeof(untouched));
	memcpy(key, untouched, sizeof(key));
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		assert_false(state_key_parse(texts[i], strlen(texts[i]), key));
		assert_memory_equal(key, untouched, sizeof(key));
	}
	/* raw bytes are never cut: 33 of them are no key with a line end */
	assert_false(state_key_parse("0123456789abcdef0123456789abcdef\n", 33, key));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_in_each_form),
		cmocka_unit_test(what_is_no_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
