/* Requests for tokens, and about them. */
#include "calls_token.h"

#include "broker.h"
#include "call.h"
#include "login_code.h"
#include "oauth_client.h"
#include "pages.h"
#include "profile_type.h"
#include "revoke.h"
#include "routes.h"
#include "waiter.h"

#include "core/reply.h"
#include "core/reply_outcome.h"
#include "core/token_ask.h"
#include "core/token_view.h"
#include "front/handler.h"
#include "host/clock.h"

#include <stdio.h>

#define WAIT_DEFAULT_S 5
#define REVOKE_WAIT_S 30

int call_answer_outcome(struct profile *p, struct reply *reply, const struct token_ask *ask,
	const struct token_outcome *o)
{
	struct clock_reading now;

	clock_read(&now);
	return reply_outcome(reply, &p->reply_cache, p->settings, &p->source, &now, ask, o);
}

/* Asks, and answers or holds. */
static int ask_token(struct call *c, struct token_ask *ask, int64_t wait_s)
{
	struct profile *p = c->profile;
	struct token_outcome outcome;
	struct waiter *w;

	ask->deadline = boot_add(c->now.boot, duration_s(wait_s));
	token_source_ask(&p->source, &c->now, ask, &outcome);
	if (token_source_needs_turn(&p->source)) {
		/* Before anybody is told: who has reported a token must not read it again. */
		pages_publish(p, &c->now);
		turn_soon(&c->broker->turn);
	}
	if (outcome.kind != OUTCOME_HOLD)
		return call_answer_outcome(p, c->reply, ask, &outcome);
	if (waiter_new(&w, p, c->connection, WAITER_TOKEN, duration_s(wait_s)))
		return reply_error(c->reply, 503, "temporarily_unavailable", "out of memory", 1);
	w->ask = *ask;
	return FRONT_HELD;
}

/* The wait asked for, -1 if it is more than is allowed: then 400 is answered. */
static int64_t wait_of(const struct call *c, int *ret_status)
{
	int64_t most = c->broker->config->broker.max_wait.ns / NS_PER_S;
	char words[80];

	if (!c->api.has_wait)
		return WAIT_DEFAULT_S < most ? WAIT_DEFAULT_S : most;
	if (c->api.wait_s <= most)
		return c->api.wait_s;
	snprintf(words, sizeof(words), "wait: at most %lld (max_wait)", (long long)most);
	*ret_status = call_refuse(c, 400, "invalid_request", words);
	return -1;
}

int call_token(struct call *c)
{
	struct token_ask ask = {
		.kind = ASK_GET,
		.min_ttl = duration_s(c->api.min_ttl_s),
		.has_after = c->api.has_after,
		.after = c->api.after,
	};
	int status = 0;
	int64_t wait_s = wait_of(c, &status);

	return wait_s < 0 ? status : ask_token(c, &ask, wait_s);
}

int call_reject(struct call *c)
{
	struct token_ask ask = {.kind = ASK_REJECT};
	int status = 0;
	int64_t wait_s = wait_of(c, &status);

	if (wait_s < 0)
		return status;
	if (c->api.has_generation &&
		c->api.generation > c->profile->client->state.generation_reserved)
		return call_refuse(c, 400, "invalid_request",
			"generation: no token of this profile ever had that number");
	ask.generation = c->api.has_generation ? c->api.generation
					       : token_source_generation_of(
							 &c->profile->source, c->api.fingerprint);
	return ask_token(c, &ask, wait_s);
}

int call_refresh(struct call *c)
{
	struct token_ask ask = {.kind = ASK_REFRESH};

	return ask_token(c, &ask, c->broker->config->broker.max_wait.ns / NS_PER_S);
}

int call_revoke(struct call *c)
{
	struct profile *p = c->profile;
	struct token tokens[2];
	struct waiter *w;
	int status = 0;

	if (waiter_new(&w, p, c->connection, WAITER_REVOKE, duration_s(REVOKE_WAIT_S)))
		return call_refuse(c, 503, "temporarily_unavailable", "out of memory");
	if (p->client->login)
		login_stop_code(p->client->login);
	token_source_revoke(&p->source, &c->now, tokens);
	pages_publish(p, &c->now);
	turn_soon(&c->broker->turn);
	for (size_t i = 0; i < 2; i++)
		if (tokens[i].text && revoke_token(p, &tokens[i], w))
			status = 503;
	if (status) {
		waiter_free(w);
		return call_refuse(c, 503, "temporarily_unavailable",
			*p->settings->api_url
				? "the token is forgotten here and the profile stays stopped, but "
				  "Genesys could not be told"
				: "the token is forgotten here and the profile stays stopped, but "
				  "Genesys could not be told: the profile has no api_url");
	}
	revoke_begun(w);
	return FRONT_HELD;
}
