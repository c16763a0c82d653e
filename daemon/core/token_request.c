#include "token_request.h"
#include "secret.h"
#include "text.h"
#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <string.h>

#define BASIC "Basic "

/* "Basic " and base64 of encoded-id ":" encoded-secret. NULL when out of memory. */
static char *basic_make(const char *client_id, const char *client_secret)
{
	size_t length = percent_length(PERCENT_FORM, client_id) + 1 +
			percent_length(PERCENT_FORM, client_secret);
	size_t size = sizeof(BASIC) + 4 * ((length + 2) / 3);
	char *pair, *value = NULL, *end;

	if (length > INT_MAX / 2) /* EVP_EncodeBlock counts in int */
		return NULL;
	pair = secret_alloc(length + 1);
	if (!pair)
		return NULL;
	value = secret_alloc(size);
	if (value) {
		end = percent_write(PERCENT_FORM, pair, client_id);
		*end++ = ':';
		percent_write(PERCENT_FORM, end, client_secret);
		memcpy(value, BASIC, strlen(BASIC));
		EVP_EncodeBlock(
			(unsigned char *)value + strlen(BASIC), (unsigned char *)pair, (int)length);
	}
	secret_free(pair, length + 1);
	return value;
}

static char *secret_encode(const char *text)
{
	char *encoded = secret_alloc(percent_length(PERCENT_FORM, text) + 1);

	if (encoded)
		*percent_write(PERCENT_FORM, encoded, text) = '\0';
	return encoded;
}

/* One parameter of the body. */
struct parameter {
	const char *name;
	const char *value; /* NULL: left out */
	bool secret;
};

#define PARAMETERS_MAX 6

static int body_make(struct token_request *r, const struct parameter *parameters, size_t count,
	const char *extra_params)
{
	bool extra = extra_params && *extra_params;
	char *to;

	for (size_t i = 0; i < count; i++)
		if (parameters[i].value)
			r->body_length += 2 + strlen(parameters[i].name) +
					  percent_length(PERCENT_FORM, parameters[i].value);
	if (extra)
		r->body_length += 1 + strlen(extra_params);
	r->body_length--; /* no '&' before the first */
	to = r->body = secret_alloc(r->body_length + 1);
	if (!r->body)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		if (!parameters[i].value)
			continue;
		if (to != r->body)
			*to++ = '&';
		to = stpcpy(to, parameters[i].name);
		*to++ = '=';
		to = percent_write(PERCENT_FORM, to, parameters[i].value);
	}
	if (extra) {
		*to++ = '&';
		to = stpcpy(to, extra_params);
	}
	*to = '\0';
	return 0;
}

/* Takes note of a secret in both forms it may come back in. */
static int note_secret(struct token_request *r, size_t *n, const char *text)
{
	r->secrets[*n] = secret_copy(text, strlen(text));
	if (!r->secrets[(*n)++])
		return -ENOMEM;
	r->secrets[*n] = secret_encode(text);
	return r->secrets[(*n)++] ? 0 : -ENOMEM;
}

static int request_make(struct token_request *ret, const struct token_request_client *client,
	const struct parameter *parameters, size_t count)
{
	struct token_request r = TOKEN_REQUEST_NONE;
	struct parameter all[PARAMETERS_MAX];
	size_t n = 0;
	int error;

	memcpy(all, parameters, count * sizeof(*all));
	if (!*client->secret)
		all[count++] = (struct parameter){"client_id", client->id, false};
	error = body_make(&r, all, count, client->extra_params);
	for (size_t i = 0; i < count && !error; i++)
		if (all[i].secret)
			error = note_secret(&r, &n, all[i].value);
	if (*client->secret && !error) {
		error = note_secret(&r, &n, client->secret);
		r.authorization = basic_make(client->id, client->secret);
		if (!r.authorization)
			error = -ENOMEM;
	}
	if (error) {
		token_request_fini(&r);
		return error;
	}
	*ret = r;
	return 0;
}

int token_request_client_credentials(
	struct token_request *ret, const struct token_request_client *client, const char *scope)
{
	const struct parameter parameters[] = {
		{"grant_type", "client_credentials", false},
		{"scope", scope, false},
	};

	return request_make(ret, client, parameters, 2);
}

int token_request_authorization_code(struct token_request *ret,
	const struct token_request_client *client, const char *code, const char *verifier,
	const char *redirect_uri)
{
	const struct parameter parameters[] = {
		{"grant_type", "authorization_code", false},
		{"code", code, true},
		{"redirect_uri", redirect_uri, false},
		{"code_verifier", verifier, true},
	};

	return request_make(ret, client, parameters, 4);
}

int token_request_refresh_token(struct token_request *ret,
	const struct token_request_client *client, const char *refresh_token)
{
	const struct parameter parameters[] = {
		{"grant_type", "refresh_token", false},
		{"refresh_token", refresh_token, true},
	};

	return request_make(ret, client, parameters, 2);
}

void token_request_secrets(
	const struct token_request *r, const char *ret_secrets[TOKEN_REQUEST_SECRETS])
{
	size_t n = 0;

	for (; r->secrets[n]; n++)
		ret_secrets[n] = r->secrets[n];
	if (r->authorization)
		ret_secrets[n++] = r->authorization + strlen(BASIC);
	ret_secrets[n] = NULL;
}

void token_request_fini(struct token_request *r)
{
	secret_free(r->body, r->body_length + 1);
	secret_text_free(r->authorization);
	for (size_t i = 0; i < TOKEN_REQUEST_SECRETS; i++)
		secret_text_free(r->secrets[i]);
	*r = TOKEN_REQUEST_NONE;
}
