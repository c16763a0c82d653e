#include "token_fetch.h"

#include "exchange.h"
#include "lifetime_adopt.h"
#include "token_failure.h"
#include "token_judge.h"
#include "token_login.h"
#include "token_next.h"
#include "token_response.h"

#include <stdio.h>
#include <string.h>

#define SAME_TOKEN_WAIT_S 10
/* Its end is known to two seconds; after five it is no more the rounding of its lifetime. */
#define SAME_TOKEN_ENDED_WAIT_S 1
#define SAME_TOKEN_ENDED_S 5

void token_source_note_latest(struct token_source *s)
{
	if (!s->current.token.text)
		return;
	memcpy(s->latest.fingerprint, s->current.token.fingerprint, sizeof(s->latest.fingerprint));
	s->latest.end = lifetime_over(&s->current.life);
	s->latest.again = false;
}

/* When the server ends it, as it says now: more exactly than at first, by what clocks drift in its
 * life. Who offers more than that starts the life again, and says nothing about its end. */
static struct boot_time end_as_offered(const struct lifetime *first, const struct lifetime *offered)
{
	struct duration drift = duration_ns(2 * (first->issued.ns / 1000000 * SKEW_DRIFT_PPM));
	struct boot_time over = lifetime_over(first), again = lifetime_over(offered);

	return boot_before(boot_add(over, drift), again) ? over : again;
}

/* Some servers give the same token until its end. It is no failure, and nothing was minted; the
 * next attempt comes ever sooner, and just as the token ends. False: that has passed. */
static bool same_token(
	struct token_source *s, const struct clock_reading *now, const struct lifetime *offered)
{
	struct duration left, pause = duration_s(SAME_TOKEN_ENDED_WAIT_S);

	if (offered && s->current.token.text)
		s->latest.end = end_as_offered(&s->current.life, offered);
	left = boot_since(s->latest.end, now->boot);
	if (left.ns <= -SAME_TOKEN_ENDED_S * NS_PER_S)
		return false;
	if (left.ns > 0)
		pause = duration_min(left,
			duration_max(duration_ns(left.ns / 2), duration_s(SAME_TOKEN_WAIT_S)));
	s->latest.again = true;
	token_source_retry_at(s, boot_add(now->boot, pause));
	s->refresh_at = s->not_before;
	s->refresh_by_doubt = false;
	history_add(s->history, now, EVENT_SAME_TOKEN, s->current.generation,
		"the login server returned the same token again; next attempt in %lld s",
		(long long)duration_ceil_s(pause));
	return true;
}

/* The earlier of the two ends counts, as the server may start the same token's life again. It has
 * been valid since it first came. */
static void shorten(struct lifetime *l, const struct lifetime *offered)
{
	struct boot_time dead = lifetime_dead(offered);

	if (boot_before(dead, lifetime_dead(l))) {
		l->end = boot_sub(l->end, boot_since(lifetime_dead(l), dead));
		l->by_exp = offered->by_exp;
	}
}

/* At the first token, not when callers are turned away for want of one. */
static void tell_low_limit(struct token_source *s, const struct clock_reading *now)
{
	unsigned limit = mint_window_limit(s->mint, s->settings.mint_limit);
	unsigned needed = mint_window_needs(s->mint);
	char profiles[48] = "";

	if (!s->settings.prefetch || needed <= limit || s->low_limit_told)
		return;
	s->low_limit_told = true;
	if (s->mint->sources > 1)
		snprintf(profiles, sizeof(profiles), ", for %u profiles of this client,",
			s->mint->sources);
	history_add(s->history, now, EVENT_MINT_LIMIT, s->current.generation,
		"mint_limit allows %u token requests in %d s, and tokens of %lld s%s need %u: "
		"callers will be without a token again and again. Set it to auto, or have the "
		"login server "
		"make tokens that live longer",
		limit, MINT_WINDOW_S, (long long)(s->current.life.issued.ns / NS_PER_S), profiles,
		needed);
}

void token_source_take(struct token_source *s, const struct clock_reading *now,
	struct token_slot *slot, const struct token_slot *older)
{
	if (s->current.rejected) {
		s->replaced_at = now->boot;
		history_add(s->history, now, EVENT_REPLACED, slot->generation,
			"replaces generation %llu, which a caller rejected",
			(unsigned long long)s->current.generation);
	}
	if (older == &s->current)
		token_slot_move(&s->previous, &s->current);
	else if (older != &s->previous)
		token_slot_empty(&s->previous);
	token_slot_move(&s->current, slot);
	s->fetch_succeeded = s->fetches_ended;
	s->login_end_told = false;
	token_source_plan_refresh(s);
	token_source_note_latest(s);
	s->mint->pace = boot_since(s->refresh_at, s->current.life.received);
	history_add(s->history, now, EVENT_TOKEN, s->current.generation,
		"token %s for %lld s, served for %lld s, refresh in %lld s",
		s->current.token.fingerprint, (long long)(s->current.life.issued.ns / NS_PER_S),
		(long long)duration_floor_s(boot_since(lifetime_dead(&s->current.life), now->boot)),
		(long long)duration_floor_s(boot_since(s->refresh_at, now->boot)));
	tell_low_limit(s, now);
}

const struct token_slot *token_source_older_in_service(
	const struct token_source *s, const struct clock_reading *now)
{
	const struct token_slot *older = token_source_pick(s, now, 0);

	return older && !older->rejected && !token_source_doubtful(older, now) ? older : NULL;
}

void token_source_succeeded(struct token_source *s)
{
	s->failures = s->refusals = 0;
	s->last_failure = (struct source_failure){0};
	s->knock = SOURCE_KNOCK_NONE;
	token_source_retry_at(s, SOURCE_LONG_AGO);
	/* whoever wanted a fetch got one; those whom it does not help will ask again */
	s->next.urgency = URGENCY_NONE;
}

/* The latest token came again. `offered`: what life it was given this time; NULL: none that counts.
 */
static enum fetched take_same(struct token_source *s, const struct clock_reading *now,
	const struct exchange *x, struct token_response *response,
	const struct fetch_under_way *fetch, const struct lifetime *offered)
{
	s->counters.fetches[RESPONSE_TOKEN]++;
	token_source_succeeded(s);
	if (offered)
		shorten(&s->current.life, offered);
	if (same_token(s, now, offered))
		return FETCHED_SAME;
	response->class = RESPONSE_UNAVAILABLE;
	snprintf(response->words, sizeof(response->words),
		"the login server returned a token again that has ended");
	token_source_fetch_failed(s, now, x, response, fetch);
	return FETCHED_FAILED;
}

static bool is_latest(const struct token_source *s, const char *fingerprint)
{
	return *fingerprint && !strcmp(s->latest.fingerprint, fingerprint);
}

/* A code was exchanged, and only the token that came for it was of no use: those at hand may be
 * another person's. */
static void begin_login_anew(struct token_source *s)
{
	token_slot_empty(&s->current);
	token_slot_empty(&s->previous);
	token_source_want_fetch(s, URGENCY_WANTED);
}

static enum fetched code_failed(struct token_source *s, const struct clock_reading *now,
	const struct token_response *response)
{
	token_source_code_failed(s, now, response);
	if (response->login_replaced)
		begin_login_anew(s);
	return FETCHED_FAILED;
}

static enum fetched take_token(struct token_source *s, const struct clock_reading *now,
	const struct exchange *x, struct token_response *response, const struct skew_sample *sample,
	struct duration spread, uint64_t generation, const struct fetch_under_way *fetch)
{
	/* It may be another person's login: the older one must not be served any more then. */
	const struct token_slot *older =
		fetch->purpose == PURPOSE_CODE ? NULL : token_source_older_in_service(s, now);
	struct lifetime_evidence evidence = {
		.sent = x->sent,
		.received = x->received.boot,
		.sample = sample,
		.expires_in = response->expires_in,
		.claims = response->claims,
		.spread = spread,
		/* What replaces a rejected token is not held back. */
		.background = older && !s->current.rejected,
	};
	bool same = s->current.token.text && token_equal(&s->current.token, &response->token);
	struct token_slot slot = {.generation = generation, .own = true};

	switch (lifetime_begin(&slot.life, &evidence, &s->settings.policy)) {
	case LIFETIME_DEAD:
		if (same)
			return take_same(s, now, x, response, fetch, NULL);
		response->class = RESPONSE_UNAVAILABLE;
		snprintf(response->words, sizeof(response->words),
			"the token was dead on arrival: expires_in %lld s, the login server's "
			"clocks %lld ms apart",
			(long long)(response->expires_in.ns / NS_PER_S),
			(long long)(spread.ns / NS_PER_MS));
		if (fetch->purpose == PURPOSE_CODE)
			return code_failed(s, now, response);
		s->counters.fetches[RESPONSE_UNAVAILABLE]++;
		token_source_fetch_failed(s, now, x, response, fetch);
		return FETCHED_FAILED;
	case LIFETIME_CLAIMS_IGNORED:
		history_add(s->history, now, EVENT_CLAIMS_IGNORED, generation,
			"exp, nbf or iat inside the token contradict its expires_in of %lld s and "
			"are ignored",
			(long long)(response->expires_in.ns / NS_PER_S));
		break;
	case LIFETIME_FINE:
		break;
	}
	if (same)
		return take_same(s, now, x, response, fetch, &slot.life);
	s->counters.fetches[RESPONSE_TOKEN]++;
	token_source_succeeded(s);
	token_move(&slot.token, &response->token);
	token_source_take(s, now, &slot, older);
	return FETCHED_TOKEN;
}

/* The server may mean a login by that, and where there is none, nothing but the client. */
static void judge_grant(const struct token_source *s, struct token_response *response)
{
	if (response->class == RESPONSE_LOGIN_REQUIRED && s->login == SOURCE_LOGIN_NOT_NEEDED)
		response->class = RESPONSE_CLIENT_REJECTED;
}

static enum fetched judge(struct token_source *s, const struct clock_reading *now,
	const struct exchange *x, struct token_response *response, const struct skew_sample *sample,
	struct duration spread, uint64_t generation, const struct fetch_under_way *fetch)
{
	enum fetched fetched;

	if (response->class == RESPONSE_TOKEN) {
		s->revoked = false;
		fetched = take_token(s, now, x, response, sample, spread, generation, fetch);
		if (fetch->request_outdated && s->current.token.text)
			s->refresh_at = now->boot;
		return fetched;
	}
	if (fetch->purpose == PURPOSE_CODE)
		return code_failed(s, now, response);
	if (is_latest(s, response->unfit_fingerprint))
		return take_same(s, now, x, response, fetch, NULL);
	judge_grant(s, response);
	s->counters.fetches[response->class]++;
	token_source_fetch_failed(s, now, x, response, fetch);
	return FETCHED_FAILED;
}

enum fetched token_source_fetched(struct token_source *s, const struct clock_reading *now,
	const struct exchange *x, struct token_response *response, const struct skew_sample *sample,
	struct duration spread, uint64_t generation)
{
	const struct fetch_under_way fetch = s->fetch;
	enum fetched fetched = FETCHED_UNWANTED;
	bool minted;

	/* also if it turns out to be of no use */
	response->minted |= response->class == RESPONSE_TOKEN;
	minted = response->minted;
	s->fetch = (struct fetch_under_way){.purpose = PURPOSE_NONE};
	s->fetches_ended++;
	s->attention = s->changed = true;
	/* no backoff bounds the codes that people bring: of those the refused ones count as well */
	if (!minted && fetch.purpose == PURPOSE_TOKEN)
		mint_window_take_back(s->mint, fetch.begun);
	if (!fetch.forgotten && (!s->revoked || fetch.purpose == PURPOSE_CODE))
		fetched = judge(s, now, x, response, sample, spread, generation, &fetch);
	if (minted && fetched == FETCHED_SAME)
		mint_window_take_back(s->mint, fetch.begun);
	if (fetched == FETCHED_TOKEN && fetch.by_rejection)
		mint_window_mark_rejection(s->mint, fetch.begun, s->mint_number);
	return fetched;
}
