/* A login server's response is judged in one direction only: it is a failure until everything about
 * it has proved right. What is wrong for good (credentials, request) is told apart from what time
 * heals, because the one must not be retried and the other must. */
#include "token_response.h"
#include "http_date.h"
#include "json.h"
#include "secret.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define RATE_LIMIT "rate limit exceeded"
#define BYTE_ORDER_MARK "\xef\xbb\xbf"
#define GZIP "\x1f\x8b"
/* Longer than a UUID, shorter than any token of entropy that was seen. */
#define RUN_LIKE_A_TOKEN 40

/* The members of the body that matter; `has` is about presence in any kind. */
struct body {
	struct token token;
	struct token refresh_token;
	int token_error;
	bool bad_refresh_token;
	bool has_token, has_type, has_expires_in;
	bool bearer;
	int64_t expires_in_s; /* -1: not acceptable */
	char expires_in_text[24];
	char error[RUN_LIKE_A_TOKEN];
	bool rate_limited;
	int words_rank;
	char *words; /* malloc'd, as the server wrote them */
	size_t words_length;
};

static bool key_is(const char *key, size_t length, const char *name)
{
	return length == strlen(name) && memcmp(key, name, length) == 0;
}

static void put_words(struct token_response *a, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void put_words(struct token_response *a, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(a->words, sizeof(a->words), format, list);
	va_end(list);
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
static void error_code_read(struct body *b, const char *text, size_t length)
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

static void words_forget(struct body *b)
{
	secret_wipe(b->words, b->words_length);
	free(b->words);
	b->words = NULL;
}

static int words_read(struct body *b, int rank, const char *text, size_t length)
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
	struct body *b, const char *key, size_t key_length, const char *text, size_t length)
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
	struct body *b = context;

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

static void body_fini(struct body *b)
{
	words_forget(b);
	token_fini(&b->token);
	token_fini(&b->refresh_token);
}

static bool run_character(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("-._~+=", c));
}

static bool repeats_token(const struct token *t, const char *text, size_t length)
{
	return t->text && memmem(text, length, t->text, t->length);
}

/* Servers and gateways repeat what they were sent, or what they would have answered. */
static bool repeats(const struct exchange *x, const struct body *b, const char *text, size_t length)
{
	for (const char *const *secret = x->secrets; secret && *secret; secret++)
		if (**secret && memmem(text, length, *secret, strlen(*secret)))
			return true;
	return repeats_token(&b->token, text, length) ||
	       repeats_token(&b->refresh_token, text, length);
}

/* The server's words as they may be shown: printable ASCII, and no place in them for a token or
 * secret it might repeat. False: it had none that may be shown. */
static bool words_show(const struct exchange *x, const struct body *b, char *ret, size_t size)
{
	static const char masked[] = "[...]";
	size_t length = 0;

	if (!b->words || repeats(x, b, b->words, b->words_length))
		return false;
	for (size_t i = 0; i < b->words_length && length < size;) {
		size_t run = 0;

		while (i + run < b->words_length && run_character(b->words[i + run]))
			run++;
		if (run >= RUN_LIKE_A_TOKEN) {
			for (size_t k = 0; k < strlen(masked) && length < size; k++)
				ret[length++] = masked[k];
			i += run;
			continue;
		}
		for (size_t last = i + (run ? run : 1); i < last && length < size; i++)
			ret[length++] =
				b->words[i] >= 0x20 && b->words[i] <= 0x7e ? b->words[i] : '?';
	}
	if (length == size) {
		length = size - 1;
		memcpy(ret + length - 3, "...", 3);
	}
	ret[length] = '\0';
	return true;
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
static int refresh_token_salvage(const struct exchange *x, struct body *b)
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

static int object_read(const struct exchange *x, struct body *b, const char **ret_problem)
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

/* What has been read of a body that is refused stays in `b`: a refresh token in it counts. */
static int body_read(const struct exchange *x, struct body *b, const char **ret_problem)
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

/* What is wrong with the members of a 200, or NULL. */
static const char *token_problem(const struct body *b)
{
	if (!b->has_token)
		return "the response has no access_token";
	if (b->token_error == -EINVAL)
		return "access_token is empty, longer than 8 KiB, or has characters no token has";
	if (!b->token.text)
		return "access_token is not a string";
	if (!b->has_type)
		return "the response has no token_type";
	if (!b->bearer)
		return "token_type is not bearer";
	if (!b->has_expires_in)
		return "the response has no expires_in";
	if (!*b->expires_in_text)
		return "expires_in is not a number";
	return NULL;
}

static void success_read(struct body *b, struct token_response *a)
{
	const char *problem = token_problem(b);

	if (problem) {
		put_words(a, "%s", problem);
		return;
	}
	if (b->expires_in_s < 0) {
		memcpy(a->unfit_fingerprint, b->token.fingerprint, sizeof(a->unfit_fingerprint));
		put_words(a, "expires_in is %s, not a whole number of seconds from %d to %d",
			b->expires_in_text, RESPONSE_EXPIRES_IN_MIN_S,
			(int)RESPONSE_EXPIRES_IN_MAX_S);
		return;
	}
	a->class = RESPONSE_TOKEN;
	a->expires_in = duration_s(b->expires_in_s);
	token_move(&a->token, &b->token);
	jwt_claims_read(a->token.text, a->token.length, &a->claims);
}

/* What the server says by its `error`. That something is amiss for a moment, some say with a 400,
 * which is for good otherwise. */
static enum response_class error_class(const char *error)
{
	static const struct {
		const char *error;
		enum response_class class;
	} known[] = {
		{"invalid_grant", RESPONSE_LOGIN_REQUIRED},
		{"slow_down", RESPONSE_THROTTLED},
		{"too_many_requests", RESPONSE_THROTTLED},
		{"temporarily_unavailable", RESPONSE_UNAVAILABLE},
		{"server_error", RESPONSE_UNAVAILABLE},
		{"internal_failure", RESPONSE_UNAVAILABLE},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (strcmp(error, known[i].error) == 0)
			return known[i].class;
	return RESPONSE_CLIENT_REJECTED;
}

/* Whatever the body says, this status or a time to come back means that it will pass. */
static bool passing(const struct token_response *a)
{
	return a->status == 408 || a->status == 425 || a->has_retry_after;
}

/* Also of a 200 that has an error and no token. */
static void failure_read(const struct exchange *x, const struct body *b, struct token_response *a)
{
	bool refused = a->status == 200 || (a->status >= 400 && a->status <= 499);

	if (a->status == 429 || (refused && b->rate_limited))
		a->class = RESPONSE_THROTTLED;
	else if (refused && *b->error)
		a->class = error_class(b->error);
	if (a->class > RESPONSE_THROTTLED && passing(a))
		a->class = RESPONSE_UNAVAILABLE;
	if (!repeats(x, b, b->error, strlen(b->error)))
		snprintf(a->error, sizeof(a->error), "%s", b->error);
	if (words_show(x, b, a->words, sizeof(a->words)))
		return;
	if (*a->error)
		put_words(a, "the server answered HTTP %ld %s", a->status, a->error);
	else
		put_words(a, "the server answered HTTP %ld", a->status);
}

static void retry_after_read(const struct exchange *x, struct token_response *a)
{
	int64_t server_now_s;

	if (!*x->retry_after)
		return;
	if (http_date_parse(x->date, strlen(x->date), &server_now_s) < 0)
		server_now_s = duration_floor_s(duration_ns(x->received.wall.ns));
	a->has_retry_after = retry_after_parse(x->retry_after, strlen(x->retry_after), server_now_s,
				     &a->retry_after) == 0;
}

static bool success(const struct exchange *x)
{
	return x->status >= 200 && x->status <= 299;
}

/* Compressed, or in another encoding: what is in it no search finds. */
static bool is_no_text(const struct exchange *x)
{
	for (size_t i = 0; i < x->body_length; i++)
		if ((unsigned char)x->body[i] < 0x20 &&
			!memchr("\t\n\f\r\x1b", x->body[i], strlen("\t\n\f\r\x1b")))
			return true;
	return false;
}

/* Was a token made that cannot be taken? Looked for in the bytes: one was, also where they are no
 * JSON, as with a byte order mark in front. Where only the front of an object was taken, it may be
 * in the rest. */
static bool has_token(const struct exchange *x, const struct body *b)
{
	static const char name[] = "\"access_token\"";

	if (b->has_token || memmem(x->body, x->body_length, name, strlen(name)))
		return true;
	if (!success(x) || !x->body_length)
		return false;
	return is_no_text(x) || (x->oversize && x->body[0] == '{');
}

void token_response_read(const struct exchange *x, struct token_response *ret)
{
	struct token_response a = {.class = RESPONSE_UNAVAILABLE, .status = x->status};
	struct body b = {0};
	const char *problem;
	int r = 0;

	memcpy(a.correlation_id, x->correlation_id, sizeof(a.correlation_id));
	a.correlation_id[sizeof(a.correlation_id) - 1] = '\0';

	retry_after_read(x, &a);
	if (x->status == 0 || x->failure) {
		/* nobody knows what became of it */
		a.minted = success(x) || (x->status == 0 && !x->unsent);
		/* Half a body proves nothing, but a status that needs none stands. */
		if (x->status == 429)
			a.class = RESPONSE_THROTTLED;
		put_words(&a, "%s", x->failure ? x->failure : "no response");
		if (success(x))
			body_read(x, &b, &problem);
	} else if (x->status >= 300 && x->status <= 399) {
		put_words(&a, "the server answered HTTP %ld, a redirect, which is never followed",
			x->status);
	} else if (x->status < 200 || x->status > 599 || (x->status != 200 && success(x))) {
		put_words(&a, "the server answered HTTP %ld", x->status);
		if (success(x))
			r = body_read(x, &b, &problem);
	} else {
		r = body_read(x, &b, &problem);
		if (r < 0 && x->status == 200) {
			put_words(&a, "the response body %s", problem);
		} else if (r < 0) {
			/* Members read before the body turned out bad count for nothing. */
			body_fini(&b);
			b = (struct body){0};
			failure_read(x, &b, &a);
		} else if (x->status == 200 && (b.has_token || !*b.error)) {
			success_read(&b, &a);
		} else {
			failure_read(x, &b, &a);
		}
	}
	/* What is cut short by the network comes whole the next time; what is too large does not.
	 */
	if (a.class != RESPONSE_TOKEN && (!x->failure || x->oversize) && has_token(x, &b)) {
		a.minted = true;
		a.unfit = success(x) && r != -ENOMEM;
	}
	if (repeats(x, &b, a.correlation_id, strlen(a.correlation_id)) ||
		repeats_token(&a.token, a.correlation_id, strlen(a.correlation_id)))
		*a.correlation_id = '\0';
	/* Where it came whole, it counts: the one before it may be void by now. */
	if (success(x)) {
		token_move(&a.refresh_token, &b.refresh_token);
		a.bad_refresh_token = b.bad_refresh_token;
	}
	body_fini(&b);
	if (a.class == RESPONSE_TOKEN)
		a.has_retry_after = false;
	*ret = a;
}

void token_response_fini(struct token_response *a)
{
	token_fini(&a->token);
	token_fini(&a->refresh_token);
	*a = TOKEN_RESPONSE_NONE;
}

const char *response_class_name(enum response_class c)
{
	switch (c) {
	case RESPONSE_TOKEN:
		return "token";
	case RESPONSE_UNAVAILABLE:
		return "unavailable";
	case RESPONSE_THROTTLED:
		return "throttled";
	case RESPONSE_CLIENT_REJECTED:
		return "client_rejected";
	case RESPONSE_LOGIN_REQUIRED:
		return "login_required";
	}
	return "unknown";
}
