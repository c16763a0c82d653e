#include "gctoken.h"

#include "clocks.h"
#include "defaults.h"
#include "http_client.h"
#include "page_holder.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MAX_MS 86400000
/* What a call may take beyond the wait it asks the broker for: a local round trip, with room for a
 * busy machine. */
#define GRACE_MS 1000
/* A reply that was held longer than this is asked for once more, see call_for_token. */
#define HELD_MS 1000
#define REPLY_MAX (RESPONSE_HEAD_MAX + GCTOKEN_TOKEN_MAX + 1)

_Static_assert(sizeof(struct gctoken_token) == 8312, "the layout is part of the soname");
_Static_assert(offsetof(struct gctoken_token, generation) == 0, "layout");
_Static_assert(offsetof(struct gctoken_token, expires_in_ms) == 8, "layout");
_Static_assert(offsetof(struct gctoken_token, length) == 16, "layout");
_Static_assert(offsetof(struct gctoken_token, state) == 20, "layout");
_Static_assert(offsetof(struct gctoken_token, fingerprint) == 24, "layout");
_Static_assert(offsetof(struct gctoken_token, token) == 48, "layout");
_Static_assert(offsetof(struct gctoken_token, reserved) == 8248, "layout");

struct gctoken {
	struct http_client http;
	struct page_holder page;
	char profile[GCTOKEN_PROFILE_NAME_MAX + 1];
};

static bool profile_name_is_valid(const char *name)
{
	static const char first[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	static const char rest[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";
	size_t n = strlen(name);

	return n >= 1 && n <= GCTOKEN_PROFILE_NAME_MAX && strchr(first, name[0]) &&
	       strspn(name, rest) == n;
}

/* The argument, else the environment's, else the default. */
static const char *setting(const char *argument, const char *variable, const char *otherwise)
{
	const char *value;

	if (argument)
		return argument;
	value = secure_getenv(variable);
	return value && *value ? value : otherwise;
}

int gctoken_open(struct gctoken **ret, const char *socket, const char *profile)
{
	struct gctoken *g;
	int error;

	socket = setting(socket, "GCTOKEN_SOCKET", GCTOKEN_DEFAULT_SOCKET);
	profile = setting(profile, "GCTOKEN_PROFILE", GCTOKEN_DEFAULT_PROFILE);
	if (!profile_name_is_valid(profile))
		return -EINVAL;
	g = malloc(sizeof(*g));
	if (!g)
		return -ENOMEM;
	error = gctoken_http_init(&g->http, socket);
	if (error) {
		free(g);
		return error;
	}
	gctoken_page_init(&g->page, socket, profile);
	strcpy(g->profile, profile);
	*ret = g;
	return 0;
}

void gctoken_close(struct gctoken *g)
{
	if (!g)
		return;
	gctoken_page_fini(&g->page);
	gctoken_http_fini(&g->http);
	free(g);
}

void gctoken_token_wipe(struct gctoken_token *t)
{
	if (t)
		explicit_bzero(t, sizeof(*t));
}

static bool span_is(const struct response_span *s, const char *text)
{
	return s->at && s->length == strlen(text) && !memcmp(s->at, text, s->length);
}

/* Fills the bytes up to `reserved`; false for a reply that no broker would give. */
static bool read_token(const struct http_result *result, struct gctoken_token *t)
{
	const struct response *r = &result->response;
	uint64_t generation, expires_in_ms;
	int64_t elapsed_ms;
	size_t i, n = r->body.length;

	if (!gctoken_response_number(&r->generation, &generation) || !generation ||
		!gctoken_response_number(&r->expires_in_ms, &expires_in_ms) || !r->fingerprint.at ||
		r->fingerprint.length != 16)
		return false;
	if (n < 2 || n > GCTOKEN_TOKEN_MAX + 1 || r->body.at[--n] != '\n')
		return false;
	for (i = 0; i < n; i++)
		if (r->body.at[i] < 0x21 || r->body.at[i] > 0x7e)
			return false;
	for (i = 0; i < 16; i++)
		if (!strchr("0123456789abcdef", r->fingerprint.at[i]) || !r->fingerprint.at[i])
			return false;

	/* The broker counted at some moment after the request left; the earliest is the safe one.
	 * One more for the clock's rounding. */
	elapsed_ms = gctoken_boot_ms() - result->sent_boot_ms + 1;
	memset(t, 0, sizeof(*t));
	t->generation = generation;
	t->expires_in_ms =
		(int64_t)expires_in_ms > elapsed_ms ? (int64_t)expires_in_ms - elapsed_ms : 0;
	t->length = (uint32_t)n;
	t->state = span_is(&r->state, "fresh")   ? GCTOKEN_STATE_FRESH
		   : span_is(&r->state, "stale") ? GCTOKEN_STATE_STALE
						 : GCTOKEN_STATE_UNKNOWN;
	memcpy(t->fingerprint, r->fingerprint.at, 16);
	memcpy(t->token, r->body.at, n);
	return true;
}

static int error_of_status(const struct response *r)
{
	char code[64] = "";

	switch (r->status) {
	case 304:
		return GCTOKEN_NO_CHANGE;
	case 400:
		return GCTOKEN_REFUSED;
	case 403:
		return GCTOKEN_DENIED;
	case 404:
		return GCTOKEN_UNKNOWN_PROFILE;
	case 408:
	case 504:
		return GCTOKEN_TIMEOUT;
	case 429:
		return GCTOKEN_TOO_MANY;
	case 503:
		gctoken_response_error(r, code);
		if (!strcmp(code, "login_required"))
			return GCTOKEN_LOGIN_REQUIRED;
		if (!strcmp(code, "client_rejected"))
			return GCTOKEN_CLIENT_REJECTED;
		if (!strcmp(code, "revoked"))
			return GCTOKEN_REVOKED;
		return GCTOKEN_UNAVAILABLE;
	default:
		return GCTOKEN_BAD_ANSWER;
	}
}

static int error_of_call(int error)
{
	switch (error) {
	case -ENOENT:
	case -ECONNREFUSED:
	case -ECONNRESET:
		return GCTOKEN_UNREACHABLE;
	case -EACCES:
	case -EPERM:
		return GCTOKEN_DENIED;
	case -ETIMEDOUT:
		return GCTOKEN_TIMEOUT;
	case -EBADMSG:
	case -EMSGSIZE:
		return GCTOKEN_BAD_ANSWER;
	default:
		return error;
	}
}

/* What a call needs in memory, from the heap: threads may have small stacks. */
struct call_memory {
	char reply[REPLY_MAX];
	struct gctoken_token token, again;
};

static void call_memory_free(struct call_memory *m)
{
	explicit_bzero(m, sizeof(*m));
	free(m);
}

/* 0: *t is filled. */
static int call_attempt(struct gctoken *g, const struct http_call *call, struct call_memory *m,
	struct gctoken_token *t)
{
	struct http_result result;
	int error;

	error = gctoken_http_call(&g->http, call, m->reply, sizeof(m->reply), &result);
	if (error)
		error = error_of_call(error);
	else if (result.response.status != 200)
		error = error_of_status(&result.response);
	else if (!read_token(&result, t))
		error = GCTOKEN_BAD_ANSWER;
	return error;
}

/* A reply that was held for long says how long the token is good, but not from when: counted from
 * the request, a wait of minutes would use up a short token's whole life. Asking again without
 * waiting costs a local round trip, and is exact to within that. */
static void measure_again(struct gctoken *g, int64_t deadline_ms, struct call_memory *m)
{
	char target[128];
	struct http_call call = {
		.method = "GET",
		.target = target,
		.accept = "text/plain",
		.deadline_ms = deadline_ms,
		.patience_ms = 0,
		.wait_until_ms = 0,
		.repeatable = true,
	};

	snprintf(target, sizeof(target), "/v1/token?profile=%s", g->profile);
	if (!call_attempt(g, &call, m, &m->again) && m->again.generation >= m->token.generation)
		m->token = m->again;
}

/* `start_ms`: of the call that the caller made, by gctoken_monotonic_ms. */
static int call_for_token(struct gctoken *g, const char *method, const char *target,
	int64_t start_ms, int wait_ms, struct gctoken_token *ret)
{
	struct http_call call = {
		.method = method,
		.target = target,
		.accept = "text/plain",
		.deadline_ms = start_ms + wait_ms + GRACE_MS,
		.patience_ms = start_ms + wait_ms + GRACE_MS,
		.wait_until_ms = start_ms + wait_ms,
		.repeatable = true,
	};
	struct call_memory *m = malloc(sizeof(*m));
	int error, cancel;

	if (!m)
		return -ENOMEM;
	/* A thread that ended in between would leave a token in memory, and a connection. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	error = call_attempt(g, &call, m, &m->token);
	if (!error && gctoken_monotonic_ms() - start_ms > HELD_MS)
		measure_again(g, call.deadline_ms, m);
	if (!error)
		*ret = m->token;
	call_memory_free(m); /* also of a failed call, which may have part of a token */
	pthread_setcancelstate(cancel, &cancel);
	return error;
}

static bool wait_is_valid(int wait_ms)
{
	return wait_ms >= 0 && wait_ms <= WAIT_MAX_MS;
}

/* Apart: its stack would cost those who read the page. */
static __attribute__((noinline)) int get_from_socket(struct gctoken *g, struct gctoken_token *ret,
	int min_ttl_s, int wait_ms, const struct page_read *how)
{
	char target[128];
	int error;

	if (min_ttl_s)
		snprintf(target, sizeof(target), "/v1/token?profile=%s&min_ttl=%d", g->profile,
			min_ttl_s);
	else
		snprintf(target, sizeof(target), "/v1/token?profile=%s", g->profile);
	error = call_for_token(g, "GET", target,
		how->started_ms ? how->started_ms : gctoken_monotonic_ms(), wait_ms, ret);
	if (error && how->touched)
		gctoken_token_wipe(ret);
	return error == GCTOKEN_NO_CHANGE ? GCTOKEN_BAD_ANSWER : error;
}

int gctoken_get(struct gctoken *g, struct gctoken_token *ret, int min_ttl_s, int wait_ms)
{
	struct page_read how;

	if (min_ttl_s < 0 || !wait_is_valid(wait_ms))
		return -EINVAL;
	if (gctoken_page_get(&g->page, ret, min_ttl_s, &how))
		return 0;
	return get_from_socket(g, ret, min_ttl_s, wait_ms, &how);
}

int gctoken_reject(
	struct gctoken *g, const struct gctoken_token *bad, struct gctoken_token *ret, int wait_ms)
{
	char target[128];
	int error;

	if (!bad->generation || !wait_is_valid(wait_ms))
		return -EINVAL;
	snprintf(target, sizeof(target), "/v1/token/reject?profile=%s&generation=%" PRIu64,
		g->profile, bad->generation);
	error = call_for_token(g, "POST", target, gctoken_monotonic_ms(), wait_ms, ret);
	return error == GCTOKEN_NO_CHANGE ? GCTOKEN_BAD_ANSWER : error;
}

int gctoken_wait_change(
	struct gctoken *g, uint64_t generation, struct gctoken_token *ret, int wait_ms)
{
	char target[128];

	if (!wait_is_valid(wait_ms))
		return -EINVAL;
	snprintf(target, sizeof(target), "/v1/token?profile=%s&after=%" PRIu64, g->profile,
		generation);
	return call_for_token(g, "GET", target, gctoken_monotonic_ms(), wait_ms, ret);
}

const char *gctoken_strerror(int error)
{
	switch (error) {
	case 0:
		return "success";
	case GCTOKEN_UNREACHABLE:
		return "the broker cannot be reached: is gctokend running?";
	case GCTOKEN_DENIED:
		return "access denied: this user may not have this profile's token";
	case GCTOKEN_TIMEOUT:
		return "no token came within the wait";
	case GCTOKEN_UNAVAILABLE:
		return "no token is available now, try again later";
	case GCTOKEN_TOO_MANY:
		return "too many requests, try again later";
	case GCTOKEN_LOGIN_REQUIRED:
		return "a person has to log this profile in";
	case GCTOKEN_CLIENT_REJECTED:
		return "Genesys Cloud refuses the client's credentials";
	case GCTOKEN_REVOKED:
		return "the token has been revoked by an administrator";
	case GCTOKEN_UNKNOWN_PROFILE:
		return "the broker has no such profile";
	case GCTOKEN_REFUSED:
		return "the broker does not accept a parameter of this call";
	case GCTOKEN_BAD_ANSWER:
		return "the broker's reply was not understood";
	case GCTOKEN_NO_CHANGE:
		return "the token has not changed within the wait";
	default:
		return error < 0 ? strerror(-error) : "unknown error";
	}
}
