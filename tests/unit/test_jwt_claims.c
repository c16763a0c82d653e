/* Claims as evidence: exact numbers, and "absent" for everything in doubt. */
#include "core/jwt_claims.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LENGTH(a) (sizeof(a) / sizeof(*(a)))
#define ABSENT INT64_MIN

static size_t base64url(char *to, const char *bytes, size_t length)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint32_t bits = 0;
	unsigned held = 0;
	size_t n = 0;

	for (size_t i = 0; i < length; i++) {
		bits = bits << 8 | (unsigned char)bytes[i];
		for (held += 8; held >= 6; held -= 6)
			to[n++] = alphabet[bits >> (held - 6) & 63];
	}
	if (held)
		to[n++] = alphabet[bits << (6 - held) & 63];
	to[n] = '\0';
	return n;
}

static bool read_parts(
	const char *header, const char *payload, const char *signature, struct jwt_claims *ret)
{
	char token[4096];
	char *exact;
	size_t n;
	bool r;

	n = base64url(token, header, strlen(header));
	token[n++] = '.';
	n += base64url(token + n, payload, strlen(payload));
	token[n++] = '.';
	n += (size_t)snprintf(token + n, sizeof(token) - n, "%s", signature);
	exact = malloc(n); /* so that a byte read behind it is seen */
	assert_non_null(exact);
	memcpy(exact, token, n);
	r = jwt_claims_read(exact, n, ret);
	free(exact);
	return r;
}

static bool read_payload(const char *payload, struct jwt_claims *ret)
{
	return read_parts("{\"alg\":\"RS256\"}", payload, "c2ln", ret);
}

static void reads_claims(void **state)
{
	static const struct {
		const char *payload;
		int64_t iat, nbf, exp;
	} cases[] = {
		{"{\"iat\":1,\"nbf\":2,\"exp\":3}", 1, 2, 3},
		{"{\"exp\":1700000000}", ABSENT, ABSENT, 1700000000},
		{"{\"exp\":1700000000.999}", ABSENT, ABSENT, 1700000000},
		{"{\"iat\":1700000000.001,\"nbf\":5.5}", 1700000001, 6, ABSENT},
		{"{\"iat\":1700000000.000,\"nbf\":5.0}", 1700000000, 5, ABSENT},
		{"{\"exp\":1.7e9,\"iat\":17E+8,\"nbf\":17000e-1}", 1700000000, 1700, 1700000000},
		{"{\"exp\":15e-1,\"iat\":15e-1,\"nbf\":1e-400}", 2, 1, 1},
		{"{\"exp\":0,\"iat\":-0,\"nbf\":0e400}", 0, 0, 0},
		{"{\"exp\":0.00017e13}", ABSENT, ABSENT, 1700000000},
		{"{\"exp\":0.000e99999999999999999999}", ABSENT, ABSENT, 0},
		{"{\"exp\":9007199254740992}", ABSENT, ABSENT, INT64_C(9007199254740992)},
		{"{\"exp\":9007199254740991.9,\"iat\":9007199254740991.9}",
			INT64_C(9007199254740992), ABSENT, INT64_C(9007199254740991)},
		/* one bad claim does not take the others with it */
		{"{\"exp\":9007199254740993,\"iat\":7}", 7, ABSENT, ABSENT},
		{"{\"exp\":9007199254740992.5,\"iat\":7}", 7, ABSENT, ABSENT},
		{"{\"exp\":1e400,\"iat\":7}", 7, ABSENT, ABSENT},
		{"{\"exp\":1e99999999999999999999,\"iat\":7}", 7, ABSENT, ABSENT},
		{"{\"exp\":99999999999999999999999999,\"iat\":7}", 7, ABSENT, ABSENT},
		{"{\"exp\":-1,\"iat\":7}", 7, ABSENT, ABSENT},
		{"{\"exp\":-0.5,\"iat\":7}", 7, ABSENT, ABSENT},
		{"{\"exp\":\"1700000000\",\"iat\":7}", 7, ABSENT, ABSENT},
		{"{\"exp\":null,\"iat\":7}", 7, ABSENT, ABSENT},
		{"{\"exp\":true,\"iat\":7}", 7, ABSENT, ABSENT},
		{"{\"exp\":[1],\"iat\":7}", 7, ABSENT, ABSENT},
		{"{\"exp\":{\"exp\":5},\"iat\":7}", 7, ABSENT, ABSENT},
		{"{\"org\":{\"exp\":5,\"iat\":5},\"iat\":7}", 7, ABSENT, ABSENT},
		{"{\"EXP\":5,\"iat\":7}", 7, ABSENT, ABSENT},
		{"{\"e\\u0078p\":5,\"iat\":7}", 7, ABSENT, 5},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct jwt_claims c;

		assert_true(read_payload(cases[i].payload, &c));
		assert_true((c.has_iat ? c.iat : ABSENT) == cases[i].iat);
		assert_true((c.has_nbf ? c.nbf : ABSENT) == cases[i].nbf);
		assert_true((c.has_exp ? c.exp : ABSENT) == cases[i].exp);
	}
}

static void assert_absent(bool read, const struct jwt_claims *c)
{
	assert_false(read);
	assert_false(c->has_iat);
	assert_false(c->has_nbf);
	assert_false(c->has_exp);
}

static void refuses_other_payloads(void **state)
{
	static const char *const cases[] = {
		"",
		"{}",
		"null",
		"5",
		"[{\"exp\":5}]",
		"\"exp\"",
		"{\"sub\":\"x\"}",
		"{\"exp\":\"5\"}",
		"{\"exp\":5",
		"{\"exp\":5}{}",
		"{\"exp\":5} x",
		"{\"exp\":5,}",
		"{\"exp\":\v5}",
		"{\"exp\":05}",
		"{\"exp\":.5}",
		"{\"exp\":+5}",
		"{\"exp\":5.}",
		"{\"exp\":5e}",
		"{\"exp\":NaN}",
		"{\"exp\":0x5}",
		"{\"exp\":5,\"exp\":6}",
		"{\"exp\":5,\"e\\u0078p\":6}",
		"{\"exp\":5,\"sub\":\"\\u0000\"}",
		"{\"exp\":5,\"a\":[[[[[[[[[]]]]]]]]]}",
		"\xef\xbb\xbf{\"exp\":5}",
		"{\"exp\":5,\"sub\":\"\xff\"}",
		"{'exp':5}",
		"{\"exp\":5} // c",
	};
	struct jwt_claims c;

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		memset(&c, 1, sizeof(c));
		assert_absent(read_payload(cases[i], &c), &c);
	}
}

static void refuses_other_shapes(void **state)
{
	/* eyJleHAiOjV9 is {"exp":5}, e30 is {} */
	static const char *const cases[] = {
		".",
		"..",
		"...",
		"x",
		"e30",
		"e30.eyJleHAiOjV9",
		"e30.eyJleHAiOjV9.",
		".eyJleHAiOjV9.c2ln",
		"e30..c2ln",
		"e30.eyJleHAiOjV9.c2ln.c2ln",
		"e30.eyJleHAiOjV9.c2ln.c2ln.c2ln",
		"e30=.eyJleHAiOjV9.c2ln",
		"e30.eyJleHAiOjV9.c2lnMQ==",
		"e31.eyJleHAiOjV9.c2ln", /* bits behind the last byte */
		"e30.eyJleHAiOjV9.c2l",  /* likewise */
		"e30.eyJleHAiOjV9.c",
		"e30.eyJleHAiOjV9A.c2ln",
		"e30.eyJleHAiOjV+.c2ln",
		"e30.eyJleHAi OjV9.c2ln",
		"bnVsbA.eyJleHAiOjV9.c2ln", /* header null */
		"W10.eyJleHAiOjV9.c2ln",    /* header [] */
		"mUq0p2pWcS0pTq8wJ2t1b3YxYzR2d0hQb2x5bW9ycGhpYw",
	};
	struct jwt_claims c;

	(void)state;
	assert_true(jwt_claims_read("e30.eyJleHAiOjV9.c2ln", 21, &c));
	assert_int_equal(c.exp, 5);
	for (size_t i = 0; i < LENGTH(cases); i++) {
		memset(&c, 1, sizeof(c));
		assert_absent(jwt_claims_read(cases[i], strlen(cases[i]), &c), &c);
	}
	assert_absent(jwt_claims_read("", 0, &c), &c);
	assert_absent(read_parts("{\"alg\":1,\"alg\":2}", "{\"exp\":5}", "c2ln", &c), &c);
}

/* Whatever one byte of a token is turned into, nothing is read out of bounds. */
static void survives_damage(void **state)
{
	static const char token[] = "eyJhbGciOiJub25lIn0.eyJpYXQiOjEuNWUzLCJleHAiOjV9.c2ln";
	unsigned seed = 31337;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		size_t length = strlen(token) - (size_t)(rand_r(&seed) % 8);
		char *exact = malloc(length);
		struct jwt_claims c;

		assert_non_null(exact);
		memcpy(exact, token, length);
		for (int hits = 1 + rand_r(&seed) % 3; hits > 0; hits--)
			exact[(size_t)rand_r(&seed) % length] = (char)rand_r(&seed);
		if (jwt_claims_read(exact, length, &c))
			assert_true(c.has_iat || c.has_nbf || c.has_exp);
		free(exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_claims),
		cmocka_unit_test(refuses_other_payloads),
		cmocka_unit_test(refuses_other_shapes),
		cmocka_unit_test(survives_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
