#include "login.h"

#include "broker.h"
#include "endpoint.h"
#include "login_code.h"
#include "login_file.h"
#include "oauth_client.h"
#include "profile.h"
#include "profile_type.h"

#include "host/clock.h"
#include "host/log.h"
#include "upstream/fetch.h"

#include "core/token_fetch.h"
#include "core/token_login.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A disk that hangs must not keep a token that is there from everybody for ever. */
#define STORE_PATIENCE_S 10
/* Less than TimeoutStopSec= of the unit. */
#define FINISH_PATIENCE_S 60

static void deliver(struct login *l);

static void patience_ended(int fd, short events, void *context)
{
	struct login *l = context;

	(void)fd;
	(void)events;
	log_line(LOG_ERR,
		"%s/%s: storing a new refresh token takes longer than %d s; the token that came "
		"with it is served before. A crash now would lose the login",
		l->client->broker->state_dir, l->file, STORE_PATIENCE_S);
	deliver(l);
}

int login_new(struct login **ret, struct oauth_client *c)
{
	struct login *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	l->client = c;
	TAILQ_INIT(&l->erasers);
	evtimer_assign(&l->patience, c->broker->base, patience_ended, l);
	r = login_load(l);
	if (r) {
		login_free(l);
		return r;
	}
	*ret = l;
	return 0;
}

static void login_abandon(struct login *l)
{
	if (l->fetch)
		fetch_cancel(l->fetch);
	l->fetch = NULL;
}

void login_free(struct login *l)
{
	login_abandon(l);
	login_unload(l);
	evtimer_del(&l->patience);
	token_request_fini(&l->sent);
	token_response_fini(&l->answer);
	login_code_drop(&l->code);
	token_fini(&l->refresh);
	free(l);
}

enum source_login login_state(const struct login *l)
{
	if (!l->refresh.text)
		return SOURCE_LOGIN_NONE;
	return l->refused ? SOURCE_LOGIN_REFUSED : SOURCE_LOGIN_READY;
}

bool login_busy(const struct login *l)
{
	return l->fetch || l->held;
}

/* Whoever uses the login now. Config allows one profile for each. */
struct profile *login_user(const struct login *l)
{
	struct broker *b = l->client->broker;

	for (size_t i = 0; i < b->profiles.count; i++)
		if (b->profiles.items[i]->client == l->client)
			return b->profiles.items[i];
	return NULL;
}

static void tell_source(struct login *l)
{
	struct profile *p = login_user(l);

	if (p)
		token_source_set_login(&p->source, login_state(l));
}

/* The answer is the profile's now, and what it waited for is done. */
static void deliver(struct login *l)
{
	struct profile *p = l->profile;
	struct token_response answer = l->answer;
	bool with_code = l->with_code, stopped = false;

	evtimer_del(&l->patience);
	l->answer = TOKEN_RESPONSE_NONE; /* taken */
	l->profile = NULL;
	l->held = l->with_code = l->ended = false;
	tell_source(l);
	if (p)
		stopped = profile_fetched(p, &l->x, &answer, l->has_sample ? &l->sample : NULL) ==
			  FETCHED_UNWANTED;
	if (with_code)
		login_code_ended(l, &answer, stopped);
	token_response_fini(&answer);
	turn_now(&l->client->broker->turn);
}

void login_stored(struct login *l)
{
	if (l->held && l->held_for && l->writes_ended >= l->held_for)
		deliver(l);
}

/* Until the write `number` has ended. */
static void hold(struct login *l, uint64_t number)
{
	struct timeval patience = {.tv_sec = STORE_PATIENCE_S};

	if (!number || evtimer_add(&l->patience, &patience)) {
		deliver(l);
		return;
	}
	l->held = true;
	l->held_for = number;
}

/* The refresh token that came is the one from here on: nothing that comes later brings the one
 * before it back. */
static void take_tokens(struct login *l)
{
	struct token_response *a = &l->answer;
	bool changed = a->refresh_token.text && !token_equal(&a->refresh_token, &l->refresh);

	if (l->with_code) {
		changed |= l->refresh.text && !a->refresh_token.text;
		token_move(&l->refresh, &a->refresh_token);
		l->logged_in_s = l->x.received.wall.ns / NS_PER_S;
		if (l->profile)
			login_code_note(l, l->profile);
	} else if (changed) {
		token_move(&l->refresh, &a->refresh_token);
	} else if (a->bad_refresh_token) {
		log_line(LOG_WARNING,
			"%s: the login server's new refresh token cannot be used (longer than 8 "
			"KiB, or with characters that no token has); the one before it stays",
			l->file);
	}
	changed |= l->refused;
	l->refused = false;
	hold(l, changed ? login_store(l) : 0);
}

static void login_refused(struct login *l)
{
	l->refused = true;
	hold(l, login_store(l));
}

/* Somebody else may have refreshed the login and stored the result: another machine's daemon on the
 * same directory, or a person who brought back a copy. */
void login_read_again(struct login *l, struct token *found)
{
	/* What a person has ended meanwhile does not come back from the file that is being removed.
	 */
	if (l->ended) {
		deliver(l);
		return;
	}
	/* A file that could not be written has an older one, which is void by now. */
	if (!found->text || !l->stored || token_equal(found, &l->refresh)) {
		login_refused(l);
		return;
	}
	token_move(&l->refresh, found);
	l->answer.class = RESPONSE_UNAVAILABLE;
	snprintf(l->answer.words, sizeof(l->answer.words),
		"the refresh token was refused, but there is another in the state file: that one "
		"is tried next");
	deliver(l);
}

static void take_answer(struct login *l)
{
	bool refresh = !l->ended && !l->with_code;

	if (!l->ended && l->answer.class == RESPONSE_TOKEN) {
		take_tokens(l);
	} else if (refresh && l->answer.class == RESPONSE_LOGIN_REQUIRED && !l->refused) {
		l->held = true;
		l->held_for = 0;
		if (login_begin_reading(l))
			login_refused(l);
	} else {
		deliver(l);
	}
}

static void login_fetched(void *context, const struct exchange *x)
{
	const char *secrets[TOKEN_REQUEST_SECRETS];
	struct exchange judged = *x;
	struct login *l = context;
	struct clock_reading now;

	clock_read(&now);
	l->fetch = NULL;
	token_request_secrets(&l->sent, secrets);
	judged.secrets = secrets;
	token_response_read(&judged, &l->answer);
	token_request_fini(&l->sent);
	l->has_sample = l->profile &&
			server_clock_post_ended(&l->profile->endpoint->clock, &now, x, &l->sample);
	/* of what may have to wait only the times are needed: the bytes are gone by then */
	l->x = (struct exchange){.sent = x->sent, .received = x->received, .status = x->status};
	take_answer(l);
}

void login_not_sent(struct profile *p, const struct exchange *x)
{
	struct login *l = p->client->login;

	l->profile = p;
	login_fetched(l, x);
}

int login_send(struct profile *p)
{
	const struct token_request_client client = {
		.id = p->credential.client_id,
		.secret = p->credential.client_secret,
		.extra_params = p->settings->extra_params,
	};
	struct login *l = p->client->login;
	int r;

	if (login_busy(l))
		return -EAGAIN;
	l->with_code = p->with_code;
	if (l->with_code)
		r = l->code.text ? token_request_authorization_code(&l->sent, &client, l->code.text,
					   l->code.verifier, l->code.redirect_uri)
				 : -ENOENT;
	else
		r = l->refresh.text
			    ? token_request_refresh_token(&l->sent, &client, l->refresh.text)
			    : -ENOENT;
	if (!r)
		r = profile_post(p, &l->sent, login_fetched, l, &l->fetch);
	if (r) {
		token_request_fini(&l->sent);
		return r;
	}
	l->profile = p;
	return 0;
}

void login_lose_profile(struct profile *p)
{
	struct login *l = p->client->login;

	if (l->profile == p)
		l->profile = NULL;
	login_code_lose_profile(p);
}

void login_end(struct login *l, struct login_eraser *e)
{
	l->ended = login_busy(l);
	l->refused = false;
	token_fini(&l->refresh);
	login_code_drop(&l->code);
	login_erase(l, e);
}

static bool any_busy(const struct broker *b)
{
	const struct oauth_client *c;

	TAILQ_FOREACH(c, &b->oauth_clients, link)
	if (c->login && login_busy(c->login))
		return true;
	return false;
}

static void finish_patience_ended(int fd, short events, void *context)
{
	bool *ended = context;

	(void)fd;
	(void)events;
	*ended = true;
}

/* A refresh token is on its way: the one we have is void once the server has answered. Nobody is
 * connected any more, so that nobody waits for this but the service manager. */
void broker_finish_logins(struct broker *b)
{
	const struct timeval patience = {.tv_sec = FINISH_PATIENCE_S};
	struct event *timer;
	struct oauth_client *c;
	bool ended = false;

	if (any_busy(b)) {
		log_line(LOG_NOTICE, "stopping when the login server has answered a refresh");
		timer = evtimer_new(b->base, finish_patience_ended, &ended);
		ended = !timer || evtimer_add(timer, &patience);
		while (!ended && any_busy(b) && event_base_loop(b->base, EVLOOP_ONCE) == 0)
			;
		if (timer)
			event_free(timer);
		if (any_busy(b))
			log_line(LOG_ERR,
				"stopping although a refresh has not been answered: if the server "
				"took it, somebody has to log in again");
	}
	TAILQ_FOREACH(c, &b->oauth_clients, link)
	if (c->login)
		login_abandon(c->login);
}
