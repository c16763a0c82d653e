/* Requests for tokens, and about them. */
#include "calls_token.h"

#include "broker.h"
#include "fleet_member.h"
#include "login_code.h"
#include "oauth_client.h"
#include "pages.h"
#include "profile_type.h"
#include "renewal.h"
#include "revoke.h"
#include "rights.h"
#include "waiter.h"

#include "core/reply.h"
#include "core/reply_outcome.h"
#include "core/reply_status.h"
#include "core/token_ask.h"
#include "core/token_view.h"
#include "front/connection_hold.h"
#include "front/connection_peer.h"
#include "front/handler.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define WAIT_DEFAULT_S 5
#define REVOKE_WAIT_S 30

static int put_outcome(struct profile *p, struct reply *reply, const struct clock_reading *now,
	const struct token_ask *ask, const struct token_outcome *o)
{
	return reply_outcome(reply, &p->reply_cache, p->settings, &p->source, now, ask, o);
}

struct token_waiter {
	struct waiter waiter;
	struct token_ask ask;
	enum token_place token_in;
};

static void token_answer(struct waiter *w, const struct clock_reading *now)
{
	struct token_ask *ask = &((struct token_waiter *)w)->ask;
	enum right right = ask->kind == ASK_REFRESH ? RIGHT_ADMIN : RIGHT_TOKEN;
	struct profile *p = w->profile;
	struct token_outcome outcome;
	struct reply reply;

	/* Judged when something is handed out: a reload may have changed the rules. */
	if (!rights_may(w->broker, w->connection, right, p)) {
		rights_refused(p, w->connection, right);
		connection_reply_begin(w->connection, &reply);
		waiter_answered(w, reply_error(&reply, 403, "access_denied",
					   "the rules changed while the request waited", -1));
		return;
	}
	token_source_ask(&p->source, now, ask, &outcome);
	if (token_source_needs_turn(&p->source))
		turn_soon(&w->broker->turn);
	if (outcome.kind == OUTCOME_HOLD) {
		waiter_wait(w, &p->asking);
		waiter_extend(w, boot_since(ask->deadline, now->boot));
		return;
	}
	connection_reply_begin(w->connection, &reply);
	reply.token_in = ((struct token_waiter *)w)->token_in;
	waiter_answered(w, put_outcome(p, &reply, now, ask, &outcome));
}

static void token_gone(struct waiter *w)
{
	free(w);
}

/* What was begun was begun with the other profile. */
static void token_moved(struct waiter *w)
{
	struct token_ask *ask = &((struct token_waiter *)w)->ask;

	ask->begun = false;
	ask->ticket = 0;
}

static int token_stopped(const struct waiter *w, struct reply *reply)
{
	if (!((const struct token_waiter *)w)->ask.has_after)
		return waiter_reply_stopping(reply);
	reply_not_modified(reply);
	return 304;
}

static const struct waiter_type token_waiter = {
	token_answer, token_gone, token_moved, token_stopped};

static int hold_token(struct call *c, const struct token_ask *ask, struct duration wait)
{
	struct token_waiter *w = calloc(1, sizeof(*w));

	if (!w || waiter_begin(&w->waiter, &token_waiter, c->profile, c->connection, wait)) {
		free(w);
		return call_out_of_memory(c);
	}
	w->ask = *ask;
	w->token_in = c->reply->token_in;
	waiter_wait(&w->waiter, &c->profile->asking);
	return FRONT_HELD;
}

/* Asks, and replies or holds. */
static int ask_token(struct call *c, struct token_ask *ask, int64_t wait_s)
{
	struct profile *p = c->profile;
	struct token_outcome outcome;

	ask->uid = connection_peer(c->connection)->uid;
	ask->deadline = boot_add(c->now.boot, duration_s(wait_s));
	token_source_ask(&p->source, &c->now, ask, &outcome);
	if (token_source_needs_turn(&p->source)) {
		/* Before anybody is told: who has rejected a token must not read it again. */
		pages_publish(p, &c->now);
		turn_soon(&c->broker->turn);
	}
	return outcome.kind == OUTCOME_HOLD ? hold_token(c, ask, duration_s(wait_s))
					    : put_outcome(p, c->reply, &c->now, ask, &outcome);
}

/* The wait asked for, -1 if it is more than is allowed: then 400 is answered. */
static int64_t wait_of(const struct call *c, int *ret_status)
{
	int64_t most = c->broker->config->broker.max_wait.ns / NS_PER_S;
	char words[80];

	if (!c->api->has_wait)
		return WAIT_DEFAULT_S < most ? WAIT_DEFAULT_S : most;
	if (c->api->wait_s <= most)
		return c->api->wait_s;
	snprintf(words, sizeof(words), "wait: at most %lld (max_wait)", (long long)most);
	*ret_status = call_refuse(c, 400, "invalid_request", words);
	return -1;
}

static int get_token(struct call *c)
{
	struct token_ask ask = {
		.kind = ASK_GET,
		.min_ttl = duration_s(c->api->min_ttl_s),
		.has_after = c->api->has_after,
		.after = c->api->after,
	};
	int status = 0;
	int64_t wait_s = wait_of(c, &status);

	return wait_s < 0 ? status : ask_token(c, &ask, wait_s);
}

int call_token(struct call *c)
{
	return get_token(c);
}

int call_authorization(struct call *c)
{
	c->reply->token_in = TOKEN_IN_FIELD;
	return get_token(c);
}

int call_reject(struct call *c)
{
	struct token_ask ask = {.kind = ASK_REJECT};
	int status = 0;
	int64_t wait_s = wait_of(c, &status);

	if (wait_s < 0)
		return status;
	if (c->api->has_generation &&
		c->api->generation > c->profile->client->state.generation_reserved)
		return call_refuse(c, 400, "invalid_request",
			"generation: no token of this profile has ever had that number");
	c->reply->token_in = TOKEN_IN_BOTH;
	ask.generation = c->api->has_generation ? c->api->generation
						: token_source_generation_of(
							  &c->profile->source, c->api->fingerprint);
	return ask_token(c, &ask, wait_s);
}

int call_refresh(struct call *c)
{
	struct token_ask ask = {.kind = ASK_REFRESH};

	renewal_read_secrets(c->profile);
	return ask_token(c, &ask, c->broker->config->broker.max_wait.ns / NS_PER_S);
}

#define NOT_RECORDED "cannot be written to state_dir: a stop or a reboot now would start it again"

struct revoke_waiter {
	struct waiter waiter;
	struct state_wait recording;
	bool unwritten; /* it could not even be begun */
	bool untold;    /* nor telling Genesys */
};

static void revoke_recorded(void *context)
{
	waiter_done(context);
}

static bool is_recorded(const struct revoke_waiter *r)
{
	return !r->recording.client && !r->unwritten && !r->waiter.profile->client->write_failing;
}

static void revoke_answer(struct waiter *w, const struct clock_reading *now)
{
	const struct revoke_waiter *own = (const struct revoke_waiter *)w;
	const char *problem = revoke_problem(w);
	bool recorded = is_recorded(own);
	struct reply reply;
	char words[512];
	int status = 200;

	(void)now;
	if (own->untold && !problem)
		problem = *w->profile->settings->api_url ? "out of memory, or too much is under way"
							 : "the profile has no api_url";
	connection_reply_begin(w->connection, &reply);
	if (problem || !recorded) {
		snprintf(words, sizeof(words),
			"the token is %s and the profile stays stopped, but %s%s%s%s",
			problem ? "forgotten here" : "revoked",
			problem ? "Genesys could not be told: " : "", problem ? problem : "",
			problem ? ". It is valid there until it expires" : "",
			recorded  ? ""
			: problem ? ". And that it is stopped " NOT_RECORDED
				  : "that " NOT_RECORDED);
		status = reply_error(&reply, 503, "temporarily_unavailable", words, -1);
	} else {
		reply_state(&reply, w->profile->settings->name, "revoked");
	}
	waiter_answered(w, status);
}

static void revoke_gone(struct waiter *w)
{
	state_wait_cancel(&((struct revoke_waiter *)w)->recording);
	revoke_forget_waiter(w);
	free(w);
}

static const struct waiter_type revoke_waiter = {revoke_answer, revoke_gone, NULL, NULL};

int call_revoke(struct call *c)
{
	struct profile *p = c->profile;
	struct revoke_waiter *own = calloc(1, sizeof(*own));
	struct waiter *w = own ? &own->waiter : NULL;
	struct token tokens[2];

	if (!w || waiter_begin(w, &revoke_waiter, p, c->connection, duration_s(REVOKE_WAIT_S))) {
		free(own);
		return call_out_of_memory(c);
	}
	login_stop_code(p->client->login);
	token_source_revoke(&p->source, &c->now, tokens);
	if (p->fleet)
		fleet_member_stop(p->fleet, &c->now);
	pages_retire(p);
	turn_soon(&c->broker->turn);
	w->pending++; /* until all have begun */
	own->recording.ended = revoke_recorded;
	own->recording.context = w;
	own->unwritten = oauth_client_save(p->client, p, &own->recording) != 0;
	w->pending += !own->unwritten;
	for (size_t i = 0; i < 2; i++)
		if (tokens[i].text && revoke_token(p, &tokens[i], w))
			own->untold = true;
	waiter_done(w);
	return FRONT_HELD;
}
