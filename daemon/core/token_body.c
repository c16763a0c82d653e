#include "token_body.h"
#include "exchange.h"
#include "json.h"
#include "secret.h"
#include "token_response.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define RATE_LIMIT "rate limit exceeded"
#define BYTE_ORDER_MARK "\xef\xbb\xbf"
#define GZIP "\x1f\x8b"

static bool key_is(const char *key, size_t length, const char *name)
{
	return length == strlen(name) && memcmp(key, name, length) == 0;
}

/* By the text: 3600.0, 36e2 and numbers that a double would bend are no whole number of seconds. */
static int64_t expires_in_read(const char *text, size_t length)
{
	int64_t s = 0;

	for (size_t i = 0; i < length; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -1;
		s = s * 10 + (text[i] - '0');
		if (s > RESPONSE_EXPIRES_IN_MAX_S)
			return -1;
	}
	return s >= RESPONSE_EXPIRES_IN_MIN_S ? s : -1;
}

/* Codes look like invalid_client or, for extensions, like a URI. Gateways have an `error` as well,
 * but write "Not Found" or "Forbidden" there: taking that for the login server's verdict would stop
 * a profile over a passing fault. */
static void error_code_read(struct token_body *b, const char *text, size_t length)
{
	if (length == 0 || length >= sizeof(b->error))
		return;
	for (size_t i = 0; i < length; i++)
		if (!((text[i] >= 'a' && text[i] <= 'z') || (text[i] >= '0' && text[i] <= '9') ||
			    strchr("_-.:/", text[i])))
			return;
	memcpy(b->error, text, length);
	b->error[length] = '\0';
}

static void words_forget(struct token_body *b)
{
	secret_wipe(b->words, b->words_length);
	free(b->words);
	b->words = NULL;
}

static int words_read(struct token_body *b, int rank, const char *text, size_t length)
{
	char *copy;

	if (length == 0 || rank < b->words_rank)
		return 0;
	copy = malloc(length);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, text, length);
	words_forget(b);
	b->words = copy;
	b->words_length = length;
	b->words_rank = rank;
	return 0;
}

static int string_member(
	struct token_body *b, const char *key, size_t key_length, const char *text, size_t length)
{
	int rank = 0;

	if (key_is(key, key_length, "access_token")) {
		b->token_error = token_init(&b->token, text, length);
		return b->token_error == -ENOMEM ? -ENOMEM : 0;
	}
	if (key_is(key, key_length, "refresh_token")) {
		int r = token_init(&b->refresh_token, text, length);

		b->bad_refresh_token = r == -EINVAL;
		return r == -ENOMEM ? -ENOMEM : 0;
	}
	if (key_is(key, key_length, "token_type"))
		b->bearer = length == strlen("bearer") && strncasecmp(text, "bearer", length) == 0;
	else if (key_is(key, key_length, "error"))
		error_code_read(b, text, length);
	else if (key_is(key, key_length, "error_description"))
		rank = 3;
	else if (key_is(key, key_length, "description"))
		rank = 2;
	else if (key_is(key, key_length, "message"))
		rank = 1;
	if (rank >= 2 && length >= strlen(RATE_LIMIT) &&
		strncasecmp(text, RATE_LIMIT, strlen(RATE_LIMIT)) == 0)
		b->rate_limited = true;
	return rank ? words_read(b, rank, text, length) : 0;
}

static int body_member(void *context, const char *key, size_t key_length, enum json_kind kind,
	const char *text, size_t length)
{
	struct token_body *b = context;

	if (key_is(key, key_length, "access_token"))
		b->has_token = true;
	if (key_is(key, key_length, "token_type"))
		b->has_type = true;
	if (key_is(key, key_length, "refresh_token")) /* null: none */
		b->bad_refresh_token = kind == JSON_NUMBER;
	if (key_is(key, key_length, "expires_in")) {
		b->has_expires_in = true;
		b->expires_in_s = -1;
		if (kind == JSON_NUMBER) {
			b->expires_in_s = expires_in_read(text, length);
			snprintf(b->expires_in_text, sizeof(b->expires_in_text), "%.*s",
				length < sizeof(b->expires_in_text) ? (int)length : 20, text);
		}
	}
	return kind == JSON_STRING ? string_member(b, key, key_length, text, length) : 0;
}

/* The end of the quoted text that begins at `at`, behind its closing quote; NULL if it has none. */
static const char *quoted_end(const char *at, const char *end)
{
	for (at++; at < end && *at != '"'; at++)
		if (*at == '\\')
			at++;
	return at < end ? at + 1 : NULL;
}

/* The next refresh_token that is a text, name and value as they stand in the bytes. */
static const char *find_refresh_token(const char *at, const char *end, size_t *ret_length)
{
	static const char name[] = "\"refresh_token\"";
	const char *value, *behind;

	while ((at = memmem(at, (size_t)(end - at), name, strlen(name)))) {
		value = at + strlen(name);
		while (value < end && memchr(" \t\r\n:", *value, 5))
			value++;
		behind = value < end && *value == '"' ? quoted_end(value, end) : NULL;
		if (behind) {
			*ret_length = (size_t)(behind - at);
			return at;
		}
		at += strlen(name);
	}
	return NULL;
}

/* Of a body that the reader refuses, before or at whatever is wrong with it: the one member that
 * must not be lost is looked for in the bytes, and read by itself. Where there are two, nobody can
 * tell which of them counts. */
static int refresh_token_salvage(const struct exchange *x, struct token_body *b)
{
	const char *end = x->body + x->body_length, *problem;
	size_t length, other, size;
	const char *member = find_refresh_token(x->body, end, &length);
	char *object;
	int r;

	if (!member || find_refresh_token(member + length, end, &other))
		return 0;
	size = length + sizeof("{}");
	object = secret_alloc(size);
	if (!object)
		return -ENOMEM;
	object[0] = '{';
	memcpy(object + 1, member, length);
	object[length + 1] = '}';
	r = json_read_object(object, length + 2, body_member, b, &problem);
	secret_free(object, size);
	if (r == -EBADMSG)
		b->bad_refresh_token = true;
	return r == -ENOMEM ? r : 0;
}

static int object_read(const struct exchange *x, struct token_body *b, const char **ret_problem)
{
	size_t skipped;
	bool marked;
	int r;

	marked = x->body_length > strlen(BYTE_ORDER_MARK) &&
		 !memcmp(x->body, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK));
	skipped = marked ? strlen(BYTE_ORDER_MARK) : 0;
	r = json_read_object(
		x->body + skipped, x->body_length - skipped, body_member, b, ret_problem);
	if (r == 0 && marked) {
		*ret_problem = "is not valid JSON: it begins with a byte order mark";
		return -EBADMSG;
	}
	return r;
}

int token_body_read(const struct exchange *x, struct token_body *b, const char **ret_problem)
{
	int r;

	*ret_problem = NULL;
	if (x->body_length == 0) {
		*ret_problem = "is empty";
		return -EBADMSG;
	}
	if (x->body_length > TOKEN_RESPONSE_BODY_MAX) {
		*ret_problem = "is larger than 64 KiB";
		return -EBADMSG;
	}
	if (x->body_length >= strlen(GZIP) && !memcmp(x->body, GZIP, strlen(GZIP))) {
		*ret_problem = "is compressed, although the request allowed no coding";
		return -EBADMSG;
	}
	r = object_read(x, b, ret_problem);
	if (r == -EBADMSG && !b->refresh_token.text && !b->bad_refresh_token)
		r = refresh_token_salvage(x, b) < 0 ? -ENOMEM : r;
	if (r == -ENOMEM)
		*ret_problem = "could not be read: out of memory";
	return r;
}

void token_body_fini(struct token_body *b)
{
	words_forget(b);
	token_fini(&b->token);
	token_fini(&b->refresh_token);
}
