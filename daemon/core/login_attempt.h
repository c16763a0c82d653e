/* Logins of people that were begun and have not come back yet, and the URL that a browser begins
 * one at: OAuth's authorization code with PKCE (RFC 6749 section 4.1, RFC 7636).
 *
 * State and verifier never leave this table but for the URL (the state, and the verifier's hash)
 * and the one token request. Each belongs to the user who asked, is good once, and for ten minutes.
 */
#ifndef GCTOKEND_CORE_LOGIN_ATTEMPT_H
#define GCTOKEND_CORE_LOGIN_ATTEMPT_H

#include "buffer.h"
#include "times.h"
#include <stdbool.h>
#include <sys/types.h>

#define LOGIN_LASTS_S 600
#define LOGINS_PENDING 16 /* of one profile */
#define LOGINS_OF_USER 4  /* of those, one user's; a fifth takes the oldest's place */
#define CODES_REFUSED 5   /* one user's, in the time below: then no more are sent */
#define CODES_REFUSED_S 300
#define LOGIN_RANDOM 64 /* bytes that one takes: half for the state, half for the verifier */
#define LOGIN_TEXT 43   /* of base64url for 32 bytes */

struct login_attempt {
	char state[LOGIN_TEXT + 1]; /* "": the place is free */
	char verifier[LOGIN_TEXT + 1];
	uid_t uid;
	struct boot_time ends;
};

/* Codes of a user that the server has refused since `ends` less CODES_REFUSED_S. */
struct codes_refused {
	uid_t uid;
	unsigned count;
	struct boot_time ends;
};

/* Zero is empty. */
struct login_attempts {
	struct login_attempt pending[LOGINS_PENDING];
	struct codes_refused refused[8];
};

enum login_verdict {
	LOGIN_GOOD,
	LOGIN_UNKNOWN, /* no such state, or another user's, or it was used */
	LOGIN_LATE,    /* it has ended */
};

/* `random`: fresh from a generator fit for secrets. Where there is no place, the oldest of the user
 * who has most gives way, to whoever has fewer even with this one, and to the `privileged` always.
 * 0 and *ret, good until the next call; -EAGAIN: the logins of others fill the table, and *ret_wait
 * is how long until the first of them ends. */
int login_attempt_begin(struct login_attempts *t, struct boot_time now, uid_t uid, bool privileged,
	const unsigned char random[LOGIN_RANDOM], const struct login_attempt **ret,
	struct duration *ret_wait);
/* The one with that state is used up, whatever comes of it; of LOGIN_GOOD ret_verifier is set. */
enum login_verdict login_attempt_take(struct login_attempts *t, struct boot_time now, uid_t uid,
	const char *state, char ret_verifier[LOGIN_TEXT + 1]);
/* Wipes them all. What was refused stays. */
void login_attempts_forget(struct login_attempts *t);
/* Wipes those of `uid`, or where `all` everybody's. Returns how many of them had not ended. */
unsigned login_attempts_end(struct login_attempts *t, struct boot_time now, uid_t uid, bool all);

/* The server has refused a code that `uid` brought. Whoever brings one after another would have the
 * server refuse everybody's requests in the end. */
void login_code_refused(struct login_attempts *t, struct boot_time now, uid_t uid);
/* How long `uid` has to wait before another one is sent; not more than zero: not at all. */
struct duration login_code_wait(const struct login_attempts *t, struct boot_time now, uid_t uid);

/* Where the browser has to go. `scope` may be NULL. A query that `authorize_url` has stays. */
void login_attempt_put_url(struct buffer *out, const char *authorize_url, const char *client_id,
	const char *redirect_uri, const char *scope, const struct login_attempt *login);
/* What of the query of an authorize_url the daemon sets itself; NULL: nothing. */
const char *login_url_clash(const char *authorize_url);
/* RFC 9207: is `iss` of the server that `authorize_url` names? The configuration knows no issuer,
 * so it is the origin that counts. */
bool login_issuer_fits(const char *authorize_url, const char *iss);

#endif
