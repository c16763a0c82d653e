/* libgctoken: tokens from the gctokend broker of this machine.
 *
 * The broker keeps each token fresh, and this library keeps none of its own. Ask for a token
 * whenever one is needed, use it at once, and do not store it:
 *
 *	struct gctoken *broker;
 *	struct gctoken_token token;
 *
 *	if (gctoken_open(&broker, NULL, NULL) == 0 &&
 *		gctoken_get(broker, &token, 0, 5000) == 0)
 *		... "Authorization: Bearer " token.token ...
 *
 * That costs next to nothing: the first token of a handle comes over the broker's socket; from the
 * second on gctoken_get reads it from memory that the broker shares, one read-only page per
 * profile, which says until when it may be used. Only where the page does not have the answer - no
 * token just now, one that lives too shortly for min_ttl_s, the broker gone, another clock than the
 * broker's - does the call go to the socket. The page is asked for at `page.sock` beside the
 * broker's socket; who loses the right to the token loses it with the next read. Where there is no
 * such socket, every call asks the broker. The other calls always do.
 *
 * When the API answers 401 to a token, hand it to gctoken_reject and repeat the API call once with
 * the token that comes back. 403 and 429 say nothing about a token.
 *
 * Results. 0 is success. A positive `enum gctoken_error` is a situation that a program meets in
 * normal operation and decides about. A negative errno is everything else: -EINVAL for arguments
 * that can never be right, -ENOMEM, -EMFILE, -ENOTSUP and what else connect(2) may say. Outputs are
 * untouched unless the call returns 0, with one exception: if a token was read from the page, and
 * then the broker turned out to be gone and its socket did not help, gctoken_get leaves *ret all
 * zero.
 *
 * Threads. One `struct gctoken` may be used by any number of threads at the same time; calls do not
 * wait for each other. gctoken_open and gctoken_close are called while nobody else uses the handle.
 * A child of fork(2) may go on using the handle: what it asks, it asks by connections of its own.
 * The broker sees the user that a connection was made by, and connections are kept: a program that
 * gives up privileges does so before its first call.
 * A program may close descriptors by number or put others in their place, as daemons do when they
 * start: a handle remembers what its descriptors were, and between calls leaves alone what is not
 * its own any more. No call uses, blocks or installs a signal, and none raises SIGPIPE or SIGBUS;
 * none may be made in a signal handler. A thread that is cancelled in a call ends its call first. A
 * handle keeps a connection with its page, and a few idle ones; all descriptors are close-on-exec.
 * A call uses less than 16 KiB of stack; what does not fit there comes from the heap, and is wiped.
 *
 * Time. `wait_ms` is how long a token may be waited for, 0 to 86400000; the broker counts in whole
 * seconds and the wait is rounded up to them. Whatever happens, a call returns within
 * wait_ms + 1000 ms. While the broker is being restarted, calls go on trying for that long, so
 * that a restart is not noticed but as a delay. */
#ifndef GCTOKEN_H
#define GCTOKEN_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GCTOKEN_TOKEN_MAX 8192

struct gctoken;

enum gctoken_error {
	GCTOKEN_UNREACHABLE = 1, /* no broker at the socket, up to the deadline */
	GCTOKEN_DENIED,          /* this user may not have this profile's token or this socket; also
				    an unknown profile, where the caller is no administrator */
	GCTOKEN_TIMEOUT,         /* the wait ended before a token came */
	GCTOKEN_UNAVAILABLE,     /* no token now, and none expected within the wait: try later */
	GCTOKEN_TOO_MANY,        /* too many requests, or a token of this profile was replaced just
				    now after another rejection: try later */
	GCTOKEN_LOGIN_REQUIRED,  /* a person has to log this profile in */
	GCTOKEN_CLIENT_REJECTED, /* Genesys Cloud refuses the client's credentials */
	GCTOKEN_REVOKED,         /* an administrator has revoked the token and not yet refreshed */
	GCTOKEN_UNKNOWN_PROFILE,
	GCTOKEN_REFUSED,    /* the broker does not accept a parameter: min_ttl_s over half of the
			       token's lifetime, a wait over its max_wait, an unknown generation */
	GCTOKEN_BAD_ANSWER, /* what answers at the socket is not the broker, or a faulty one */
	GCTOKEN_NO_CHANGE   /* gctoken_wait_change only: the generation is still the same */
};

enum gctoken_state {
	GCTOKEN_STATE_UNKNOWN, /* the broker did not say */
	GCTOKEN_STATE_FRESH,
	GCTOKEN_STATE_STALE /* valid still, but its replacement is overdue or failing */
};

/* Plain data: may be copied, needs no end but gctoken_token_wipe. The layout is fixed for this
 * soname. */
struct gctoken_token {
	uint64_t generation;   /* grows with every new token, never repeats */
	int64_t expires_in_ms; /* how long the broker stands behind it, counted from this call's
				  return, rounded to the safe side; never negative */
	uint32_t length;       /* bytes in `token`, without its NUL */
	uint32_t state;        /* enum gctoken_state */
	char fingerprint[24];  /* NUL-terminated; may be logged, unlike the token */
	char token[GCTOKEN_TOKEN_MAX + 8]; /* NUL-terminated; bytes 0x21 to 0x7E only */
	unsigned char reserved[64];        /* zero */
};

/* Makes a handle; connects to nothing yet. `socket`: path of the broker's socket; NULL: the
 * environment's GCTOKEN_SOCKET (not in programs with raised privileges), else
 * /run/gctokend/gctokend.sock. `profile`: NULL: GCTOKEN_PROFILE likewise, else "default". Both are
 * copied. An empty environment variable counts as unset.
 * 0 and *ret, which the caller ends with gctoken_close; -EINVAL: not a profile's name
 * ([a-z0-9][a-z0-9_-]{0,47}), or an empty path; -ENAMETOOLONG: a path longer than a Unix socket's
 * address takes; -ENOMEM. */
int gctoken_open(struct gctoken **ret, const char *socket, const char *profile);

/* The current token. `min_ttl_s`: it must live for that many seconds at least, else the broker
 * fetches a new one first (0 is right for nearly everybody: the broker refreshes well ahead);
 * up to half of the lifetime it was issued with, beyond that GCTOKEN_REFUSED.
 * 0 and *ret; any enum gctoken_error but GCTOKEN_NO_CHANGE; negative errno. */
int gctoken_get(struct gctoken *g, struct gctoken_token *ret, int min_ttl_s, int wait_ms);

/* "The API answered 401 to `bad`." If it is still the current token, the broker replaces it, once
 * for all who reject it; if not, the newer one comes back at once. Only `bad->generation` is looked
 * at. `ret` may be `bad`. Safe to repeat.
 * 0 and *ret; any enum gctoken_error but GCTOKEN_NO_CHANGE; negative errno. */
int gctoken_reject(
	struct gctoken *g, const struct gctoken_token *bad, struct gctoken_token *ret, int wait_ms);

/* Waits until the current token's generation is another than `generation` (0: any token will do).
 * 0 and *ret; GCTOKEN_NO_CHANGE when the wait ended without; any other enum gctoken_error; negative
 * errno. */
int gctoken_wait_change(
	struct gctoken *g, uint64_t generation, struct gctoken_token *ret, int wait_ms);

/* Overwrites it with zeros in a way the compiler does not drop. NULL is allowed. */
void gctoken_token_wipe(struct gctoken_token *t);

/* Closes the handle's connections and frees it. NULL is allowed. */
void gctoken_close(struct gctoken *g);

/* A sentence for a result of these calls: 0, an enum gctoken_error or a negative errno. The text
 * is constant, or the C library's. */
const char *gctoken_strerror(int error);

#ifdef __cplusplus
}
#endif

#endif
