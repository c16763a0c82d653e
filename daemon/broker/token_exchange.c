#include "token_exchange.h"

#include "broker.h"
#include "endpoint.h"
#include "login.h"
#include "login_code.h"
#include "profile_type.h"
#include "revoke.h"

#include "host/clock.h"
#include "host/log.h"
#include "upstream/fetch.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

/* A disk may hang; the token must come nevertheless. */
#define RECORD_PATIENCE_S 2

static void release(struct token_exchange *x)
{
	state_wait_cancel(&x->recording);
	evtimer_del(&x->patience);
	fetch_cancel(x->fetch);
	token_request_fini(&x->sent);
	token_response_fini(&x->response);
	free(x);
}

/* ---- what came ---- */

/* Somebody logged out while it was under way, and the profile went away as well: the one that uses
 * the login now says where to revoke. */
static void revoke_orphan(struct token_exchange *x)
{
	struct broker *b = x->client->broker;
	struct profile *p = profile_set_find_client(&b->profiles, x->client);

	if (p)
		revoke_token(p, &x->response.token, NULL);
	else
		log_line(LOG_WARNING,
			"token %s came after a logout and is given to nobody, but cannot be "
			"revoked at Genesys: its profile is gone",
			x->response.token.fingerprint);
}

/* What came goes to the profile, and to whoever brought a code. */
static void serve(struct token_exchange *x)
{
	struct broker *b = x->client->broker;
	struct login *login = x->client->login;
	bool unwanted;

	x->state = EXCHANGE_IDLE;
	login_served(login);
	unwanted = x->profile && x->ended(x) == FETCHED_UNWANTED;
	if (!x->profile && x->forgotten && x->response.token.text)
		revoke_orphan(x);
	if (x->with_code)
		login_code_ended(login, &x->response, unwanted);
	token_response_fini(&x->response);
	if (!x->profile)
		release(x);
	turn_now(&b->turn);
}

static void fetch_ended(void *context, const struct exchange *http)
{
	const char *secrets[TOKEN_REQUEST_SECRETS];
	struct exchange judged = *http;
	struct token_exchange *x = context;
	struct clock_reading now;

	clock_read(&now);
	x->fetch = NULL;
	/* those that were sent: a reload may have brought others meanwhile */
	token_request_secrets(&x->sent, secrets);
	judged.secrets = secrets;
	token_response_read(&judged, &x->response);
	token_request_fini(&x->sent);
	x->has_sample = x->profile && server_clock_post_ended(
					      &x->profile->endpoint->clock, &now, http, &x->sample);
	/* the rest is gone when this returns */
	x->http = (struct exchange){.sent = http->sent,
		.received = http->received,
		.status = http->status,
		.unsent = http->unsent,
		.silence = http->silence};
	x->state = EXCHANGE_STORING;
	if (login_keep(x->client->login, x))
		serve(x);
}

/* ---- sending ---- */

static int make_request(struct token_exchange *x)
{
	const struct profile *p = x->profile;
	const struct token_request_client who = {
		.id = p->credential.client_id,
		.secret = p->credential.client_secret,
		.extra_params = p->settings->extra_params,
	};

	switch (x->client->grant) {
	case GRANT_CLIENT_CREDENTIALS:
		return token_request_client_credentials(&x->sent, &who, p->settings->scope);
	case GRANT_AUTHORIZATION_CODE:
		return login_request(x->client->login, x, &who);
	}
	return -EINVAL;
}

/* 0, or an error of fetch_start or login_request. */
static int try_to_send(struct token_exchange *x)
{
	const struct profile_settings *s = x->profile->settings;
	struct fetch_request request = {
		.method = FETCH_POST,
		.url = s->token_url,
		.settings = profile_fetch_settings(x->profile),
	};
	int r = make_request(x);

	if (r)
		return r;
	request.authorization = x->sent.authorization;
	request.body = x->sent.body;
	request.body_length = x->sent.body_length;
	r = fetch_start(x->client->broker->fetcher, &request, fetch_ended, x, &x->fetch);
	if (r)
		token_request_fini(&x->sent);
	return r;
}

/* A request that could not be sent ends like one that got no response. */
static void end_unsent(struct token_exchange *x, int error)
{
	const struct exchange none = {
		.unsent = true,
		.failure = error == -EINVAL   ? "the token URL cannot be used"
			   : error == -ENOENT ? "the login was ended meanwhile"
					      : "out of memory",
	};

	fetch_ended(x, &none);
}

static void send_or_wait(struct token_exchange *x)
{
	int r = try_to_send(x);

	if (r == -EAGAIN) {
		x->state = EXCHANGE_NO_ROOM;
		return;
	}
	x->state = EXCHANGE_SENT;
	login_sent(x->client->login, x);
	if (r)
		end_unsent(x, r);
}

bool token_exchange_send_waiting(struct token_exchange *x)
{
	if (x->state == EXCHANGE_NO_ROOM)
		send_or_wait(x);
	return x->state != EXCHANGE_NO_ROOM;
}

/* This is outside of a turn, and only a turn arms the timer for a request that found no room. */
static void recorded(void *context)
{
	struct token_exchange *x = context;

	evtimer_del(&x->patience);
	send_or_wait(x);
	if (x->state == EXCHANGE_NO_ROOM)
		turn_soon(&x->client->broker->turn);
}

static void patience_ended(int fd, short events, void *context)
{
	struct token_exchange *x = context;

	(void)fd;
	(void)events;
	log_line(LOG_WARNING,
		"profile %s: writing %s/%s takes longer than %d s; the token request is sent "
		"without waiting",
		x->profile->settings->name, x->client->broker->state_dir, x->client->file,
		RECORD_PATIENCE_S);
	state_wait_cancel(&x->recording);
	recorded(x);
}

void token_exchange_begin(struct token_exchange *x, bool with_code)
{
	const struct timeval patience = {.tv_sec = RECORD_PATIENCE_S};

	x->with_code = with_code;
	x->forgotten = false;
	x->state = EXCHANGE_RECORDING;
	if (!oauth_client_save(x->client, x->profile, &x->recording) &&
		!evtimer_add(&x->patience, &patience))
		return;
	state_wait_cancel(&x->recording);
	send_or_wait(x);
}

void token_exchange_give_up(struct token_exchange *x)
{
	if (x->state == EXCHANGE_SENT)
		fetch_end(x->fetch,
			"no response, and by now the login server answers other requests");
}

/* ---- beginning and end ---- */

int token_exchange_new(struct token_exchange **ret, struct profile *p,
	enum fetched (*ended)(struct token_exchange *x))
{
	struct token_exchange *x = calloc(1, sizeof(*x));

	if (!x)
		return -ENOMEM;
	x->client = p->client;
	x->profile = p;
	x->recording.ended = recorded;
	x->recording.context = x;
	evtimer_assign(&x->patience, p->broker->base, patience_ended, x);
	x->ended = ended;
	x->kept = serve;
	*ret = x;
	return 0;
}

static bool of_login(const struct token_exchange *x)
{
	return x->client->login && (x->state == EXCHANGE_SENT || x->state == EXCHANGE_STORING);
}

void token_exchange_let_go(struct token_exchange *x)
{
	if (of_login(x))
		x->profile = NULL;
	else
		release(x);
}

void token_exchanges_finish(struct broker *b)
{
	struct oauth_client *c;

	logins_wait(b);
	TAILQ_FOREACH(c, &b->oauth_clients, link)
	if (c->login && c->login->exchange) {
		struct token_exchange *x = c->login->exchange;

		login_served(c->login);
		x->state = EXCHANGE_IDLE;
		if (!x->profile)
			release(x);
	}
}
