/* Token requests: form-encoding, Basic, and nothing the configuration did not ask for. */
#include "core/token_request.h"
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void body_has_what_is_configured(void **state)
{
	static const struct {
		const char *scope, *extra, *body;
	} cases[] = {
		{NULL, NULL, "grant_type=client_credentials"},
		{NULL, "", "grant_type=client_credentials"},
		{"", NULL, "grant_type=client_credentials&scope="},
		{"a b", NULL, "grant_type=client_credentials&scope=a+b"},
		{"https://x/.default", NULL,
			"grant_type=client_credentials&scope=https%3A%2F%2Fx%2F.default"},
		{NULL, "resource=a%20b&x=1", "grant_type=client_credentials&resource=a%20b&x=1"},
		{"s&t=u", "y=2", "grant_type=client_credentials&scope=s%26t%3Du&y=2"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct token_request r = TOKEN_REQUEST_NONE;

		assert_int_equal(token_request_client_credentials(
					 &r, "id", "s", cases[i].scope, cases[i].extra),
			0);
		assert_string_equal(r.body, cases[i].body);
		assert_int_equal(r.body_length, strlen(cases[i].body));
		token_request_fini(&r);
		assert_null(r.body);
		assert_null(r.authorization);
		assert_int_equal(r.body_length, 0);
	}
}

static void basic_is_form_encoded_first(void **state)
{
	static const struct {
		const char *id, *secret, *authorization;
	} cases[] = {
		/* RFC 6749 section 2.3.1's own example */
		{"s6BhdRkqt3", "7Fjfp0ZBr1KtDRbnfVdmIw",
			"Basic czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3"},
		/* base64 of "id:s3cr3t%3A%2B%2F%25" */
		{"id", "s3cr3t:+/%", "Basic aWQ6czNjcjN0JTNBJTJCJTJGJTI1"},
		/* base64 of "a%3Ab:c+d*-._%7E" */
		{"a:b", "c d*-._~", "Basic YSUzQWI6YytkKi0uXyU3RQ=="},
		{"", "", "Basic Og=="},
	};
	const char *secrets[TOKEN_REQUEST_SECRETS];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct token_request r = TOKEN_REQUEST_NONE;

		assert_int_equal(token_request_client_credentials(
					 &r, cases[i].id, cases[i].secret, NULL, NULL),
			0);
		assert_string_equal(r.authorization, cases[i].authorization);
		token_request_secrets(&r, secrets);
		assert_string_equal(secrets[0], cases[i].secret);
		assert_non_null(secrets[1]);
		assert_string_equal(secrets[2], cases[i].authorization + strlen("Basic "));
		assert_null(secrets[3]);
		token_request_fini(&r);
		token_request_secrets(&r, secrets);
		assert_null(secrets[0]);
	}
}

static int hex(char c)
{
	return c <= '9' ? c - '0' : c - 'A' + 10;
}

/* What a server does: undo base64, split at the first colon, undo the form. */
static void decode(const char *authorization, char *id, char *secret)
{
	unsigned char pair[8192];
	char *to = id;
	bool in_secret = false;
	int length = EVP_DecodeBlock(
		pair, (const unsigned char *)authorization + 6, (int)strlen(authorization) - 6);

	assert_true(length > 0);
	for (size_t n = strlen(authorization); authorization[n - 1] == '='; n--)
		length--;
	for (int i = 0; i < length; i++) {
		unsigned char c = pair[i];

		if (c == ':') {
			assert_false(in_secret);
			in_secret = true;
			*to = '\0';
			to = secret;
			continue;
		}
		assert_true(c > 0x20 && c < 0x7f);
		if (c == '%') {
			*to++ = (char)(hex((char)pair[i + 1]) << 4 | hex((char)pair[i + 2]));
			i += 2;
		} else {
			*to++ = c == '+' ? ' ' : (char)c;
		}
	}
	*to = '\0';
	assert_true(in_secret);
}

static void any_bytes_come_back(void **state)
{
	unsigned seed = 20240607;

	(void)state;
	for (int round = 0; round < 500; round++) {
		char id[600], secret[600], got_id[600], got_secret[600];
		struct token_request r = TOKEN_REQUEST_NONE;
		int id_length = 1 + rand_r(&seed) % 300, secret_length = rand_r(&seed) % 300;

		for (int i = 0; i < id_length; i++)
			id[i] = (char)(1 + rand_r(&seed) % 255);
		for (int i = 0; i < secret_length; i++)
			secret[i] = (char)(1 + rand_r(&seed) % 255);
		id[id_length] = secret[secret_length] = '\0';
		assert_int_equal(token_request_client_credentials(&r, id, secret, NULL, NULL), 0);
		decode(r.authorization, got_id, got_secret);
		assert_string_equal(got_id, id);
		assert_string_equal(got_secret, secret);
		token_request_fini(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(body_has_what_is_configured),
		cmocka_unit_test(basic_is_form_encoded_first),
		cmocka_unit_test(any_bytes_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
