/* Codes and states are secrets like tokens: they are in no reply but the one that hands out the
 * URL, in no log and in no history. */
#include "calls_login.h"

#include "broker.h"
#include "login.h"
#include "login_code.h"
#include "login_waiters.h"
#include "oauth_client.h"
#include "pages.h"
#include "profile_log.h"
#include "profile_type.h"
#include "revoke.h"
#include "rights.h"
#include "waiter.h"

#include "core/reply.h"
#include "core/reply_status.h"
#include "core/secret.h"
#include "core/token_login.h"
#include "core/token_view.h"
#include "front/connection_hold.h"
#include "front/connection_peer.h"
#include "front/handler.h"
#include "host/clock.h"

#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* On top of the exchange itself: for the files that are written before and after it. */
#define FINISH_WAIT_BEYOND_S 15
#define LOGOUT_WAIT_S 30

/* Is the profile one that people log in to? 0, or the status of the refusal. */
static int need_login(struct call *c)
{
	if (c->profile->client->login)
		return 0;
	return call_refuse(c, 400, "invalid_request",
		"this profile uses client_credentials: nobody logs in to it");
}

static int answer_begun(struct call *c, const struct login_attempt *login)
{
	const struct profile_settings *s = c->profile->settings;
	struct buffer url, *out = c->reply->out;

	buffer_init(&url, NULL, 0);
	login_attempt_put_url(&url, s->authorize_url, c->profile->credential.client_id,
		s->redirect_uri, s->scope, login);
	if (buffer_failed(&url)) {
		buffer_fini(&url);
		return call_out_of_memory(c);
	}
	reply_begin(c->reply, 200, REPLY_JSON, "");
	buffer_put_text(out, "{\"profile\":");
	buffer_put_json(out, s->name);
	buffer_put_text(out, ",\"authorize_url\":");
	buffer_put_json_bytes(out, url.data, url.length);
	buffer_put_text(out, ",\"state\":");
	buffer_put_json(out, login->state);
	buffer_put_text(out, ",\"redirect_uri\":");
	buffer_put_json(out, s->redirect_uri);
	buffer_printf(out, ",\"expires_in\":%d}\n", LOGIN_LASTS_S);
	reply_end(c->reply);
	buffer_fini(&url);
	return 200;
}

int call_login(struct call *c)
{
	int status = need_login(c);
	unsigned char random[LOGIN_RANDOM];
	const struct login_attempt *login;
	struct duration wait;
	int r;

	if (status)
		return status;
	if (RAND_priv_bytes(random, sizeof(random)) != 1)
		return call_refuse(
			c, 503, "temporarily_unavailable", "the system gives no random numbers");
	r = login_attempt_begin(&c->profile->attempts, c->now.boot,
		connection_peer(c->connection)->uid,
		rights_may(c->broker, c->connection, RIGHT_ADMIN, NULL), random, &login, &wait);
	secret_wipe(random, sizeof(random));
	if (r)
		return reply_error(c->reply, 429, "too_many_requests",
			"too many logins of this profile were begun and not finished",
			duration_ceil_s(wait));
	return answer_begun(c, login);
}

/* A login came to nothing before any code was exchanged. */
static int fail(struct call *c, const char *words)
{
	uid_t uid = connection_peer(c->connection)->uid;

	history_add_caused(&c->profile->history, &c->now, EVENT_LOGIN_FAILED, uid, 0,
		"the login of uid %ld failed: %s", (long)(int)uid, words);
	profile_log(c->profile);
	return call_refuse(c, 400, "login_failed", words);
}

/* Named by the error's own code where it is one (RFC 6749 section 4.1.2.1): what a browser brings
 * back is not shown as it is. */
static int fail_by_server(struct call *c, const char *error)
{
	static const char code[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
	bool shown = strlen(error) <= 40 && !error[strspn(error, code)];
	char words[160];

	if (shown && !strcmp(error, "access_denied"))
		return fail(c, "the login server says access_denied: consent was not given");
	snprintf(words, sizeof(words), "the login server says %.40s",
		shown ? error : "no, with an error that is no OAuth error code");
	return fail(c, words);
}

static int reply_failure(const struct login_result *r, struct reply *reply)
{
	char words[400];

	switch (r->class) {
	case RESPONSE_LOGIN_REQUIRED:
		snprintf(words, sizeof(words),
			"the login server did not accept the code (%s): it may have expired; "
			"begin again",
			r->words);
		return reply_error(reply, 503, "login_required", words, -1);
	case RESPONSE_CLIENT_REJECTED:
		snprintf(words, sizeof(words),
			"the login server refused the client or its request: %s", r->words);
		return reply_error(reply, 503, "client_rejected", words, -1);
	case RESPONSE_TOKEN:
	case RESPONSE_UNAVAILABLE:
	case RESPONSE_THROTTLED:
		break;
	}
	snprintf(
		words, sizeof(words), "the login could not be finished: %s; begin again", r->words);
	return reply_error(reply, 503, "temporarily_unavailable", words, -1);
}

static int reply_finished(
	const struct profile *p, const struct login_result *r, struct reply *reply)
{
	struct buffer *out = reply->out;
	struct source_view v;
	struct clock_reading now;

	if (!r->ended)
		return reply_error(reply, 504, "timeout",
			"the login server has not answered yet; the profile's status will tell "
			"whether it accepted the code",
			-1);
	if (r->stopped)
		return reply_error(reply, 503, "revoked",
			"the profile was revoked or logged out while the login was being finished",
			-1);
	if (r->class != RESPONSE_TOKEN)
		return reply_failure(r, reply);
	clock_read(&now);
	token_source_view(&p->source, &now, &v);
	reply_begin(reply, 200, REPLY_JSON, "");
	buffer_put_text(out, "{\"profile\":");
	buffer_put_json(out, p->settings->name);
	buffer_put_text(out, ",\"state\":");
	buffer_put_json(out, source_state_name(v.state));
	buffer_printf(out, ",\"expires_in\":%lld", (long long)r->expires_in_s);
	/* how long the login itself lasts; null: it will be refreshed */
	if (r->refreshes)
		buffer_put_text(out, ",\"login_ends_in\":null");
	else
		buffer_printf(out, ",\"login_ends_in\":%lld", (long long)r->expires_in_s);
	buffer_put_text(out, "}\n");
	reply_end(reply);
	return 200;
}

static void finish_answer(struct waiter *w, const struct clock_reading *now)
{
	const struct login_finisher *f = (const struct login_finisher *)w;
	struct reply reply;

	(void)now;
	connection_reply_begin(w->connection, &reply);
	waiter_answered(w, reply_finished(w->profile, &f->result, &reply));
}

static void finish_gone(struct waiter *w)
{
	struct login_finisher *f = (struct login_finisher *)w;

	login_forget_finisher(f);
	free(f);
}

/* The code has been sent, and is taken care of before the end. */
static int finish_stopped(const struct waiter *w, struct reply *reply)
{
	(void)w;
	return reply_error(reply, 503, "temporarily_unavailable",
		"the daemon is stopping: the profile's status will tell in a moment whether the "
		"login server accepted the code",
		1);
}

static const struct waiter_type finish_waiter = {finish_answer, finish_gone, NULL, finish_stopped};

static int begin_finish(struct call *c, struct login_code *code)
{
	struct profile *p = c->profile;
	struct duration wait =
		duration_add(p->settings->fetch.timeout, duration_s(FINISH_WAIT_BEYOND_S));
	struct login_finisher *f = calloc(1, sizeof(*f));

	code->redirect_uri =
		secret_copy(p->settings->redirect_uri, strlen(p->settings->redirect_uri));
	if (!f || !code->text || !code->redirect_uri ||
		waiter_begin(&f->waiter, &finish_waiter, p, c->connection, wait)) {
		free(f);
		return call_out_of_memory(c);
	}
	login_finish(p, code, f);
	turn_soon(&c->broker->turn);
	return FRONT_HELD;
}

static int refuse_codes(struct call *c, struct duration wait)
{
	char words[120];

	snprintf(words, sizeof(words),
		"the login server has refused too many codes of this user: no other is sent for "
		"%lld s",
		(long long)duration_ceil_s(wait));
	return reply_error(c->reply, 429, "too_many_requests", words, duration_ceil_s(wait));
}

/* All texts are in hand; the caller wipes them. */
static int finish_with(struct call *c, struct login_code *code, char *state, char *text)
{
	struct duration wait;

	/* before the state is used up: whoever tries again needs it */
	if (login_finishing(c->profile->client->login))
		return reply_error(c->reply, 429, "too_many_requests",
			"another login of this profile is being finished", 1);
	wait = login_code_wait(
		&c->profile->attempts, c->now.boot, connection_peer(c->connection)->uid);
	if (wait.ns > 0)
		return refuse_codes(c, wait);
	switch (login_attempt_take(&c->profile->attempts, c->now.boot,
		connection_peer(c->connection)->uid, state, code->verifier)) {
	case LOGIN_UNKNOWN:
		return fail(c,
			"state: no login of this profile that you began has it, or it has been "
			"used already; begin again");
	case LOGIN_LATE:
		return fail(c, "this login was begun more than 10 minutes ago; begin again");
	case LOGIN_GOOD:
		break;
	}
	if (api_text(c->api, "iss", text) &&
		!login_issuer_fits(c->profile->settings->authorize_url, text))
		return fail(c, "iss: the response is from another login server than the "
			       "profile's authorize_url");
	if (api_text(c->api, "error", text))
		return fail_by_server(c, text);
	api_text(c->api, "code", text);
	code->text = secret_copy(text, strlen(text));
	code->uid = connection_peer(c->connection)->uid;
	return begin_finish(c, code);
}

int call_login_finish(struct call *c)
{
	struct login_code code = {0};
	char state[API_TEXT_SIZE], text[API_TEXT_SIZE];
	int status = need_login(c);

	if (status)
		return status;
	if (!api_text(c->api, "state", state))
		status = call_refuse(c, 400, "invalid_request",
			"state is required, as the login server's response has it");
	else if (api_text(c->api, "code", text) == api_text(c->api, "error", text))
		status = call_refuse(
			c, 400, "invalid_request", "exactly one of code and error is required");
	else
		status = finish_with(c, &code, state, text);
	login_code_drop(&code);
	secret_wipe(state, sizeof(state));
	secret_wipe(text, sizeof(text));
	return status;
}

struct logout_waiter {
	struct login_eraser eraser;
	bool not_told; /* a revocation could not even begin */
};

static int reply_logged_out(const struct logout_waiter *l, struct reply *reply)
{
	const struct login_eraser *e = &l->eraser;
	const char *problem = revoke_problem(&e->waiter);
	bool kept = e->erasing || e->error;
	char words[512];

	if (l->not_told && !problem)
		problem = "out of memory, or too much is under way";
	if (!kept && !problem) {
		reply_state(reply, e->waiter.profile->settings->name, "login_required");
		return 200;
	}
	snprintf(words, sizeof(words), "the login is forgotten here, but %s%s%s%s%s",
		kept ? "its file in state_dir could not be removed: " : "",
		e->erasing ? "the disk did not answer in time"
		: e->error ? strerror(-e->error)
			   : "",
		kept && problem ? "; and " : "",
		problem ? "Genesys, where the token is valid until it expires, could not be told: "
			: "",
		problem ? problem : "");
	return reply_error(reply, 503, "temporarily_unavailable", words, -1);
}

static void logout_answer(struct waiter *w, const struct clock_reading *now)
{
	struct reply reply;

	(void)now;
	connection_reply_begin(w->connection, &reply);
	waiter_answered(w, reply_logged_out((const struct logout_waiter *)w, &reply));
}

static void logout_gone(struct waiter *w)
{
	revoke_forget_waiter(w);
	free(w);
}

static const struct waiter_type logout_waiter = {logout_answer, logout_gone, NULL, NULL};

/* Nobody's login comes back to a profile that they have logged out of meanwhile. Those of others go
 * on, or whoever may log in could keep them from it: only an admin ends them. */
static void end_attempts(struct call *c)
{
	uid_t uid = connection_peer(c->connection)->uid;
	bool admin = rights_may(c->broker, c->connection, RIGHT_ADMIN, NULL);
	unsigned count = login_attempts_end(&c->profile->attempts, c->now.boot, uid, admin);

	if (!count)
		return;
	history_add_caused(&c->profile->history, &c->now, EVENT_LOGIN_FAILED, uid, 0,
		"a logout by uid %ld ended %u login%s that had been begun and not finished, %s",
		(long)(int)uid, count, count == 1 ? "" : "s",
		admin ? "whoever's: an admin logged out" : "of its own");
	profile_log(c->profile);
}

int call_logout(struct call *c)
{
	struct login *login = c->profile->client->login;
	int status = need_login(c);
	struct token tokens[2];
	struct logout_waiter *l;
	struct waiter *w;

	if (status)
		return status;
	l = calloc(1, sizeof(*l));
	w = l ? &l->eraser.waiter : NULL;
	if (!w || waiter_begin(w, &logout_waiter, c->profile, c->connection,
			  duration_s(LOGOUT_WAIT_S))) {
		free(l);
		return call_out_of_memory(c);
	}
	end_attempts(c);
	login_stop_code(login);
	token_source_log_out(&c->profile->source, &c->now, tokens);
	pages_retire(c->profile);
	w->pending++; /* until all have begun */
	login_end(login, &l->eraser);
	turn_soon(&c->broker->turn);
	for (size_t i = 0; i < 2; i++)
		if (!tokens[i].text)
			continue;
		else if (*c->profile->settings->api_url)
			l->not_told |= revoke_token(c->profile, &tokens[i], w) != 0;
		else
			token_fini(&tokens[i]);
	waiter_done(w);
	return FRONT_HELD;
}
