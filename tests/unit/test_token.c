/* Token values: what is accepted, both heaps, wiping. */
#include "core/secret.h"
#include "core/token.h"
#include <errno.h>
#include <openssl/crypto.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HEAP_SIZE 16384

static void accepts_the_printable_range_only(void **state)
{
	struct token t = TOKEN_NONE;

	(void)state;
	for (int c = 0; c < 256; c++) {
		char text[3] = {'a', (char)c, 'b'};
		int expected = c >= 0x21 && c <= 0x7e ? 0 : -EINVAL;

		assert_int_equal(token_init(&t, text, sizeof(text)), expected);
		if (expected < 0)
			assert_null(t.text); /* untouched */
		token_fini(&t);
	}
}

static void bounds_the_length(void **state)
{
	static char text[TOKEN_MAX + 1];
	struct token t = TOKEN_NONE;

	(void)state;
	memset(text, 'x', sizeof(text));
	assert_int_equal(token_init(&t, text, 0), -EINVAL);
	assert_int_equal(token_init(&t, text, TOKEN_MAX + 1), -EINVAL);
	assert_null(t.text);
	assert_int_equal(token_init(&t, text, TOKEN_MAX), 0);
	assert_int_equal(t.length, TOKEN_MAX);
	assert_int_equal(strlen(t.text), TOKEN_MAX);
	token_fini(&t);
	assert_int_equal(token_init(&t, text, 1), 0);
	assert_string_equal(t.text, "x");
	token_fini(&t);
}

static void fingerprint_is_the_start_of_sha256(void **state)
{
	/* FIPS 180-2 appendix B.1 and B.2 */
	static const struct {
		const char *text, *fingerprint;
	} cases[] = {
		{"abc", "ba7816bf8f01cfea"},
		{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "248d6a61d20638b8"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct token t = TOKEN_NONE;

		assert_int_equal(token_init(&t, cases[i].text, strlen(cases[i].text)), 0);
		assert_string_equal(t.fingerprint, cases[i].fingerprint);
		token_fini(&t);
		assert_null(t.text);
		assert_int_equal(t.length, 0);
		assert_string_equal(t.fingerprint, "");
	}
}

static void moves_and_compares(void **state)
{
	struct token a = TOKEN_NONE, b = TOKEN_NONE, c = TOKEN_NONE;

	(void)state;
	assert_true(token_equal(&a, &b));
	assert_int_equal(token_init(&a, "one", 3), 0);
	assert_int_equal(token_init(&b, "two", 3), 0);
	assert_int_equal(token_init(&c, "one", 3), 0);
	assert_true(token_equal(&a, &c));
	assert_false(token_equal(&a, &b));
	assert_false(token_equal(&a, &TOKEN_NONE));
	token_move(&b, &a);
	assert_null(a.text);
	assert_string_equal(b.text, "one");
	assert_true(token_equal(&b, &c));
	token_move(&b, &b);
	assert_string_equal(b.text, "one");
	token_move(&b, &a);
	assert_null(b.text);
	token_fini(&b);
	token_fini(&c);
}

/* Both heaps in turn: the secure one until it is full, then the ordinary one. What was freed in the
 * secure heap can still be read there, which shows that it was wiped. */
static void falls_back_when_the_secure_heap_is_full(void **state)
{
	struct token tokens[HEAP_SIZE / 256 + 8];
	size_t count = sizeof(tokens) / sizeof(*tokens), secure = 0;
	char text[200];
	char *first;
	int r;

	(void)state;
	memset(text, 'x', sizeof(text));
	r = CRYPTO_secure_malloc_init(HEAP_SIZE, 16);
	assert_true(r == 1 || r == 2); /* 2: works, but without mlock */
	for (size_t i = 0; i < count; i++) {
		tokens[i] = TOKEN_NONE;
		assert_int_equal(token_init(&tokens[i], text, sizeof(text)), 0);
		secure += (size_t)CRYPTO_secure_allocated(tokens[i].text);
	}
	assert_true(secure > 0);
	assert_true(secure < count);
	assert_true(CRYPTO_secure_allocated(tokens[0].text));
	assert_false(CRYPTO_secure_allocated(tokens[count - 1].text));

	first = tokens[0].text;
	token_fini(&tokens[0]);
	/* The heap keeps two addresses at the front of what is free, in which any byte may come. */
	assert_null(memmem(first, sizeof(text), "xxxxxxxx", 8));
	for (size_t i = 0; i < count; i++)
		token_fini(&tokens[i]);
	assert_int_equal(CRYPTO_secure_used(), 0);
	assert_int_equal(CRYPTO_secure_malloc_done(), 1);
}

static void *freed;
static size_t freed_size;
static int dirty;

/* Seen before the ordinary heap gets it back. */
static void watching_free(void *p, const char *file, int line)
{
	(void)file, (void)line;
	if (p && p == freed)
		for (size_t i = 0; i < freed_size; i++)
			dirty += ((unsigned char *)p)[i] != 0;
	free(p);
}

static void *plain_malloc(size_t size, const char *file, int line)
{
	(void)file, (void)line;
	return malloc(size);
}

static void *plain_realloc(void *p, size_t size, const char *file, int line)
{
	(void)file, (void)line;
	return realloc(p, size);
}

static void wipes_in_the_ordinary_heap_too(void **state)
{
	struct token t = TOKEN_NONE;

	(void)state;
	assert_int_equal(token_init(&t, "canary-canary", 13), 0);
	assert_false(CRYPTO_secure_allocated(t.text));
	freed = t.text;
	freed_size = 13;
	dirty = 0;
	token_fini(&t);
	freed = NULL;
	assert_int_equal(dirty, 0);
	secret_free(NULL, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepts_the_printable_range_only),
		cmocka_unit_test(bounds_the_length),
		cmocka_unit_test(fingerprint_is_the_start_of_sha256),
		cmocka_unit_test(moves_and_compares),
		cmocka_unit_test(wipes_in_the_ordinary_heap_too),
		cmocka_unit_test(falls_back_when_the_secure_heap_is_full),
	};

	if (!CRYPTO_set_mem_functions(plain_malloc, plain_realloc, watching_free))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
