/* One token request, from the decision that it is due to what its response brought. Each profile
 * has one of these, so it has at most one request under way.
 *
 * Two things are on the disk before they count: that a request is made, before it leaves, so that
 * no crash loop makes more of them than it may; and of a login the new refresh token, before the
 * access token that came with it is served.
 *
 * From the moment it is sent, the request of a login belongs to the login (login.h): a reload may
 * take the profile away, and the refresh token that is on its way must not be lost with it. */
#ifndef GCTOKEND_BROKER_TOKEN_EXCHANGE_H
#define GCTOKEND_BROKER_TOKEN_EXCHANGE_H

#include "oauth_client.h"

#include "core/exchange.h"
#include "core/skew.h"
#include "core/token_fetch.h"
#include "core/token_request.h"
#include "core/token_response.h"

#include <event2/event_struct.h>
#include <stdbool.h>

struct broker;
struct fetch;
struct profile;

enum token_exchange_state {
	EXCHANGE_IDLE,
	EXCHANGE_RECORDING, /* the client's state is being written */
	EXCHANGE_NO_ROOM,   /* too many requests are under way, or another of the same login */
	EXCHANGE_SENT,
	EXCHANGE_STORING, /* a response came; the login is being written, or read again */
};

struct token_exchange {
	enum token_exchange_state state;
	struct oauth_client *client;
	struct profile *profile; /* NULL: a reload took it away, and the login alone is left */
	bool with_code;          /* it exchanges the code that a person brought */
	bool forgotten;          /* a person logged out since it was sent: nothing is kept */
	struct state_wait recording;
	struct event patience; /* with the disk, while it records */
	struct fetch *fetch;
	struct token_request sent;
	/* what came; of `http` the status and the times alone */
	struct exchange http;
	bool has_sample; /* the Date proves something */
	struct skew_sample sample;
	struct token_response response;
	/* Hook of the profile: it ended. Takes the token and says what became of it. */
	enum fetched (*ended)(struct token_exchange *x);
	/* For the login to call: what it had to keep is kept. */
	void (*kept)(struct token_exchange *x);
};

/* For a profile that has its client. 0; -ENOMEM. */
int token_exchange_new(struct token_exchange **ret, struct profile *p,
	enum fetched (*ended)(struct token_exchange *x));
/* The profile goes away. A request that must not be lost goes on without it and frees itself. */
void token_exchange_let_go(struct token_exchange *x);
/* It is idle, and a request is due. `ended` follows, possibly before this returns, and then a turn.
 */
void token_exchange_begin(struct token_exchange *x, bool with_code);
/* The request under way has waited long enough for a response; one that has not left, or was
 * answered, goes on. `ended` may follow before this returns, and then a turn. */
void token_exchange_give_up(struct token_exchange *x);
/* Sends the request if it waits for room. False: there is still none. Called in each turn. */
bool token_exchange_send_waiting(struct token_exchange *x);
/* The broker stops: waits as logins_wait does, then gives up what is still under way for logins. */
void token_exchanges_finish(struct broker *b);

#endif
