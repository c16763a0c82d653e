/* What a login server can answer, row by row; and hostile bodies, of which none may become a token
 * or get into the words. */
#include "core/token_response.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LENGTH(a) (sizeof(a) / sizeof(*(a)))
#define GOOD_BODY "{\"access_token\":\"T0ken\",\"token_type\":\"bearer\",\"expires_in\":86400}"
#define DATE "Sun, 06 Nov 1994 08:49:37 GMT"

/* The body in a block of exactly its size, so that a byte read behind it is seen. */
static void read_bytes(long status, const char *body, size_t length, struct exchange *x,
	struct token_response *ret)
{
	char *exact = malloc(length ? length : 1);

	assert_non_null(exact);
	memcpy(exact, body, length);
	x->status = status;
	x->body = exact;
	x->body_length = length;
	token_response_read(x, ret);
	free(exact);
}

static void read_body(long status, const char *body, struct token_response *ret)
{
	struct exchange x = {0};

	read_bytes(status, body, strlen(body), &x, ret);
}

static void assert_no_token(const struct token_response *a)
{
	assert_int_not_equal(a->class, RESPONSE_TOKEN);
	assert_null(a->token.text);
	assert_int_equal(a->expires_in.ns, 0);
	assert_false(a->claims.has_exp || a->claims.has_iat || a->claims.has_nbf);
	assert_string_not_equal(a->words, "");
	for (const char *c = a->words; *c; c++)
		assert_in_range(*c, 0x20, 0x7e);
}

static void reads_a_token(void **state)
{
	static const struct {
		const char *body, *token;
		int64_t expires_in_s;
	} cases[] = {
		{GOOD_BODY, "T0ken", 86400},
		{" \r\n\t" GOOD_BODY " \n", "T0ken", 86400},
		{"{\"token_type\":\"Bearer\",\"expires_in\":10,\"access_token\":\"a\"}", "a", 10},
		{"{\"access_token\":\"a\",\"token_type\":\"BEARER\",\"expires_in\":38880000}", "a",
			38880000},
		{"{\"access_token\":\"a\\/"
		 "b\\u002bc\",\"token_type\":\"bearer\",\"expires_in\":300}",
			"a/b+c", 300},
		{"{\"access_token\":\"!~\\\"\\\\\",\"token_type\":\"bearer\",\"expires_in\":300}",
			"!~\"\\", 300},
		{"{\"access_token\":\"a\",\"token_type\":\"bearer\",\"expires_in\":300,"
		 "\"scope\":null,\"x\":[{\"expires_in\":5}],\"y\":{\"access_token\":\"b\"},"
		 "\"u\":\"\xc2\x80\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf\","
		 "\"id\":\"\\ud83d\\ude00\",\"n\":1e400}",
			"a", 300},
		{"{\"acc\\u0065ss_token\":\"a\",\"token_type\":\"bearer\",\"expires_in\":300}", "a",
			300},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct exchange x = {.correlation_id = "no-1"};
		struct token_response a;

		read_bytes(200, cases[i].body, strlen(cases[i].body), &x, &a);
		assert_string_equal(a.words, "");
		assert_int_equal(a.class, RESPONSE_TOKEN);
		assert_int_equal(a.status, 200);
		assert_string_equal(a.token.text, cases[i].token);
		assert_true(a.expires_in.ns == cases[i].expires_in_s * NS_PER_S);
		assert_string_equal(a.error, "");
		assert_string_equal(a.correlation_id, "no-1");
		assert_false(a.claims.has_exp);
		token_response_fini(&a);
		assert_null(a.token.text);
	}
}

static void reads_the_claims_of_a_jwt(void **state)
{
	struct token_response a;

	(void)state;
	read_body(200,
		"{\"access_token\":\"e30.eyJleHAiOjV9.c2ln\",\"token_type\":\"bearer\","
		"\"expires_in\":300}",
		&a);
	assert_int_equal(a.class, RESPONSE_TOKEN);
	assert_true(a.claims.has_exp);
	assert_int_equal(a.claims.exp, 5);
	assert_false(a.claims.has_iat);
	token_response_fini(&a);
}

static void longest_token_and_largest_body(void **state)
{
	static char body[TOKEN_RESPONSE_BODY_MAX + 2];
	static const char tail[] = "\",\"token_type\":\"bearer\",\"expires_in\":300}";
	struct exchange x = {0};
	struct token_response a;

	(void)state;
	for (size_t extra = 0; extra < 2; extra++) {
		char *to = stpcpy(body, "{\"access_token\":\"");

		memset(to, 'x', TOKEN_MAX + extra);
		stpcpy(to + TOKEN_MAX + extra, tail);
		read_bytes(200, body, strlen(body), &x, &a);
		assert_int_equal(a.class, extra ? RESPONSE_UNAVAILABLE : RESPONSE_TOKEN);
		assert_int_equal(a.token.length, extra ? 0 : TOKEN_MAX);
		token_response_fini(&a);
	}
	memset(body, ' ', sizeof(body));
	memcpy(body, GOOD_BODY, strlen(GOOD_BODY));
	read_bytes(200, body, TOKEN_RESPONSE_BODY_MAX, &x, &a);
	assert_int_equal(a.class, RESPONSE_TOKEN);
	token_response_fini(&a);
	read_bytes(200, body, TOKEN_RESPONSE_BODY_MAX + 1, &x, &a);
	assert_no_token(&a);
	assert_string_equal(a.words, "the response body is larger than 64 KiB");
}

#define T "\"access_token\":\"T0ken\","
#define B "\"token_type\":\"bearer\","
#define E "\"expires_in\":300"

/* Every one of them came with status 200. */
static void refuses_hostile_bodies(void **state)
{
	static const struct {
		const char *body, *words; /* words: a part of them */
	} cases[] = {
		{"", "is empty"},
		{" ", "not valid JSON"},
		{"OK", "not valid JSON"},
		{"<html>", "not valid JSON"},
		{"null", "not an object"},
		{"true", "not an object"},
		{"300", "not an object"},
		{"\"T0ken\"", "not an object"},
		{"[]", "not an object"},
		{"[{" T B E "}]", "not an object"},
		{"{}", "no access_token"},
		{"{", "not valid JSON"},
		{"}", "not valid JSON"},
		{"{" T B E, "not valid JSON"},
		{"{" T B E "}}", "not valid JSON"},
		{"{" T B E "}{" T B E "}", "not valid JSON"},
		{"{" T B E "}x", "not valid JSON"},
		{"{" T B E "} 0", "not valid JSON"},
		{"{" T B E "}\v", "not valid JSON"},
		{"{" T B E "}\"", "not valid JSON"},
		{"{" T B E "}\"}", "not valid JSON"},
		{"{" T B E "} tru", "not valid JSON"},
		{"{" T B E "}\n-", "not valid JSON"},
		{"\f{" T B E "}", "not valid JSON"},
		{"{" T B E ",}", "not valid JSON"},
		{"{" T B E "}/* */", "not valid JSON"},
		{"{/* */" T B E "}", "not valid JSON"},
		{"{" T B "'expires_in':300}", "not valid JSON"},
		{"{access_token:\"a\"," B E "}", "not valid JSON"},
		{"\xef\xbb\xbf{" T B E "}", "not valid JSON"},
		{"\xff\xfe{\x01", "not UTF-8"},
		{"{" T B E ",\"x\":\"\xff\"}", "not UTF-8"},
		{"{" T B E ",\"x\":\"\xc0\x80\"}", "not UTF-8"},
		{"{" T B E ",\"x\":\"\xed\xa0\x80\"}", "not UTF-8"},
		{"{" T B E ",\"x\":\"\xf4\x90\x80\x80\"}", "not UTF-8"},
		{"{" T B E ",\"x\":\"\xf0\x8f\xbf\xbf\"}", "not UTF-8"},
		{"{" T B E ",\"x\":\"\xe2\x82", "not UTF-8"},
		{"{" T B E ",\"x\":\"\x80\"}", "not UTF-8"},
		{"{" T B E ",\"x\":\"a\nb\"}", "not valid JSON"},
		{"{" T B E ",\"x\":\"\\x41\"}", "not valid JSON"},
		{"{" T B E ",\"x\":\"\\u00g0\"}", "not valid JSON"},
		{"{" T B E ",\"x\":\"\\u00", "not valid JSON"},
		{"{" T B E ",\"x\":\"\\", "not valid JSON"},
		{"{" T B E ",\"x\":\"\\u0000\"}", "\\u0000"},
		{"{" T B E ",\"\\u0000x\":1}", "\\u0000"},
		{"{\"access_token\":\"T0ken\\u0000x\"," B E "}", "\\u0000"},
		{"{\"access_token\":\"T0ken\\ud800\"," B E "}", "surrogate"},
		{"{\"access_token\":\"T0ken\\udc00\"," B E "}", "surrogate"},
		{"{\"access_token\":\"T0ken\\ud800\\u0041\"," B E "}", "surrogate"},
		{"{\"access_token\":\"T0ken\\ud800", "surrogate"},
		{"{" T T B E "}", "key twice"},
		{"{" T B B E "}", "key twice"},
		{"{" T B E "," E "}", "key twice"},
		{"{" T B "\"expires_in\":300,\"expires_\\u0069n\":301}", "key twice"},
		{"{" T B E ",\"x\":{\"a\":1,\"b\":2,\"a\":3}}", "key twice"},
		{"{" T B E ",\"x\":[[[[[[[[]]]]]]]]}", "too deep"},
		{"{" T B E ",\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{}}}}}}}}}",
			"too deep"},
		{"[[[[[[[[[[[[[[[[[[[[", "not an object"},
		{"{" B E "}", "no access_token"},
		{"{\"access_token\":null," B E "}", "not a string"},
		{"{\"access_token\":5," B E "}", "not a string"},
		{"{\"access_token\":[\"T0ken\"]," B E "}", "not a string"},
		{"{\"access_token\":{\"a\":\"T0ken\"}," B E "}", "not a string"},
		{"{\"access_token\":\"\"," B E "}", "access_token is empty"},
		{"{\"access_token\":\"T0ken x\"," B E "}", "characters no token has"},
		{"{\"access_token\":\"T0ken\\r\\nX: y\"," B E "}", "characters no token has"},
		{"{\"access_token\":\"T0ken\\t\"," B E "}", "characters no token has"},
		{"{\"access_token\":\"T0ken\\u007f\"," B E "}", "characters no token has"},
		{"{\"access_token\":\"T0ken\\u00e9\"," B E "}", "characters no token has"},
		{"{\"access_token\":\"T0ken\xc3\xa9\"," B E "}", "characters no token has"},
		{"{\"Access_Token\":\"T0ken\"," B E "}", "no access_token"},
		{"{\"data\":{" T B E "}}", "no access_token"},
		{"{" T E "}", "no token_type"},
		{"{" T "\"token_type\":null," E "}", "not bearer"},
		{"{" T "\"token_type\":\"\"," E "}", "not bearer"},
		{"{" T "\"token_type\":\"mac\"," E "}", "not bearer"},
		{"{" T "\"token_type\":\"bearer \"," E "}", "not bearer"},
		{"{" T "\"token_type\":\"DPoP\"," E "}", "not bearer"},
		{"{" T "\"token_type\":\"bearer\"}", "no expires_in"},
		{"{" T B "\"expires_in\":\"3600\"}", "expires_in is not a number"},
		{"{" T B "\"expires_in\":null}", "expires_in is not a number"},
		{"{" T B "\"expires_in\":[300]}", "expires_in is not a number"},
		{"{" T B "\"expires_in\":true}", "expires_in is not a number"},
		{"{" T B "\"expires_in\":-1}", "expires_in is -1,"},
		{"{" T B "\"expires_in\":-300}", "expires_in is -300,"},
		{"{" T B "\"expires_in\":0}", "expires_in is 0,"},
		{"{" T B "\"expires_in\":9}", "expires_in is 9,"},
		{"{" T B "\"expires_in\":38880001}", "expires_in is 38880001,"},
		{"{" T B "\"expires_in\":3.5}", "expires_in is 3.5,"},
		{"{" T B "\"expires_in\":3600.0}", "expires_in is 3600.0,"},
		{"{" T B "\"expires_in\":36e2}", "expires_in is 36e2,"},
		{"{" T B "\"expires_in\":1e400}", "expires_in is 1e400,"},
		{"{" T B "\"expires_in\":18446744073709551916}", "expires_in is 1844674407370955"},
		{"{" T B "\"expires_in\":99999999999999999999999999999999999999999}",
			"expires_in is 99999999999999999999,"},
		{"{" T B "\"expires_in\":0300}", "not valid JSON"},
		{"{" T B "\"expires_in\":+300}", "not valid JSON"},
		{"{" T B "\"expires_in\":0x300}", "not valid JSON"},
		{"{" T B "\"expires_in\":NaN}", "not valid JSON"},
		{"{" T B "\"expires_in\":Infinity}", "not valid JSON"},
		{"{" T B "\"expires_in\":300 301}", "not valid JSON"},
	};

	(void)state;
	assert_true(LENGTH(cases) >= 60);
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct token_response a;

		read_body(200, cases[i].body, &a);
		if (a.class != RESPONSE_UNAVAILABLE)
			fail_msg("case %zu: %s", i, response_class_name(a.class));
		assert_no_token(&a);
		if (!strstr(a.words, cases[i].words))
			fail_msg("case %zu: \"%s\" not in \"%s\"", i, cases[i].words, a.words);
		if (strstr(a.words, "T0ken"))
			fail_msg("case %zu: the words hold the token", i);
		token_response_fini(&a);
	}
}

static void refuses_bytes_a_string_cannot_show(void **state)
{
	static const char nul_behind[] = GOOD_BODY "\0";
	static const char nul_inside[] =
		"{\"access_token\":\"T0\0ken\",\"token_type\":\"bearer\",\"expires_in\":300}";
	struct exchange x = {0};
	struct token_response a;

	(void)state;
	read_bytes(200, nul_behind, sizeof(nul_behind) - 1, &x, &a);
	assert_no_token(&a);
	read_bytes(200, nul_inside, sizeof(nul_inside) - 1, &x, &a);
	assert_no_token(&a);
}

/* Deep, wide and long: refused within the body's limit, without harm. */
static void refuses_floods(void **state)
{
	static char body[TOKEN_RESPONSE_BODY_MAX];
	struct exchange x = {0};
	struct token_response a;
	size_t n;

	(void)state;
	memset(body, '[', sizeof(body));
	read_bytes(200, body, sizeof(body), &x, &a);
	assert_no_token(&a);
	memset(body + 5, '[', sizeof(body) - 5);
	memcpy(body, "{\"a\":", 5);
	read_bytes(200, body, sizeof(body), &x, &a);
	assert_no_token(&a);

	n = (size_t)sprintf(body, "{");
	for (int i = 0; n < sizeof(body) - 100; i++)
		n += (size_t)sprintf(body + n, "\"%d\":0,", i);
	n += (size_t)sprintf(body + n, "\"access_token\":\"a\",\"token_type\":\"bearer\","
				       "\"expires_in\":300}");
	read_bytes(200, body, n, &x, &a);
	assert_no_token(&a);
	assert_string_equal(a.words, "the response body has too many members");

	/* The largest strings, with and without escapes, whole and cut: yajl's buffers at their
	 * largest. */
	for (int variant = 0; variant < 4; variant++) {
		memset(body, 'x', sizeof(body));
		if (variant & 1)
			for (size_t i = 6; i + 2 < sizeof(body); i += 2)
				memcpy(body + i, "\\n", 2);
		memcpy(body, "{\"a\":\"", 6);
		if (variant & 2)
			memcpy(body + sizeof(body) - 2, "\"}", 2);
		else
			memcpy(body + sizeof(body) - 2, "xx", 2);
		read_bytes(200, body, sizeof(body), &x, &a);
		assert_no_token(&a);
		assert_non_null(strstr(a.words, variant & 2 ? "no access_token" : "not valid"));
	}
}

static void a_cut_answer_is_never_a_token(void **state)
{
	struct exchange x = {.failure = "the response was cut short"};
	struct token_response a;

	(void)state;
	read_bytes(200, GOOD_BODY, strlen(GOOD_BODY), &x, &a);
	assert_no_token(&a);
	assert_int_equal(a.class, RESPONSE_UNAVAILABLE);
	assert_int_equal(a.status, 200);
	assert_string_equal(a.words, "the response was cut short");
	/* nor is half a body a reason to stop for good */
	read_bytes(401, "{\"error\":\"invalid_client\"}", 26, &x, &a);
	assert_int_equal(a.class, RESPONSE_UNAVAILABLE);
	assert_string_equal(a.error, "");
	strcpy(x.retry_after, "7");
	read_bytes(429, "", 0, &x, &a);
	assert_int_equal(a.class, RESPONSE_THROTTLED);
	assert_true(a.has_retry_after);

	x = (struct exchange){.failure = "could not resolve host login.example", .body = ""};
	token_response_read(&x, &a);
	assert_no_token(&a);
	assert_int_equal(a.class, RESPONSE_UNAVAILABLE);
	assert_int_equal(a.status, 0);
	assert_string_equal(a.words, "could not resolve host login.example");
	x.failure = NULL;
	token_response_read(&x, &a);
	assert_no_token(&a);
}

/* Whatever a 4xx says, one with a Retry-After will pass. */
static void who_may_come_back_is_not_refused_for_good(void **state)
{
	static const struct {
		long status;
		const char *error, *retry_after;
		enum response_class class;
	} cases[] = {
		{400, "invalid_client", "", RESPONSE_CLIENT_REJECTED},
		{400, "invalid_client", "2", RESPONSE_UNAVAILABLE},
		{401, "invalid_client", "0", RESPONSE_UNAVAILABLE},
		{403, "unauthorized_client", DATE, RESPONSE_UNAVAILABLE},
		{400, "invalid_grant", "2", RESPONSE_UNAVAILABLE},
		{400, "slow_down", "2", RESPONSE_THROTTLED},
		{429, "invalid_client", "2", RESPONSE_THROTTLED},
		{200, "invalid_client", "2", RESPONSE_UNAVAILABLE},
		{400, "invalid_client", "soon", RESPONSE_CLIENT_REJECTED},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct exchange x = {0};
		struct token_response a;
		char body[80];

		snprintf(x.retry_after, sizeof(x.retry_after), "%s", cases[i].retry_after);
		snprintf(body, sizeof(body), "{\"error\":\"%s\"}", cases[i].error);
		read_bytes(cases[i].status, body, strlen(body), &x, &a);
		assert_no_token(&a);
		if (a.class != cases[i].class)
			fail_msg("case %zu: %s", i, response_class_name(a.class));
		assert_string_equal(a.error, cases[i].error);
		assert_false(a.minted);
		token_response_fini(&a);
	}
}

/* What may have made a token though there is none to take, and what will do so again. */
static void tokens_that_are_thrown_away(void **state)
{
	static const struct {
		long status;
		const char *body, *failure;
		bool unsent, minted, unfit;
	} cases[] = {
		{200, GOOD_BODY, NULL, false, false, false},
		{200, "{" T B "\"expires_in\":\"3600\"}", NULL, false, true, true},
		{200, "{" T B "\"expires_in\":4}", NULL, false, true, true},
		{200, "{" T E "}", NULL, false, true, true},
		{200, "{\"access_token\":\"T0ken x\"," B E "}", NULL, false, true, true},
		{200, "{\"acc\\u0065ss_token\":\"T0ken x\"," B E "}", NULL, false, true, true},
		{200, "\xef\xbb\xbf" GOOD_BODY, NULL, false, true, true},
		{200, GOOD_BODY "x", NULL, false, true, true},
		{200, "{\"data\":" GOOD_BODY "}", NULL, false, true, true},
		{201, GOOD_BODY, NULL, false, true, true},
		{400, GOOD_BODY, NULL, false, true, false},
		{302, GOOD_BODY, NULL, false, true, false},
		{200, "<html>", NULL, false, false, false},
		{200, "<html>\r\n\tG\xe4ste\f</html>\n", NULL, false, false, false},
		{200, "", NULL, false, false, false},
		{200, "{\"error\":\"invalid_client\"}", NULL, false, false, false},
		{400, "{\"error\":\"invalid_client\"}", NULL, false, false, false},
		{400, "{\"error_description\":\"\\\"access_token\\\" is no parameter\"}", NULL,
			false, false, false},
		{503, "", NULL, false, false, false},
		{200, GOOD_BODY, "the response was cut short", false, true, false},
		{201, GOOD_BODY, "the response was cut short", false, true, false},
		{503, "", "the response was cut short", false, false, false},
		{0, "", "timed out", false, true, false},
		{0, "", NULL, false, true, false},
		{0, "", "could not resolve host", true, false, false},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct exchange x = {.failure = cases[i].failure, .unsent = cases[i].unsent};
		struct token_response a;

		read_bytes(cases[i].status, cases[i].body, strlen(cases[i].body), &x, &a);
		if (a.minted != cases[i].minted || a.unfit != cases[i].unfit)
			fail_msg("case %zu: minted %d, unfit %d", i, a.minted, a.unfit);
		token_response_fini(&a);
	}
}

/* A token may be in what nobody can search. */
static void a_body_that_is_no_text(void **state)
{
	static const struct {
		long status;
		const char *body;
		size_t length;
		bool minted;
		const char *words;
	} cases[] = {
		{200, "\x1f\x8b\x08\0\0\0\0\0\0\3\xab\x56\x4a", 13, true,
			"the response body is compressed, although the request allowed no coding"},
		{200, "{\0\"\0a\0", 6, true, "the response body is not valid JSON"},
		{201, "\x1f\x8b\x08\0", 4, true, "the server answered HTTP 201"},
		{503, "\x1f\x8b\x08\0", 4, false, "the server answered HTTP 503"},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct exchange x = {0};
		struct token_response a;

		read_bytes(cases[i].status, cases[i].body, cases[i].length, &x, &a);
		assert_no_token(&a);
		assert_int_equal(a.class, RESPONSE_UNAVAILABLE);
		assert_string_equal(a.words, cases[i].words);
		assert_int_equal(a.minted, cases[i].minted);
		assert_int_equal(a.unfit, cases[i].minted);
		token_response_fini(&a);
	}
}

/* Sent again it is as large, unlike one that was cut short. The front of an object may have a token
 * behind it; a page of some gateway has none. */
static void a_response_that_is_too_large(void **state)
{
	static const struct {
		long status;
		const char *front;
		bool minted, unfit;
	} cases[] = {
		{200, "{" T "\"scope\":\"", true, true},
		{200, "{\"scope\":\"", true, true},
		{201, "{" T "\"scope\":\"", true, true},
		{200, "<html>", true, false},
		{200, "", true, false},
		{503, "<html>", false, false},
		{503, "{\"message\":\"", false, false},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct exchange x = {.failure = "response larger than 64 KiB", .oversize = true};
		struct token_response a;

		read_bytes(cases[i].status, cases[i].front, strlen(cases[i].front), &x, &a);
		assert_no_token(&a);
		assert_int_equal(a.class, RESPONSE_UNAVAILABLE);
		assert_string_equal(a.words, "response larger than 64 KiB");
		if (a.minted != cases[i].minted || a.unfit != cases[i].unfit)
			fail_msg("case %zu: minted %d, unfit %d", i, a.minted, a.unfit);
		token_response_fini(&a);
	}
}

/* A token that is refused because it is as good as over may be the one that is there already. */
static void a_life_too_short_has_a_fingerprint(void **state)
{
	struct token_response good, brief;

	(void)state;
	read_body(200, GOOD_BODY, &good);
	read_body(200, "{" T B "\"expires_in\":9}", &brief);
	assert_no_token(&brief);
	assert_string_equal(brief.unfit_fingerprint, good.token.fingerprint);
	token_response_fini(&good);
	token_response_fini(&brief);
	read_body(200, "{" T B "\"expires_in\":\"9\"}", &brief);
	assert_string_equal(brief.unfit_fingerprint, "");
	token_response_fini(&brief);
}

static void every_prefix_of_a_token_is_none(void **state)
{
	struct exchange x = {0};

	(void)state;
	for (size_t length = 0; length < strlen(GOOD_BODY); length++) {
		struct token_response a;

		read_bytes(200, GOOD_BODY, length, &x, &a);
		assert_no_token(&a);
		token_response_fini(&a);
	}
}

static void classifies_failures(void **state)
{
	static const struct {
		long status;
		const char *body;
		enum response_class class;
		const char *error, *words;
	} cases[] = {
		/* as Genesys Cloud answers */
		{401,
			"{\"error\":\"invalid_client\",\"description\":\"authentication failed\","
			"\"error_description\":\"authentication failed\"}",
			RESPONSE_CLIENT_REJECTED, "invalid_client", "authentication failed"},
		{400,
			"{\"error\":\"invalid_client\",\"description\":\"client not found\","
			"\"error_description\":\"client not found\"}",
			RESPONSE_CLIENT_REJECTED, "invalid_client", "client not found"},
		{400,
			"{\"error\":\"invalid_request\",\"description\":\"Rate limit exceeded the "
			"maximum\"}",
			RESPONSE_THROTTLED, "invalid_request", "Rate limit exceeded the maximum"},
		{400,
			"{\"error\":\"invalid_request\",\"error_description\":\"RATE LIMIT "
			"EXCEEDED\"}",
			RESPONSE_THROTTLED, "invalid_request", "RATE LIMIT EXCEEDED"},
		{400,
			"{\"error\":\"invalid_request\",\"description\":\"rate limit exceeded\","
			"\"error_description\":\"bad request\"}",
			RESPONSE_THROTTLED, "invalid_request", "bad request"},
		{400, "{\"description\":\"rate limit exceeded\"}", RESPONSE_THROTTLED, "",
			"rate limit exceeded"},
		{400,
			"{\"error\":\"invalid_request\",\"description\":\"no rate limit "
			"exceeded\"}",
			RESPONSE_CLIENT_REJECTED, "invalid_request", "no rate limit exceeded"},
		{400, "{\"error\":\"invalid_request\",\"message\":\"rate limit exceeded\"}",
			RESPONSE_CLIENT_REJECTED, "invalid_request", "rate limit exceeded"},
		{400, "{\"error\":\"invalid_request\",\"description\":\"rate limit\"}",
			RESPONSE_CLIENT_REJECTED, "invalid_request", "rate limit"},
		{429, "", RESPONSE_THROTTLED, "", "the server answered HTTP 429"},
		{429, "{\"message\":\"slow down\",\"code\":\"too.many.requests\"}",
			RESPONSE_THROTTLED, "", "slow down"},
		{429, "{\"error\":\"invalid_client\"}", RESPONSE_THROTTLED, "invalid_client",
			"the server answered HTTP 429 invalid_client"},
		{400, "{\"error\":\"invalid_grant\",\"error_description\":\"token expired\"}",
			RESPONSE_LOGIN_REQUIRED, "invalid_grant", "token expired"},
		{400, "{\"error\":\"unsupported_grant_type\"}", RESPONSE_CLIENT_REJECTED,
			"unsupported_grant_type",
			"the server answered HTTP 400 unsupported_grant_type"},
		{403, "{\"error\":\"unauthorized_client\",\"error_description\":\"\"}",
			RESPONSE_CLIENT_REJECTED, "unauthorized_client",
			"the server answered HTTP 403 unauthorized_client"},
		{400, "{\"error\":\"invalid_scope\",\"message\":\"m\",\"description\":\"d\"}",
			RESPONSE_CLIENT_REJECTED, "invalid_scope", "d"},
		{400, "{\"error\":\"invalid_scope\",\"description\":\"d\",\"message\":\"m\"}",
			RESPONSE_CLIENT_REJECTED, "invalid_scope", "d"},
		/* not from the login server, or not for sure */
		{403, "<html>Forbidden</html>", RESPONSE_UNAVAILABLE, "",
			"the server answered HTTP 403"},
		{404, "", RESPONSE_UNAVAILABLE, "", "the server answered HTTP 404"},
		{404, "{\"status\":404,\"error\":\"Not Found\",\"path\":\"/oauth/token\"}",
			RESPONSE_UNAVAILABLE, "", "the server answered HTTP 404"},
		{403, "{\"error\":\"\"}", RESPONSE_UNAVAILABLE, "", "the server answered HTTP 403"},
		{403, "{\"error\":{\"code\":\"invalid_client\"}}", RESPONSE_UNAVAILABLE, "",
			"the server answered HTTP 403"},
		{403, "{\"error\":null,\"message\":\"no\"}", RESPONSE_UNAVAILABLE, "", "no"},
		/* it says by its name that it will pass */
		{400,
			"{\"error\":\"temporarily_unavailable\",\"error_description\":\"try "
			"again\"}",
			RESPONSE_UNAVAILABLE, "temporarily_unavailable", "try again"},
		{400, "{\"error\":\"server_error\"}", RESPONSE_UNAVAILABLE, "server_error",
			"the server answered HTTP 400 server_error"},
		{401, "{\"error\":\"internal_failure\",\"description\":\"d\"}",
			RESPONSE_UNAVAILABLE, "internal_failure", "d"},
		{400, "{\"error\":\"slow_down\"}", RESPONSE_THROTTLED, "slow_down",
			"the server answered HTTP 400 slow_down"},
		{403, "{\"error\":\"too_many_requests\"}", RESPONSE_THROTTLED, "too_many_requests",
			"the server answered HTTP 403 too_many_requests"},
		{408, "{\"error\":\"request_timeout\"}", RESPONSE_UNAVAILABLE, "request_timeout",
			"the server answered HTTP 408 request_timeout"},
		{408, "{\"error\":\"invalid_client\"}", RESPONSE_UNAVAILABLE, "invalid_client",
			"the server answered HTTP 408 invalid_client"},
		{425, "{\"error\":\"too_early\"}", RESPONSE_UNAVAILABLE, "too_early",
			"the server answered HTTP 425 too_early"},
		{400, "{\"error\":\"temporarily_unavailable_\"}", RESPONSE_CLIENT_REJECTED,
			"temporarily_unavailable_",
			"the server answered HTTP 400 temporarily_unavailable_"},
		/* some send it with a 200 */
		{200,
			"{\"error\":\"invalid_client\",\"error_description\":\"authentication "
			"failed\"}",
			RESPONSE_CLIENT_REJECTED, "invalid_client", "authentication failed"},
		{200, "{\"error\":\"invalid_grant\"}", RESPONSE_LOGIN_REQUIRED, "invalid_grant",
			"the server answered HTTP 200 invalid_grant"},
		{200, "{\"error\":\"server_error\",\"message\":\"m\"}", RESPONSE_UNAVAILABLE,
			"server_error", "m"},
		{200,
			"{\"error\":\"invalid_request\",\"description\":\"rate limit "
			"exceeded\"}",
			RESPONSE_THROTTLED, "invalid_request", "rate limit exceeded"},
		{200, "{\"error\":\"Not Found\"}", RESPONSE_UNAVAILABLE, "",
			"the response has no access_token"},
		{401, "{\"error\":\"invalid_client\"", RESPONSE_UNAVAILABLE, "",
			"the server answered HTTP 401"},
		{401, "{\"error\":\"invalid_client\",\"error\":\"invalid_grant\"}",
			RESPONSE_UNAVAILABLE, "", "the server answered HTTP 401"},
		{401, "{\"error\":\"invalid_client\"}x", RESPONSE_UNAVAILABLE, "",
			"the server answered HTTP 401"},
		{400, GOOD_BODY, RESPONSE_UNAVAILABLE, "", "the server answered HTTP 400"},
		{500, "{\"error\":\"invalid_grant\"}", RESPONSE_UNAVAILABLE, "invalid_grant",
			"the server answered HTTP 500 invalid_grant"},
		{500, "{\"description\":\"rate limit exceeded\"}", RESPONSE_UNAVAILABLE, "",
			"rate limit exceeded"},
		{503, "{\"message\":\"try later\"}", RESPONSE_UNAVAILABLE, "", "try later"},
		{500, GOOD_BODY, RESPONSE_UNAVAILABLE, "", "the server answered HTTP 500"},
		{599, "", RESPONSE_UNAVAILABLE, "", "the server answered HTTP 599"},
		{301, GOOD_BODY, RESPONSE_UNAVAILABLE, "",
			"the server answered HTTP 301, a redirect, which is never followed"},
		{308, "{\"error\":\"invalid_client\"}", RESPONSE_UNAVAILABLE, "",
			"the server answered HTTP 308, a redirect, which is never followed"},
		{201, GOOD_BODY, RESPONSE_UNAVAILABLE, "", "the server answered HTTP 201"},
		{204, "", RESPONSE_UNAVAILABLE, "", "the server answered HTTP 204"},
		{101, GOOD_BODY, RESPONSE_UNAVAILABLE, "", "the server answered HTTP 101"},
		{600, GOOD_BODY, RESPONSE_UNAVAILABLE, "", "the server answered HTTP 600"},
		{999, GOOD_BODY, RESPONSE_UNAVAILABLE, "", "the server answered HTTP 999"},
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct exchange x = {.correlation_id = "corr"};
		struct token_response a;

		read_bytes(cases[i].status, cases[i].body, strlen(cases[i].body), &x, &a);
		assert_no_token(&a);
		if (a.class != cases[i].class)
			fail_msg("case %zu: %s", i, response_class_name(a.class));
		assert_int_equal(a.status, cases[i].status);
		assert_string_equal(a.error, cases[i].error);
		assert_string_equal(a.words, cases[i].words);
		assert_string_equal(a.correlation_id, "corr");
		assert_false(a.has_retry_after);
		token_response_fini(&a);
	}
}

static void words_are_fit_to_show(void **state)
{
#define TEN "abcdefghij"
	static const struct {
		const char *body, *words;
	} cases[] = {
		{"{\"message\":\"a\\r\\nb\\u001b[31m\\u00e9\"}", "a??b?[31m??"},
		{"{\"message\":\"token T0ken is bad\",\"access_token\":\"T0ken\"}",
			"the server answered HTTP 503"},
		{"{\"access_token\":\"T0ken\",\"message\":\"T0ken\"}",
			"the server answered HTTP 503"},
		{"{\"refresh_token\":\"R3\",\"message\":\"have R3\"}",
			"the server answered HTTP 503"},
		{"{\"access_token\":\"abc\",\"error\":\"abc\"}", "the server answered HTTP 503"},
		{"{\"message\":\"bad " TEN TEN TEN TEN " x\"}", "bad [...] x"},
		{"{\"message\":\"client 01234567-89ab-cdef-0123-456789abcdef not found\"}",
			"client 01234567-89ab-cdef-0123-456789abcdef not found"},
		{"{\"message\":\"" TEN TEN TEN "abcdefghi\"}", TEN TEN TEN "abcdefghi"},
		{"{\"error\":\"" TEN TEN TEN TEN "\"}", "the server answered HTTP 503"},
	};
	char body[600], expected[sizeof(((struct token_response *)0)->words)];
	struct token_response a;

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		read_body(503, cases[i].body, &a);
		assert_no_token(&a);
		assert_string_equal(a.words, cases[i].words);
		assert_string_equal(a.error, "");
		token_response_fini(&a);
	}
	for (size_t length = 250; length < 260; length++) {
		size_t n = (size_t)sprintf(body, "{\"message\":\"");

		for (size_t i = 0; i < length; i++)
			body[n++] = i % 10 == 9 ? ' ' : 'w';
		memcpy(expected, body + 12, sizeof(expected) - 1);
		sprintf(body + n, "\"}");
		expected[length < sizeof(expected) ? length : sizeof(expected) - 1] = '\0';
		if (length >= sizeof(expected))
			memcpy(expected + sizeof(expected) - 4, "...", 3);
		read_body(503, body, &a);
		assert_string_equal(a.words, expected);
	}
}

static void never_tells_what_was_sent(void **state)
{
	static const char *const secrets[] = {
		"s3cr:t/", "s3cr%3At%2F", "Y2xpZW50OnMzY3I6dC8=", NULL};
	static const struct {
		const char *body, *correlation_id, *words, *error, *shown_id;
	} cases[] = {
		{"{\"error\":\"e\",\"error_description\":\"s3cr:t/ is wrong\"}", "c-1",
			"the server answered HTTP 401 e", "e", "c-1"},
		{"{\"error\":\"e\",\"error_description\":\"is s3cr:t\\/\"}", "c-1",
			"the server answered HTTP 401 e", "e", "c-1"},
		{"{\"error\":\"e\",\"error_description\":\"\\u0073\\u0033cr:t/\"}", "c-1",
			"the server answered HTTP 401 e", "e", "c-1"},
		{"{\"error\":\"e\",\"description\":\"not s3cr%3At%2F\"}", "c-1",
			"the server answered HTTP 401 e", "e", "c-1"},
		{"{\"error\":\"e\",\"message\":\"Basic Y2xpZW50OnMzY3I6dC8= refused\"}", "c-1",
			"the server answered HTTP 401 e", "e", "c-1"},
		{"{\"error\":\"is_s3cr:t/\",\"description\":\"no\"}", "c-1", "no", "", "c-1"},
		{"{\"error\":\"e\",\"description\":\"no\"}", "for-s3cr:t/", "no", "e", ""},
		{"{\"error\":\"e\",\"description\":\"no\",\"access_token\":\"T0ken\"}", "T0ken",
			"no", "e", ""},
		{"{\"error\":\"e\",\"description\":\"s3cr is no secret\"}", "s3",
			"s3cr is no secret", "e", "s3"},
		{"no JSON: s3cr:t/", "s3cr:t/", "the server answered HTTP 401", "", ""},
	};
	char body[400] = "{\"error\":\"e\",\"description\":\"";
	size_t start = strlen(body);
	struct token_response a;

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct exchange x = {.secrets = secrets};

		strcpy(x.correlation_id, cases[i].correlation_id);
		read_bytes(401, cases[i].body, strlen(cases[i].body), &x, &a);
		assert_string_equal(a.words, cases[i].words);
		assert_string_equal(a.error, cases[i].error);
		assert_string_equal(a.correlation_id, cases[i].shown_id);
		token_response_fini(&a);
	}
	/* Nor the first half of it, where long words are cut. */
	for (size_t before = 240; before < 256; before++) {
		struct exchange x = {.secrets = secrets};

		memset(body + start, ' ', before);
		strcpy(body + start + before, "s3cr:t/\"}");
		read_bytes(401, body, strlen(body), &x, &a);
		assert_string_equal(a.words, "the server answered HTTP 401 e");
		token_response_fini(&a);
	}
	/* With a token it is the same. */
	{
		struct exchange x = {.secrets = secrets, .correlation_id = "T0ken-1"};

		read_bytes(200, GOOD_BODY, strlen(GOOD_BODY), &x, &a);
		assert_int_equal(a.class, RESPONSE_TOKEN);
		assert_string_equal(a.correlation_id, "");
		token_response_fini(&a);
	}
}

static void reads_retry_after(void **state)
{
	static const struct {
		const char *retry_after, *date;
		int64_t wall_s;
		bool has;
		int64_t s;
	} cases[] = {
		{"", DATE, 0, false, 0},
		{"30", "", 0, true, 30},
		{"0", DATE, 0, true, 0},
		{"3.5", DATE, 0, false, 0},
		{"-1", DATE, 0, false, 0},
		{"soon", DATE, 0, false, 0},
		/* relative to the answer's own clock, however wrong ours is */
		{"Sun, 06 Nov 1994 08:50:37 GMT", DATE, 5, true, 60},
		{"Sun, 06 Nov 1994 08:48:37 GMT", DATE, 5, true, 0},
		/* only without one relative to ours */
		{"Sun, 06 Nov 1994 08:50:37 GMT", "", 784111777, true, 60},
		{"Sun, 06 Nov 1994 08:50:37 GMT", "yesterday", 784111777, true, 60},
	};
	static const long statuses[] = {429, 503, 400, 302};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		for (size_t k = 0; k < LENGTH(statuses); k++) {
			struct exchange x = {
				.received.wall.ns = cases[i].wall_s * NS_PER_S + 900 * NS_PER_MS};
			struct token_response a;

			strcpy(x.retry_after, cases[i].retry_after);
			strcpy(x.date, cases[i].date);
			read_bytes(statuses[k], "", 0, &x, &a);
			assert_int_equal(a.has_retry_after, cases[i].has);
			assert_true(a.retry_after.ns == cases[i].s * NS_PER_S);
			token_response_fini(&a);
		}
	}
}

/* Damage anything: no crash, and no token but a well-formed one. */
static void survives_damage(void **state)
{
	unsigned seed = 271828;

	(void)state;
	for (int round = 0; round < 30000; round++) {
		char body[] = "{\"access_token\":\"T0k\\u0065n\",\"token_type\":\"bearer\","
			      "\"expires_in\":300,\"x\":[{\"y\":null}],\"message\":\"m\"}";
		static const long statuses[] = {200, 400, 503};
		size_t length = strlen(body);
		struct exchange x = {0};
		struct token_response a;

		for (int hits = 1 + rand_r(&seed) % 3; hits > 0; hits--) {
			size_t at = (size_t)rand_r(&seed) % length;

			body[at] = rand_r(&seed) % 2 ? "{}[]\",:\\u0"[rand_r(&seed) % 10]
						     : (char)rand_r(&seed);
		}
		read_bytes(statuses[rand_r(&seed) % 3], body, length, &x, &a);
		if (a.class == RESPONSE_TOKEN) {
			assert_int_equal(a.status, 200);
			assert_true(a.token.length > 0 && strlen(a.token.text) == a.token.length);
			assert_true(a.expires_in.ns >= 10 * NS_PER_S);
		} else {
			assert_no_token(&a);
		}
		token_response_fini(&a);
	}
}

static void classes_have_names(void **state)
{
	(void)state;
	assert_string_equal(response_class_name(RESPONSE_TOKEN), "token");
	assert_string_equal(response_class_name(RESPONSE_UNAVAILABLE), "unavailable");
	assert_string_equal(response_class_name(RESPONSE_THROTTLED), "throttled");
	assert_string_equal(response_class_name(RESPONSE_CLIENT_REJECTED), "client_rejected");
	assert_string_equal(response_class_name(RESPONSE_LOGIN_REQUIRED), "login_required");
}

/* What a login is refreshed with comes along, or does not; it never spoils the token. */
static void refresh_tokens_come_along(void **state)
{
	static const struct {
		const char *member, *refresh_token;
		bool bad;
	} cases[] = {
		{"", NULL, false},
		{",\"refresh_token\":\"R1\"", "R1", false},
		{",\"refresh_token\":null", NULL, false},
		{",\"refresh_token\":\"\"", NULL, true},
		{",\"refresh_token\":\"a b\"", NULL, true},
		{",\"refresh_token\":\"a\\n\"", NULL, true},
		{",\"refresh_token\":7", NULL, true},
		{",\"refresh_tokens\":\"R1\"", NULL, false},
	};
	static const char *const unfit[] = {
		"{\"refresh_token\":\"R1\"}",
		"{" T B "\"expires_in\":\"300\",\"refresh_token\":\"R1\"}",
		"{" T B "\"expires_in\":9,\"refresh_token\":\"R1\"}",
		"{" T E ",\"refresh_token\":\"R1\"}",
		"{\"access_token\":\"a b\"," B E ",\"refresh_token\":\"R1\"}",
		"{\"refresh_token\":\"R1\"," T B E "}x",
		"\xef\xbb\xbf{\"refresh_token\":\"R1\"," T B E "}",
		"{\"access_token\":\"a\\u0000\"," B E ",\"refresh_token\":\"R1\"}",
		"{" T B E ",\"refresh_token\" :\t\"R1\",\"scope\":\"\\u0000\"}",
		"{" T B E ",\"scope\":\"\\ud800\",\"refresh_token\":\"\\u00521\"}",
		"{" T B E ",\"scope\":\"\xff\",\"refresh_token\":\"R1\"}",
		"{" T B E ",\"scope\":\"\n\\q\x01\",\"refresh_token\":\"R1\"}",
		"{" T B E ",\"scope\":1,\"scope\":2,\"refresh_token\":\"R1\"}",
		"{" T B E ",\"a\":\"refresh_token\",,\"refresh_token\":\"R1\",,}",
	};
	/* which of two counts, or what it is, cannot be told */
	static const struct {
		const char *body;
		bool bad;
	} unclear[] = {
		{"{\"refresh_token\":\"R1\",\"x\":\"\\u0000\",\"refresh_token\":\"R2\"}", false},
		{"{\"x\":\"\\u0000\",\"refresh_token\":null}", false},
		{"{\"x\":\"\\u0000\",\"refresh_token\":\"R1\\\"}", false},
		{"{\"x\":\"\\\"refresh_token\\\":\\\"R1\\\"\\u0000\"}", false},
		{"{\"refresh_token\":\"R1\\u0000\"}", true},
		{"{\"refresh_token\":\"R1\\ud800\"}", true},
		{"{\"x\":\"\\u0000\",\"refresh_token\":\"a b\"}", true},
	};
	char body[TOKEN_MAX + 200], *to;
	struct token_response a;

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		snprintf(body, sizeof(body), "%.*s%s}", (int)strlen(GOOD_BODY) - 1, GOOD_BODY,
			cases[i].member);
		read_body(200, body, &a);
		assert_int_equal(a.class, RESPONSE_TOKEN);
		assert_string_equal(a.token.text, "T0ken");
		if (cases[i].refresh_token)
			assert_string_equal(a.refresh_token.text, cases[i].refresh_token);
		else
			assert_null(a.refresh_token.text);
		assert_int_equal(a.bad_refresh_token, cases[i].bad);
		token_response_fini(&a);
		assert_null(a.refresh_token.text);

		/* of a failure none is kept */
		read_body(400, body, &a);
		assert_no_token(&a);
		assert_null(a.refresh_token.text);
		token_response_fini(&a);
	}
	/* A 2xx may have made the one before it void, whatever else is wrong with it. */
	for (size_t i = 0; i < 3 * LENGTH(unfit); i++) {
		struct exchange cut = {.failure = i % 3 ? NULL : "the response was cut short"};
		const char *text = unfit[i / 3];

		read_bytes(i % 3 == 1 ? 200 : 201, text, strlen(text), &cut, &a);
		assert_no_token(&a);
		assert_non_null(a.refresh_token.text);
		assert_string_equal(a.refresh_token.text, "R1");
		assert_null(strstr(a.words, "R1"));
		token_response_fini(&a);
	}
	for (size_t i = 0; i < LENGTH(unclear); i++) {
		read_body(200, unclear[i].body, &a);
		assert_no_token(&a);
		assert_null(a.refresh_token.text);
		if (a.bad_refresh_token != unclear[i].bad)
			fail_msg("unclear %zu: %d", i, a.bad_refresh_token);
		token_response_fini(&a);
	}
	/* but only one that came whole */
	for (size_t length = 0; length < strlen(unfit[0]); length++) {
		struct exchange cut = {.failure = "the response was cut short"};

		read_bytes(200, unfit[0], length, &cut, &a);
		assert_int_equal(a.refresh_token.text != NULL, length == strlen(unfit[0]) - 1);
		token_response_fini(&a);
	}
	for (size_t length = TOKEN_MAX; length <= TOKEN_MAX + 1; length++) {
		to = stpcpy(body, "{\"refresh_token\":\"");
		memset(to, 'r', length);
		strcpy(to + length, "\",");
		strcat(body, &GOOD_BODY[1]);
		read_body(200, body, &a);
		assert_int_equal(a.class, RESPONSE_TOKEN);
		assert_int_equal(a.refresh_token.length, length == TOKEN_MAX ? length : 0);
		assert_int_equal(a.bad_refresh_token, length > TOKEN_MAX);
		token_response_fini(&a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refresh_tokens_come_along),
		cmocka_unit_test(reads_a_token),
		cmocka_unit_test(reads_the_claims_of_a_jwt),
		cmocka_unit_test(longest_token_and_largest_body),
		cmocka_unit_test(refuses_hostile_bodies),
		cmocka_unit_test(refuses_bytes_a_string_cannot_show),
		cmocka_unit_test(refuses_floods),
		cmocka_unit_test(a_cut_answer_is_never_a_token),
		cmocka_unit_test(who_may_come_back_is_not_refused_for_good),
		cmocka_unit_test(tokens_that_are_thrown_away),
		cmocka_unit_test(a_body_that_is_no_text),
		cmocka_unit_test(a_response_that_is_too_large),
		cmocka_unit_test(a_life_too_short_has_a_fingerprint),
		cmocka_unit_test(every_prefix_of_a_token_is_none),
		cmocka_unit_test(classifies_failures),
		cmocka_unit_test(words_are_fit_to_show),
		cmocka_unit_test(never_tells_what_was_sent),
		cmocka_unit_test(reads_retry_after),
		cmocka_unit_test(survives_damage),
		cmocka_unit_test(classes_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
