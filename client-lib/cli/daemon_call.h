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

struct daemon_request {
	const char *method;
	const char *target; /* with a query; &wait= is appended */
	const char *accept;
	int64_t wait_s; /* -1: not sent */
	int64_t timeout_s;
	int64_t patience_ms; /* how long an absent socket is tried again: a daemon that restarts */
	bool repeatable;
	const char *denied; /* what to do where that is refused; NULL: as for a token */
	bool quiet;         /* the caller has its own words for what goes wrong */
};

/* For `denied` of what administrators do. */
extern const char daemon_denied_no_admin[];

struct daemon_answer {
	int status;
	const char *body;
	size_t length;
	char *storage;
	size_t used;
};

#define DAEMON_ANSWER_NONE ((struct daemon_answer){0})

/* 0: an answer of whatever status, *ret is to be ended with daemon_answer_fini. Negative errno:
 * none, as gctoken_http_call has it; -ENOMEM. Says nothing. */
int daemon_ask(
	const struct settings *s, const struct daemon_request *request, struct daemon_answer *ret);
/* Say on stderr what was wrong, where, and what to do; the exit code by the contract. The first for
 * a negative errno of daemon_ask, the second for an answer that is not 200. */
int daemon_explain_silence(
	const struct settings *s, const struct daemon_request *request, int error);
int daemon_explain_refusal(const struct settings *s, const struct daemon_request *request,
	const struct daemon_answer *answer);

/* What the answer's "error" is, e.g. "revoked"; else its status. */
void daemon_error_code(const struct daemon_answer *answer, char *ret, size_t size);

/* Both in one. EXIT_OK: status 200, *ret is to be ended with daemon_answer_fini. Otherwise the
 * exit code, after the explanation (unless quiet); where s->json, an error's JSON has been printed
 * to stdout as well. */
int daemon_call(
	const struct settings *s, const struct daemon_request *request, struct daemon_answer *ret);
/* Wipes and frees; safe on DAEMON_ANSWER_NONE. */
void daemon_answer_fini(struct daemon_answer *a);

/* 200, but not what was asked for: complains, EXIT_FAILED. */
int daemon_answer_odd(const struct settings *s);

/* EXIT_OK, or EXIT_CONFIG with the complaint made: no profile can have that name. Also makes it
 * safe to put into a target as it is. */
int check_profile_name(const struct settings *s);

#endif
