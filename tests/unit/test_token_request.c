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

		struct token_request_client client = {"id", "s", cases[i].extra};

		assert_int_equal(token_request_client_credentials(&r, &client, cases[i].scope), 0);
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
		{"", "s", "Basic OnM="},
	};
	const char *secrets[TOKEN_REQUEST_SECRETS];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct token_request r = TOKEN_REQUEST_NONE;

		struct token_request_client client = {cases[i].id, cases[i].secret, NULL};

		assert_int_equal(token_request_client_credentials(&r, &client, NULL), 0);
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
		int id_length = 1 + rand_r(&seed) % 300, secret_length = 1 + rand_r(&seed) % 299;
		const struct token_request_client client = {id, secret, NULL};

		for (int i = 0; i < id_length; i++)
			id[i] = (char)(1 + rand_r(&seed) % 255);
		for (int i = 0; i < secret_length; i++)
			secret[i] = (char)(1 + rand_r(&seed) % 255);
		id[id_length] = secret[secret_length] = '\0';
		assert_int_equal(token_request_client_credentials(&r, &client, NULL), 0);
		decode(r.authorization, got_id, got_secret);
		assert_string_equal(got_id, id);
		assert_string_equal(got_secret, secret);
		token_request_fini(&r);
	}
}

static void has_secrets(const struct token_request *r, const char *const *expected, size_t count)
{
	const char *secrets[TOKEN_REQUEST_SECRETS];

	token_request_secrets(r, secrets);
	for (size_t i = 0; i < count; i++)
		assert_string_equal(secrets[i], expected[i]);
	assert_null(secrets[count]);
}

static void a_code_goes_with_its_verifier(void **state)
{
	const struct token_request_client public = {"my id", "", "x=1"};
	const struct token_request_client confidential = {"id", "s/", NULL};
	const char *const of_public[] = {"a/b", "a%2Fb", "ver~", "ver%7E"};
	const char *const of_confidential[] = {
		"a/b", "a%2Fb", "ver~", "ver%7E", "s/", "s%2F", "aWQ6cyUyRg=="};
	struct token_request r = TOKEN_REQUEST_NONE;

	(void)state;
	assert_int_equal(token_request_authorization_code(
				 &r, &public, "a/b", "ver~", "http://127.0.0.1:7/back"),
		0);
	assert_string_equal(r.body,
		"grant_type=authorization_code&code=a%2Fb&redirect_uri=http%3A%2F%2F127.0.0.1%3A7"
		"%2Fback&code_verifier=ver%7E&client_id=my+id&x=1");
	assert_int_equal(r.body_length, strlen(r.body));
	assert_null(r.authorization);
	has_secrets(&r, of_public, 4);
	token_request_fini(&r);

	assert_int_equal(
		token_request_authorization_code(&r, &confidential, "a/b", "ver~", "https://h/"),
		0);
	assert_string_equal(r.body,
		"grant_type=authorization_code&code=a%2Fb&redirect_uri=https%3A%2F%2Fh%2F"
		"&code_verifier=ver%7E");
	assert_string_equal(r.authorization, "Basic aWQ6cyUyRg==");
	has_secrets(&r, of_confidential, 7);
	token_request_fini(&r);
}

static void a_refresh_token_is_a_secret(void **state)
{
	const struct token_request_client public = {"id", "", NULL};
	const struct token_request_client confidential = {"id", "s/", "x=1"};
	const char *const of_public[] = {"r+t", "r%2Bt"};
	const char *const of_confidential[] = {"r+t", "r%2Bt", "s/", "s%2F", "aWQ6cyUyRg=="};
	struct token_request r = TOKEN_REQUEST_NONE;

	(void)state;
	assert_int_equal(token_request_refresh_token(&r, &public, "r+t"), 0);
	assert_string_equal(r.body, "grant_type=refresh_token&refresh_token=r%2Bt&client_id=id");
	assert_null(r.authorization);
	has_secrets(&r, of_public, 2);
	token_request_fini(&r);

	assert_int_equal(token_request_refresh_token(&r, &confidential, "r+t"), 0);
	assert_string_equal(r.body, "grant_type=refresh_token&refresh_token=r%2Bt&x=1");
	assert_string_equal(r.authorization, "Basic aWQ6cyUyRg==");
	has_secrets(&r, of_confidential, 5);
	token_request_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(body_has_what_is_configured),
		cmocka_unit_test(basic_is_form_encoded_first),
		cmocka_unit_test(any_bytes_come_back),
		cmocka_unit_test(a_code_goes_with_its_verifier),
		cmocka_unit_test(a_refresh_token_is_a_secret),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
