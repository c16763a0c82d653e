/* The login of a person, as the daemon keeps it alive: a refresh token, and what it is exchanged
 * for. It belongs to the OAuth client, not to a profile: a reload may take the profile away while a
 * refresh is under way, and the refresh token that the response brings must not be lost with it,
 * since the one before it is void by then.
 *
 *   login.c        what a response means for the login
 *   login_code.c   a code that a person brought, and who waits for what becomes of it
 *   login_file.c   the sealed file
 *   calls_login.c  what people ask: /v1/login, /v1/login/finish, /v1/logout
 *
 * The order that nothing may break: a refresh token that came is sealed and durable before the
 * access token that came with it is served, and once it came the one before it is never sent. */
#ifndef GCTOKEND_BROKER_LOGIN_H
#define GCTOKEND_BROKER_LOGIN_H

#include "login_code.h"
#include "login_file.h"

#include "core/text.h"
#include "core/token.h"
#include "core/token_source.h"

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>

struct broker;
struct login_eraser;
struct oauth_client;
struct token_exchange;
struct token_request_client;

struct login {
	struct oauth_client *client;
	struct token refresh; /* the newest there is; TOKEN_NONE: none */
	bool refused;         /* the server did not take it */

	/* its token request that is sent and not yet served; NULL: none. There is one at a time. */
	struct token_exchange *exchange;
	uint64_t storing;      /* the write that the request waits for; 0: none */
	uint64_t reading;      /* the read that it waits for; 0: none */
	struct event patience; /* with either */

	/* of a person who came back from the login server */
	struct login_code code;
	struct profile *code_for;        /* whose token request is to send it; NULL: nobody's */
	struct login_finisher *finisher; /* who waits for what becomes of it; NULL: nobody */

	struct login_file file;
	int64_t logged_in_s;             /* wall clock; 0: not known */
	char user[PROFILE_NAME_MAX + 1]; /* the latest profile that it served */
};

int login_new(struct login **ret, struct oauth_client *c);
/* Nothing of it is under way. NULL is nothing to free. */
void login_free(struct login *l);
/* NULL is a client that nobody has to log in to. */
enum source_login login_state(const struct login *l);
/* The refresh token is dropped, and so is one that is on its way. `e` waits until it is gone from
 * the disk as well, if it is there. */
void login_end(struct login *l, struct login_eraser *e);
/* The directory of the file is another one now. What was stored, or is being stored, cannot be
 * counted on: all of it is stored anew, and what waits for that waits on. */
void login_lost(struct login *l);

/* ---- its token requests, one at a time; of a client that nobody logs in to, `l` is NULL ---- */

/* Fills x->sent, from the code or from the refresh token; never NULL. 0; -EAGAIN: another request
 * has to be served first; -ENOENT: the login was ended; -ENOMEM. */
int login_request(
	struct login *l, struct token_exchange *x, const struct token_request_client *who);
/* `x` is sent. */
void login_sent(struct login *l, struct token_exchange *x);
/* The response to `x` came. True: it may be served now. False: x->kept is called when it may,
 * because what must not be lost is on the disk. */
bool login_keep(struct login *l, struct token_exchange *x);
/* What was sent is served, or given up: the next request may be sent. */
void login_served(struct login *l);
/* Turns the loop until none is under way any more, or for a minute. */
void logins_wait(struct broker *b);

#endif
