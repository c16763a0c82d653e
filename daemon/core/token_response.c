/* A login server's response is judged in one direction only: it is a failure until everything about
 * it has proved right. What is wrong for good (credentials, request) is told apart from what time
 * heals, because the one must not be retried and the other must. */
#include "token_response.h"
#include "http_date.h"
#include "token_body.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Longer than a UUID, shorter than any token of entropy that was seen. */
#define RUN_LIKE_A_TOKEN 40

static void put_words(struct token_response *a, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void put_words(struct token_response *a, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(a->words, sizeof(a->words), format, list);
	va_end(list);
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
static bool repeats(
	const struct exchange *x, const struct token_body *b, const char *text, size_t length)
{
	for (const char *const *secret = x->secrets; secret && *secret; secret++)
		if (**secret && memmem(text, length, *secret, strlen(*secret)))
			return true;
	return repeats_token(&b->token, text, length) ||
	       repeats_token(&b->refresh_token, text, length);
}

/* The server's words as they may be shown: printable ASCII, and no place in them for a token or
 * secret it might repeat. False: it had none that may be shown. */
static bool words_show(const struct exchange *x, const struct token_body *b, char *ret, size_t size)
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

/* What is wrong with the members of a 200, or NULL. */
static const char *token_problem(const struct token_body *b)
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

static void success_read(struct token_body *b, struct token_response *a)
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
static void failure_read(
	const struct exchange *x, const struct token_body *b, struct token_response *a)
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
static bool has_token(const struct exchange *x, const struct token_body *b)
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
	struct token_body b = {0};
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
			token_body_read(x, &b, &problem);
	} else if (x->status >= 300 && x->status <= 399) {
		put_words(&a, "the server answered HTTP %ld, a redirect, which is never followed",
			x->status);
	} else if (x->status < 200 || x->status > 599 || (x->status != 200 && success(x))) {
		put_words(&a, "the server answered HTTP %ld", x->status);
		if (success(x))
			r = token_body_read(x, &b, &problem);
	} else {
		r = token_body_read(x, &b, &problem);
		if (r < 0 && x->status == 200) {
			put_words(&a, "the response body %s", problem);
		} else if (r < 0) {
			/* Members read before the body turned out bad count for nothing. */
			token_body_fini(&b);
			b = (struct token_body){0};
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
	token_body_fini(&b);
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
