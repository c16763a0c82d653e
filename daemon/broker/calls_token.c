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
#include "core/token_ask.h"
#include "core/token_view.h"
#include "front/handler.h"
#include "host/clock.h"

#include <stdio.h>

#define WAIT_DEFAULT_S 5
#define REVOKE_WAIT_S 30

static void describe_failure(const struct token_source *s, const struct clock_reading *now,
	enum ask_outcome outcome, char *words, size_t size)
{
	const struct source_failure *f = &s->last_failure;
	struct boot_time room = mint_window_next(s->mint, s->settings.mint_limit, now->boot);
	/* What the caller waits for is whichever comes later: room, or the end of a backoff. */
	bool limited = boot_before(boot_max(now->boot, s->not_before), room);
	char status[32] = "no answer";

	if (outcome == OUTCOME_REVOKED) {
		snprintf(words, size, "an admin revoked the token; POST /v1/refresh starts again");
		return;
	}
	if (outcome == OUTCOME_LOGIN_REQUIRED && s->login == SOURCE_LOGIN_NONE) {
		snprintf(words, size,
			"nobody is logged in to this profile: run gctoken login, or POST "
			"/v1/login");
		return;
	}
	if (outcome == OUTCOME_LOGIN_REQUIRED && s->login == SOURCE_LOGIN_REFUSED) {
		snprintf(words, size,
			"the login server ended the login (%s%s%s): run gctoken login, or POST "
			"/v1/login",
			f->error, f->error[0] ? ": " : "", f->words);
		return;
	}
	if (limited) {
		int length =
			snprintf(words, size, "mint_limit: %u token requests in %d s are used up%s",
				s->settings.mint_limit, MINT_WINDOW_S,
				f->any ? "; the latest of them: " : "");

		words += length;
		size -= (size_t)length;
	}
	if (f->status)
		snprintf(status, sizeof(status), "HTTP %ld", f->status);
	if (f->any)
		snprintf(words, size, "%s (%s%s%s): %s%s%s", response_class_name(f->class), status,
			f->error[0] ? ", " : "", f->error, f->words,
			f->correlation_id[0] ? "; correlation id " : "", f->correlation_id);
	else if (limited)
		return;
	else if (s->current.token.text)
		snprintf(words, size, "the login server gave no other token than the one there is");
	else
		snprintf(words, size, "no token has been fetched yet");
}

int call_answer_outcome(struct profile *p, struct reply *reply, const struct token_ask *ask,
	const struct token_outcome *o)
{
	const char *code = "temporarily_unavailable";
	struct clock_reading now;
	char words[600];

	switch (o->kind) {
	case OUTCOME_TOKEN:
		reply_token(reply, &p->reply_cache, p->settings, o);
		return 200;
	case OUTCOME_UNCHANGED:
		reply_not_modified(reply);
		return 304;
	case OUTCOME_MIN_TTL:
		snprintf(words, sizeof(words),
			"min_ttl: at most %lld s can be asked of this profile's tokens (half of "
			"their lifetime), %lld s were",
			(long long)o->limit_s, (long long)(ask->min_ttl.ns / NS_PER_S));
		return reply_error(reply, 400, "invalid_request", words, -1);
	case OUTCOME_COOLDOWN:
		return reply_error(reply, 429, "reject_cooldown",
			"a token was replaced or tried to be replaced because of a report just "
			"before; if the API goes on refusing tokens, the token is not the reason",
			o->retry_after_s);
	case OUTCOME_TIMEOUT:
		return reply_error(reply, 504, "timeout",
			"the wait ended while a token was still being fetched", 1);
	case OUTCOME_CLIENT_REJECTED:
		code = "client_rejected";
		break;
	case OUTCOME_LOGIN_REQUIRED:
		code = "login_required";
		break;
	case OUTCOME_REVOKED:
		code = "revoked";
		break;
	case OUTCOME_UNAVAILABLE:
	case OUTCOME_HOLD:
		break;
	}
	clock_read(&now);
	describe_failure(&p->source, &now, o->kind, words, sizeof(words));
	return reply_error(reply, 503, code, words, o->retry_after_s);
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
