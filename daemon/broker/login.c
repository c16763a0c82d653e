#include "login.h"

#include "broker.h"
#include "login_file.h"
#include "oauth_client.h"
#include "profile_type.h"
#include "token_exchange.h"

#include "core/token_login.h"
#include "host/log.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>

/* A disk that hangs must not keep a token that is there from everybody for ever, nor the next
 * request. */
#define DISK_PATIENCE_S 10
/* Less than TimeoutStopSec= of the unit. */
#define FINISH_PATIENCE_S 60

/* What is read later counts no more. It is not overwritten either: the next run reads it. */
static void give_up_reading(struct login *l)
{
	l->reading = 0;
	/* the person has ended it meanwhile */
	if (l->exchange->forgotten)
		return;
	l->refused = true;
	log_line(LOG_ERR,
		"%s/%s: the refresh token was refused, and the disk does not say whether there is "
		"another one. If somebody else uses the login as well, a restart may find theirs; "
		"otherwise somebody has to log in again",
		l->client->broker->state_dir, l->file.name);
}

static void patience_ended(int fd, short events, void *context)
{
	struct login *l = context;

	(void)fd;
	(void)events;
	if (l->reading)
		give_up_reading(l);
	else
		log_line(LOG_ERR,
			"%s/%s: storing a new refresh token takes longer than %d s; the token that "
			"came with it is served without waiting. A crash now would lose the login",
			l->client->broker->state_dir, l->file.name, DISK_PATIENCE_S);
	l->exchange->kept(l->exchange);
}

static bool have_patience(struct login *l)
{
	const struct timeval patience = {.tv_sec = DISK_PATIENCE_S};

	return !evtimer_add(&l->patience, &patience);
}

static void file_written(struct login *l)
{
	if (l->storing && l->file.writes_ended >= l->storing)
		l->exchange->kept(l->exchange);
}

void login_lost(struct login *l)
{
	uint64_t again;

	if (!l->refresh.text)
		return;
	l->file.writes_lost = l->file.writes_begun;
	again = login_store(l);
	if (l->storing && again)
		l->storing = again;
}

/* Stores what there is now. True: what came need not wait for that, or cannot. */
static bool store(struct login *l)
{
	l->storing = login_store(l);
	return !l->storing || !have_patience(l);
}

static bool refresh_refused(struct login *l)
{
	l->refused = true;
	return store(l);
}

/* Somebody else may have refreshed the login and stored the result: a daemon on another machine
 * with the same directory, or a person who restored a copy. */
static bool take_found(struct login *l, struct token *found)
{
	struct token_response *r = &l->exchange->response;

	/* A login that a person has ended does not come back from the file that is being removed.
	 */
	if (l->exchange->forgotten)
		return true;
	/* If the latest write failed, the file has an older token, which is void by now. */
	if (!found->text || !l->file.stored || token_equal(found, &l->refresh))
		return refresh_refused(l);
	token_move(&l->refresh, found);
	r->class = RESPONSE_UNAVAILABLE;
	snprintf(r->words, sizeof(r->words),
		"the refresh token was refused, but there is another in the state file, which is "
		"tried next");
	return true;
}

static void file_read(struct login *l, struct token *found)
{
	if (!l->reading || l->file.reads_ended < l->reading)
		return;
	l->reading = 0;
	if (take_found(l, found))
		l->exchange->kept(l->exchange);
}

static void tell_source(struct login *l)
{
	struct broker *b = l->client->broker;
	struct profile *p = profile_set_find_client(&b->profiles, l->client);

	if (p)
		token_source_set_login(&p->source, login_state(l));
}

static void file_mended(struct login *l)
{
	tell_source(l);
	turn_soon(&l->client->broker->turn);
}

/* True: there is nothing to wait for. */
static bool look_for_another(struct login *l)
{
	l->reading = login_begin_reading(l);
	if (!l->reading)
		return refresh_refused(l);
	if (have_patience(l))
		return false;
	give_up_reading(l);
	return true;
}

int login_new(struct login **ret, struct oauth_client *c)
{
	struct login *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	l->client = c;
	l->file.written = file_written;
	l->file.read = file_read;
	l->file.mended = file_mended;
	TAILQ_INIT(&l->file.erasers);
	evtimer_assign(&l->patience, c->broker->base, patience_ended, l);
	r = login_load(l);
	if (r) {
		login_free(l);
		return r;
	}
	*ret = l;
	return 0;
}

void login_free(struct login *l)
{
	if (!l)
		return;
	login_unload(l);
	evtimer_del(&l->patience);
	login_code_drop(&l->code);
	token_fini(&l->refresh);
	free(l);
}

enum source_login login_state(const struct login *l)
{
	if (!l)
		return SOURCE_LOGIN_NOT_NEEDED;
	if (!l->refresh.text)
		return SOURCE_LOGIN_NONE;
	return l->refused ? SOURCE_LOGIN_REFUSED : SOURCE_LOGIN_READY;
}

void login_end(struct login *l, struct login_eraser *e)
{
	bool absent;

	if (l->exchange)
		l->exchange->forgotten = true;
	absent = login_file_absent(l);
	l->refused = false;
	token_fini(&l->refresh);
	login_code_drop(&l->code);
	if (!absent)
		login_erase(l, e);
}

int login_request(struct login *l, struct token_exchange *x, const struct token_request_client *who)
{
	const struct login_code *code = &l->code;

	if (l->exchange)
		return -EAGAIN;
	if (!(x->with_code ? code->text : l->refresh.text))
		return -ENOENT;
	if (x->with_code)
		return token_request_authorization_code(
			&x->sent, who, code->text, code->verifier, code->redirect_uri);
	return token_request_refresh_token(&x->sent, who, l->refresh.text);
}

void login_sent(struct login *l, struct token_exchange *x)
{
	if (l)
		l->exchange = x;
}

/* From here on the refresh token that came is the one: nothing that comes later brings the previous
 * one back. */
static bool keep_tokens(struct login *l, struct token_exchange *x)
{
	struct token_response *r = &x->response;
	bool changed = r->refresh_token.text && !token_equal(&r->refresh_token, &l->refresh);

	if (x->with_code) {
		changed |= l->refresh.text && !r->refresh_token.text;
		r->login_replaced = r->refresh_token.text;
		token_move(&l->refresh, &r->refresh_token);
		l->logged_in_s = x->http.received.wall.ns / NS_PER_S;
		if (x->profile)
			login_code_note(l, x->profile, r);
	} else if (changed) {
		token_move(&l->refresh, &r->refresh_token);
	} else if (r->bad_refresh_token) {
		log_line(LOG_WARNING,
			"%s: the login server's new refresh token cannot be used (it is longer "
			"than 8 KiB, or has characters that no token has); the previous one stays",
			l->file.name);
	}
	changed |= l->refused;
	l->refused = false;
	return changed ? store(l) : true;
}

bool login_keep(struct login *l, struct token_exchange *x)
{
	if (!l || x->forgotten)
		return true;
	if (x->response.class == RESPONSE_TOKEN || x->response.refresh_token.text)
		return keep_tokens(l, x);
	if (x->with_code || x->response.class != RESPONSE_LOGIN_REQUIRED || l->refused)
		return true;
	return look_for_another(l);
}

/* The profile that uses the login now need not be the one that sent the request. */
void login_served(struct login *l)
{
	if (!l)
		return;
	evtimer_del(&l->patience);
	l->storing = l->reading = 0;
	l->exchange = NULL;
	tell_source(l);
}

static bool any_under_way(const struct broker *b)
{
	const struct oauth_client *c;

	TAILQ_FOREACH(c, &b->oauth_clients, link)
	if (c->login && c->login->exchange)
		return true;
	return false;
}

static void wait_ended(int fd, short events, void *context)
{
	bool *ended = context;

	(void)fd;
	(void)events;
	*ended = true;
}

/* A refresh token is on its way: the one we have is void once the server has answered. Nobody is
 * connected any more, so only the service manager waits for this. */
void logins_wait(struct broker *b)
{
	const struct timeval patience = {.tv_sec = FINISH_PATIENCE_S};
	struct event *timer;
	bool ended;

	if (!any_under_way(b))
		return;
	log_line(LOG_NOTICE, "stopping when the login server has answered a refresh");
	timer = evtimer_new(b->base, wait_ended, &ended);
	ended = !timer || evtimer_add(timer, &patience);
	while (!ended && any_under_way(b) && event_base_loop(b->base, EVLOOP_ONCE) == 0)
		;
	if (timer)
		event_free(timer);
	if (any_under_way(b))
		log_line(LOG_ERR,
			"stopping although a refresh has not been answered: if the server took it, "
			"somebody has to log in again");
}
