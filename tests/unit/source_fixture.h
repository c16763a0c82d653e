/* A token source with a login server that does as the test says. Time passes only by rig_pass; a
 * fetch is sent by rig_decide and ended by one of the rig_answer functions. */
#ifndef GCTOKEND_TESTS_UNIT_SOURCE_FIXTURE_H
#define GCTOKEND_TESTS_UNIT_SOURCE_FIXTURE_H

#include "core/exchange.h"
#include "core/token_ask.h"
#include "core/token_decide.h"
#include "core/token_fetch.h"
#include "core/token_judge.h"
#include "core/token_source.h"
#include "core/token_view.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS NS_PER_MS
#define S NS_PER_S

struct rig {
	struct token_source s;
	struct mint_window mint;
	struct history history;
	struct clock_reading now;
	struct clock_reading sent; /* of the fetch under way */
	int64_t theta;             /* ns: server clock - boot */
	int64_t rtt;
	struct duration spread;
	bool undated;         /* the server sends no Date */
	uint64_t generation;  /* the latest used */
	enum fetched fetched; /* what became of the latest fetch */
	unsigned fetches;
	struct token_source_decisions d; /* the latest */
	struct token_outcome o;          /* the latest */
};

static inline struct token_source_settings usual_settings(void)
{
	return (struct token_source_settings){
		.policy = {.use_margin = {5 * S}, .refresh_margin_auto = true},
		.prefetch = true,
		.reject_cooldown = {30 * S},
		.mint_limit = 15,
	};
}

static inline struct rig *rig_new(const struct token_source_settings *settings, uint64_t seed)
{
	struct token_source_settings usual = usual_settings();
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->now.boot.ns = 1000 * S;
	r->now.wall.ns = 1700001000 * S;
	r->theta = 1700000000 * S + 250 * MS;
	r->rtt = 40 * MS;
	token_source_init(&r->s, settings ? settings : &usual, &r->mint, &r->history, seed);
	return r;
}

static inline struct rig *rig_without_prefetch(void)
{
	struct token_source_settings settings = usual_settings();

	settings.prefetch = false;
	return rig_new(&settings, 1);
}

/* There is an API that can be asked about its tokens. */
static inline struct rig *rig_verifiable(void)
{
	struct token_source_settings settings = usual_settings();

	settings.verifiable = true;
	return rig_new(&settings, 1);
}

static inline void rig_free(struct rig *r)
{
	token_source_fini(&r->s);
	free(r);
}

static inline void rig_pass(struct rig *r, int64_t ns)
{
	assert_true(ns >= 0);
	r->now.boot.ns += ns;
	r->now.wall.ns += ns;
}

static inline void rig_pass_until(struct rig *r, struct boot_time at)
{
	rig_pass(r, at.ns - r->now.boot.ns);
}

static inline bool rig_decide(struct rig *r)
{
	bool fetching = token_source_fetching(&r->s);

	token_source_decide(&r->s, &r->now, &r->d);
	assert_false(token_source_needs_turn(&r->s));
	assert_true(r->d.wake_at.ns > r->now.boot.ns); /* or the loop would spin */
	assert_false(r->d.fetch && fetching);
	if (r->d.fetch) {
		r->fetches++;
		r->sent = r->now;
	}
	return r->d.fetch;
}

static inline struct skew_sample rig_sample(
	const struct rig *r, const struct clock_reading *sent, struct boot_time received)
{
	int64_t date_s = (sent->boot.ns + (received.ns - sent->boot.ns) / 2 + r->theta) / S;

	return (struct skew_sample){
		.sent = *sent,
		.received = received,
		.date_s = date_s,
		.lo = {date_s * S - received.ns},
		.hi = {date_s * S + S - sent->boot.ns},
	};
}

/* The answer of a HEAD that left a round trip ago. */
static inline void rig_head(struct rig *r)
{
	struct clock_reading sent = r->now;
	struct skew_sample sample;

	rig_pass(r, r->rtt);
	sample = rig_sample(r, &sent, r->now.boot);
	token_source_exchange(&r->s, &r->now, &sample, r->spread);
}

/* Ends the fetch under way with `response`, now. True: by a new token. */
static inline bool rig_fetched(struct rig *r, struct token_response *response)
{
	struct exchange x = {
		.sent = r->sent, .received = r->now, .status = response->status, .body = ""};
	struct skew_sample sample = rig_sample(r, &r->sent, r->now.boot);
	bool dated = !r->undated && response->status;

	if (dated)
		token_source_exchange(&r->s, &r->now, &sample, r->spread);
	r->fetched = token_source_fetched(
		&r->s, &r->now, &x, response, dated ? &sample : NULL, r->spread, r->generation + 1);
	r->generation += r->fetched == FETCHED_TOKEN;
	/* a token that nobody may have stays with whoever is to revoke it */
	assert_true(r->fetched != FETCHED_TOKEN || !response->token.text);
	assert_true(r->fetched != FETCHED_UNWANTED || response->class != RESPONSE_TOKEN ||
		    response->token.text);
	token_response_fini(response);
	return r->fetched == FETCHED_TOKEN;
}

static inline bool rig_answer_claims(
	struct rig *r, const char *text, int64_t expires_in_s, const struct jwt_claims *claims)
{
	struct token_response answer = {
		.class = RESPONSE_TOKEN,
		.status = 200,
		.expires_in = duration_s(expires_in_s),
	};

	if (claims)
		answer.claims = *claims;
	assert_int_equal(token_init(&answer.token, text, strlen(text)), 0);
	rig_pass(r, r->rtt);
	return rig_fetched(r, &answer);
}

static inline bool rig_answer_token(struct rig *r, const char *text, int64_t expires_in_s)
{
	return rig_answer_claims(r, text, expires_in_s, NULL);
}

/* One that begins now, by the server's clock: it waits until all of the server's clocks are there.
 */
static inline bool rig_answer_jwt(struct rig *r, const char *text, int64_t expires_in_s)
{
	const struct jwt_claims claims = {.has_nbf = true, .nbf = (r->now.boot.ns + r->theta) / S};

	return rig_answer_claims(r, text, expires_in_s, &claims);
}

/* `retry_after_s` < 0: none */
static inline void rig_answer_failure(
	struct rig *r, enum response_class class, int64_t retry_after_s)
{
	static const long statuses[] = {
		[RESPONSE_UNAVAILABLE] = 500,
		[RESPONSE_THROTTLED] = 400,
		[RESPONSE_CLIENT_REJECTED] = 401,
		[RESPONSE_LOGIN_REQUIRED] = 400,
	};
	struct token_response answer = {
		.class = class,
		.status = statuses[class],
		.has_retry_after = retry_after_s >= 0,
		.retry_after = duration_s(retry_after_s),
		.error = "an_error",
		.words = "words of the server",
		.correlation_id = "c0ffee",
	};

	rig_pass(r, r->rtt);
	assert_false(rig_fetched(r, &answer));
}

/* From nothing to a token of that life; ends right after it. */
static inline void rig_fetch_token(struct rig *r, const char *text, int64_t expires_in_s)
{
	assert_true(rig_decide(r));
	assert_true(rig_answer_token(r, text, expires_in_s));
	assert_false(rig_decide(r));
}

static inline struct token_ask rig_get(const struct rig *r, int64_t wait_s)
{
	return (struct token_ask){
		.kind = ASK_GET, .deadline = boot_add(r->now.boot, duration_s(wait_s))};
}

static inline struct token_ask rig_reject(const struct rig *r, uint64_t generation, int64_t wait_s)
{
	return (struct token_ask){.kind = ASK_REJECT,
		.generation = generation,
		.deadline = boot_add(r->now.boot, duration_s(wait_s))};
}

static inline struct token_ask rig_refresh(const struct rig *r, int64_t wait_s)
{
	return (struct token_ask){
		.kind = ASK_REFRESH, .deadline = boot_add(r->now.boot, duration_s(wait_s))};
}

/* Asks; holds every outcome against what no outcome may break. */
/* By an admin. */
static inline void rig_revoke(struct rig *r)
{
	struct token tokens[2];

	token_source_revoke(&r->s, &r->now, tokens);
	token_fini(&tokens[0]);
	token_fini(&tokens[1]);
}

static inline enum ask_outcome rig_ask(struct rig *r, struct token_ask *ask)
{
	token_source_ask(&r->s, &r->now, ask, &r->o);
	if (!boot_before(r->now.boot, ask->deadline))
		assert_int_not_equal(r->o.kind, OUTCOME_HOLD);
	if (r->o.kind == OUTCOME_TOKEN) {
		const struct lifetime *l = &r->o.slot->life;
		int64_t left = lifetime_dead(l).ns - r->now.boot.ns;

		/* the last use_margin only where no other can be had, and never as fresh */
		if (left < S) {
			assert_true(r->o.stale);
			assert_true(token_source_no_other(&r->s) || token_source_fetching(&r->s));
			left = token_source_over(&r->s).ns - r->now.boot.ns;
		}
		assert_non_null(r->o.slot->token.text);
		assert_true(l->valid.ns <= r->now.boot.ns);
		assert_true(left >= S);
		assert_true(r->o.expires_in.ns >= S && r->o.expires_in.ns <= left);
		assert_true(r->o.refresh_in_s >= 5);
		if (r->o.expires_in.ns > 6 * S)
			assert_true(r->o.refresh_in_s * S < r->o.expires_in.ns);
	}
	if (r->o.kind == OUTCOME_UNAVAILABLE || r->o.kind == OUTCOME_CLIENT_REJECTED ||
		r->o.kind == OUTCOME_LOGIN_REQUIRED || r->o.kind == OUTCOME_COOLDOWN ||
		r->o.kind == OUTCOME_ACCEPTED)
		/* when a person comes nobody knows */
		assert_true(r->o.retry_after_s >= 1 ||
			    (r->o.kind == OUTCOME_LOGIN_REQUIRED && r->o.retry_after_s == -1 &&
				    (r->s.login == SOURCE_LOGIN_NONE ||
					    r->s.login == SOURCE_LOGIN_REFUSED)));
	return r->o.kind;
}

/* What a plain ask gets that does not wait; NULL: nothing. */
static inline const char *rig_served(struct rig *r)
{
	struct token_ask ask = rig_get(r, 0);

	return rig_ask(r, &ask) == OUTCOME_TOKEN ? r->o.slot->token.text : NULL;
}

static inline enum source_state rig_state(const struct rig *r)
{
	struct source_view v;

	token_source_view(&r->s, &r->now, &v);
	return v.state;
}

/* How many events of a kind are in the history. */
static inline unsigned rig_told(const struct rig *r, enum event_kind kind)
{
	const struct history_event *all[HISTORY_ALL];
	unsigned n = 0;

	for (size_t i = history_all(&r->history, all); i-- > 0;)
		n += all[i]->kind == kind ? all[i]->times : 0;
	return n;
}

/* The words of the latest event. */
static inline const char *rig_told_last(const struct rig *r)
{
	const struct history_event *all[HISTORY_ALL];

	return all[history_all(&r->history, all) - 1]->words;
}

/* Sleeps until the next decision is due; true if it is to fetch. */
static inline bool rig_wake(struct rig *r)
{
	rig_pass_until(r, r->d.wake_at);
	return rig_decide(r);
}

#endif
