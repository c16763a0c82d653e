/* The login of a person, as the daemon keeps it alive. It belongs to the client, not to a profile:
 * a reload may take the profile away while a refresh is under way, and the refresh token that the
 * answer brings must not be lost with it, since the one before it is void by then.
 *
 *   login.c       exchanges: a code or a refresh token for tokens
 *   login_code.c  a code that a person brought, and the answer to them
 *   login_file.c  the sealed file
 *   calls_login.c what people ask: /v1/login, /v1/login/finish, /v1/logout
 *
 * The order that nothing may break: a refresh token that came is sealed and durable before the
 * access token that came with it is served, and once it came the one before it is never sent. */
#ifndef GCTOKEND_BROKER_LOGIN_H
#define GCTOKEND_BROKER_LOGIN_H

#include "login_code.h"

#include "core/exchange.h"
#include "core/sealed_state.h"
#include "core/skew.h"
#include "core/text.h"
#include "core/token.h"
#include "core/token_request.h"
#include "core/token_response.h"
#include "core/token_source.h"

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>

struct broker;
struct fetch;
struct oauth_client;
struct profile;
struct login_eraser;

struct login {
	struct oauth_client *client;
	struct token refresh; /* the newest there is; TOKEN_NONE: none */
	bool refused;         /* the server did not take it */

	/* the exchange under way */
	struct profile *profile; /* whose token request it is; NULL: a reload took it away */
	struct fetch *fetch;
	struct token_request sent;
	bool with_code;
	bool ended; /* a person logged out meanwhile: what comes is not kept */

	/* being finished */
	struct login_code code;
	struct profile *code_for; /* whose token request is to send it; NULL: none is (any more) */
	struct login_finisher *finisher; /* NULL: nobody waits for it (any more) */

	/* an answer that waits for the disk */
	bool held;
	struct exchange x; /* its times alone */
	bool has_sample;
	struct skew_sample sample;
	struct token_response answer;
	uint64_t held_for; /* this write; 0: for the file to be read */
	struct event patience;

	/* the file */
	char file[40];
	struct sealed_client binding;
	int64_t logged_in_s;                 /* wall clock; 0: not known */
	char user[PROFILE_NAME_MAX + 1];     /* the latest profile that it served */
	uint64_t writes_begun, writes_ended; /* they end in order */
	bool stored;                         /* what there is is on the disk */
	bool failing;                        /* the latest write did not work */
	bool keep_aside;                     /* what stands in the file could not be read: not to be
						overwritten */
	char problem[200];                   /* with the file; "": none */
	struct event again;                  /* a write that failed is tried again */
	struct waiter_list erasers;          /* who wait for the file to be removed: login_eraser */
};

int login_new(struct login **ret, struct oauth_client *c);
void login_free(struct login *l);
enum source_login login_state(const struct login *l);
/* Sends what `p`, whose client has a login, asks for. 0; -EAGAIN: no room, or another exchange of
 * this login is under way; another error: nothing was sent. */
int login_send(struct profile *p);
void login_not_sent(struct profile *p, const struct exchange *x);
/* The profile goes away; what is under way goes on. */
void login_lose_profile(struct profile *p);
/* Is something under way that would be lost with the process? */
bool login_busy(const struct login *l);
/* The refresh token is void from here on, also one that is on its way. `e` waits until it is erased
 * from the disk as well. */
void login_end(struct login *l, struct login_eraser *e);
/* The profile that uses the login now; NULL: none. */
struct profile *login_user(const struct login *l);

/* Sees to it that what is under way at login servers and would be lost with the process comes to
 * its end. */
void broker_finish_logins(struct broker *b);

/* ---- for login_file.c ---- */

/* A write has ended. */
void login_stored(struct login *l);
/* The file was read anew; takes the token that it had, TOKEN_NONE if none. */
void login_read_again(struct login *l, struct token *found);

#endif
