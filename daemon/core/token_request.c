#include "token_request.h"
#include "secret.h"
#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <string.h>

#define BASIC "Basic "
#define GRANT_CLIENT "grant_type=client_credentials"
#define SCOPE "&scope="

/* The characters application/x-www-form-urlencoded leaves alone. Not isalnum(): that would ask the
 * locale. */
static bool form_plain(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '*' || c == '-' || c == '.' || c == '_';
}

static size_t form_length(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += form_plain((unsigned char)*text) || *text == ' ' ? 1 : 3;
	return n;
}

/* Writes form_length(text) characters, no NUL, and returns the place behind them. */
static char *form_put(char *to, const char *text)
{
	static const char digits[] = "0123456789ABCDEF";

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (form_plain(c)) {
			*to++ = (char)c;
		} else if (c == ' ') {
			*to++ = '+';
		} else {
			*to++ = '%';
			*to++ = digits[c >> 4];
			*to++ = digits[c & 0xf];
		}
	}
	return to;
}

/* "Basic " and base64 of encoded-id ":" encoded-secret. NULL when out of memory. */
static char *basic_make(const char *client_id, const char *client_secret)
{
	size_t length = form_length(client_id) + 1 + form_length(client_secret);
	size_t size = sizeof(BASIC) + 4 * ((length + 2) / 3);
	char *pair, *value = NULL, *end;

	if (length > INT_MAX / 2) /* EVP_EncodeBlock counts in int */
		return NULL;
	pair = secret_alloc(length + 1);
	if (!pair)
		return NULL;
	value = secret_alloc(size);
	if (value) {
		end = form_put(pair, client_id);
		*end++ = ':';
		form_put(end, client_secret);
		memcpy(value, BASIC, strlen(BASIC));
		EVP_EncodeBlock(
			(unsigned char *)value + strlen(BASIC), (unsigned char *)pair, (int)length);
	}
	secret_free(pair, length + 1);
	return value;
}

static char *secret_copy(const char *text)
{
	char *copy = secret_alloc(strlen(text) + 1);

	return copy ? strcpy(copy, text) : NULL;
}

static char *secret_encode(const char *text)
{
	char *encoded = secret_alloc(form_length(text) + 1);

	if (encoded)
		*form_put(encoded, text) = '\0';
	return encoded;
}

int token_request_client_credentials(struct token_request *ret, const char *client_id,
	const char *client_secret, const char *scope, const char *extra_params)
{
	struct token_request r = TOKEN_REQUEST_NONE;
	char *to;

	r.body_length = strlen(GRANT_CLIENT);
	if (scope)
		r.body_length += strlen(SCOPE) + form_length(scope);
	if (extra_params && *extra_params)
		r.body_length += 1 + strlen(extra_params);
	r.body = secret_alloc(r.body_length + 1);
	if (!r.body)
		return -ENOMEM;
	to = stpcpy(r.body, GRANT_CLIENT);
	if (scope)
		to = form_put(stpcpy(to, SCOPE), scope);
	if (extra_params && *extra_params) {
		*to++ = '&';
		to = stpcpy(to, extra_params);
	}
	*to = '\0';

	r.authorization = basic_make(client_id, client_secret);
	r.secret = secret_copy(client_secret);
	r.secret_encoded = secret_encode(client_secret);
	if (!r.authorization || !r.secret || !r.secret_encoded) {
		token_request_fini(&r);
		return -ENOMEM;
	}
	*ret = r;
	return 0;
}

void token_request_secrets(
	const struct token_request *r, const char *ret_secrets[TOKEN_REQUEST_SECRETS])
{
	size_t n = 0;

	if (r->secret) {
		ret_secrets[n++] = r->secret;
		ret_secrets[n++] = r->secret_encoded;
		ret_secrets[n++] = r->authorization + strlen(BASIC);
	}
	ret_secrets[n] = NULL;
}

static void wipe(char *text)
{
	secret_free(text, text ? strlen(text) + 1 : 0);
}

void token_request_fini(struct token_request *r)
{
	secret_free(r->body, r->body_length + 1);
	wipe(r->authorization);
	wipe(r->secret);
	wipe(r->secret_encoded);
	*r = TOKEN_REQUEST_NONE;
}
