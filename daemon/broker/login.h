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
#include "waiter_list.h"

#include "core/sealed_state.h"
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

	/* the only token request of it that is sent and not yet served; NULL: none is */
	struct token_exchange *exchange;
	uint64_t storing;      /* the write that it waits for; 0: for none */
	struct event patience; /* with that write */

	/* being finished */
	struct login_code code;
	struct profile *code_for; /* whose token request is to send it; NULL: none is (any more) */
	struct login_finisher *finisher; /* NULL: nobody waits for it (any more) */

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
	/* hooks of the file */
	void (*written)(struct login *l); /* a write has ended */
	/* it was read anew; takes the token that it had, TOKEN_NONE if none */
	void (*read)(struct login *l, struct token *found);
};

int login_new(struct login **ret, struct oauth_client *c);
/* Nothing of it is under way. NULL is nothing to free. */
void login_free(struct login *l);
/* NULL is a client that nobody has to log in to. */
enum source_login login_state(const struct login *l);
/* The refresh token is void from here on, also one that is on its way. `e` waits until it is erased
 * from the disk as well. */
void login_end(struct login *l, struct login_eraser *e);

/* ---- its token requests, one at a time ---- */

/* Makes x->sent, of the code or of the refresh token. 0; -EAGAIN: another has to be served first;
 * -ENOENT: what it was to be made of was ended; -ENOMEM. */
int login_request(
	struct login *l, struct token_exchange *x, const struct token_request_client *who);
/* It is sent. */
void login_sent(struct login *l, struct token_exchange *x);
/* Its response came, and is in `x`. True: it may be served. False: not before x->kept is called,
 * when that is kept which must not be lost. */
bool login_keep(struct login *l, struct token_exchange *x);
/* It is served, or given up: the next one may be sent. */
void login_served(struct login *l);
/* Turns the loop until none is under way any more, or for a minute. */
void logins_wait(struct broker *b);

#endif
