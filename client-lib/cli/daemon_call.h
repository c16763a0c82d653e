/* One request of the command to the daemon, and the words for what can go wrong with it. */
#ifndef GCTOKEN_CLI_DAEMON_CALL_H
#define GCTOKEN_CLI_DAEMON_CALL_H

#include "cli.h"
#include <stddef.h>
#include <stdint.h>

/* The longest --wait: as far as the client goes; the daemon has its own max_wait. */
#define WAIT_MAX_S 86400
/* How long the daemon holds a request that names no wait. */
#define WAIT_DEFAULT_S 5
/* How long somebody who waits for a token puts up with an absent socket: a daemon that is
 * restarted, and nobody holds its socket meanwhile. */
#define PATIENCE_MAX_MS 5000
/* The longest `query`. */
#define DAEMON_QUERY_MAX 8000

struct daemon_request {
	const char *method;
	const char *path;
	bool of_profile;      /* ?profile=NAME follows, and then: */
	const char *query;    /* "&name=value..."; NULL: nothing */
	const char *accept;   /* NULL: application/json */
	int64_t wait_s;       /* &wait= is appended; -1: it is not */
	bool wait_by_default; /* wait_s is what the daemon waits by itself, and is named only when a
				 part of it has passed */
	int64_t timeout_s;
	int64_t patience_ms; /* how long an absent socket is tried again: a daemon that restarts */
	int64_t gone_max_ms; /* the same once it was there; 0: until the timeout */
	bool repeatable;
	const char *denied; /* what to do where that is refused; NULL: as for a token */
	bool quiet;         /* the caller has its own words for what goes wrong */
};

/* For `denied` of what administrators do. */
extern const char daemon_denied_no_admin[];

struct daemon_reply {
	int status;
	const char *body;
	size_t length;
	char *storage;
	size_t used;
};

#define DAEMON_REPLY_NONE ((struct daemon_reply){0})

/* 0: a reply of whatever status, *ret is to be ended with daemon_reply_fini. Negative errno: none,
 * as gctoken_http_call has it; -ENOMEM. Says nothing. */
int daemon_ask(
	const struct settings *s, const struct daemon_request *request, struct daemon_reply *ret);
/* Wipes and frees; safe on DAEMON_REPLY_NONE. */
void daemon_reply_fini(struct daemon_reply *r);

/* Say on stderr what was wrong, where, and what to do; the exit code by the contract. The first for
 * a negative errno of daemon_ask, the second for a reply that is not 200, the third for one that is
 * and is not what was asked for. */
int daemon_explain_silence(
	const struct settings *s, const struct daemon_request *request, int error);
int daemon_explain_refusal(const struct settings *s, const struct daemon_request *request,
	const struct daemon_reply *reply);
int daemon_reply_odd(const struct settings *s);

/* What the reply's "error" is, e.g. "revoked"; else its status. */
void daemon_error_code(const struct daemon_reply *reply, char *ret, size_t size);

/* Asks, and explains what goes wrong (unless quiet). EXIT_OK: status 200, *ret is to be ended with
 * daemon_reply_fini. Otherwise the exit code; where s->json, an error's JSON has been printed to
 * standard output as well. */
int daemon_call(
	const struct settings *s, const struct daemon_request *request, struct daemon_reply *ret);

/* An exit code. */
typedef int daemon_shown(
	const struct settings *s, const struct daemon_reply *reply, const void *context);

/* What most commands do: calls, and prints the reply as it is where s->json, else has `show` say it
 * to people; NULL: it says nothing. The exit code. */
int daemon_show(const struct settings *s, const struct daemon_request *request, daemon_shown *show,
	const void *context);

#endif
