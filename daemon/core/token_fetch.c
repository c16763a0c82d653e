#include "token_fetch.h"

#include "exchange.h"
#include "token_judge.h"
#include "token_login.h"
#include "token_response.h"

#include <stdio.h>

#define SAME_TOKEN_WAIT_S 10

void token_source_want_fetch(struct token_source *s, enum fetch_urgency urgency)
{
	if (s->next.urgency >= urgency)
		return;
	s->next.urgency = urgency;
	s->attention = true;
}

void token_source_plan_refresh(struct token_source *s)
{
	s->refresh_at = lifetime_refresh_at(&s->current.life, &s->settings.policy, &s->random);
	s->refresh_by_doubt = false;
}

void token_source_fetch_begins(struct token_source *s, const struct clock_reading *now)
{
	s->fetch = (struct fetch_under_way){
		.purpose = s->next.code ? PURPOSE_CODE : PURPOSE_TOKEN,
	};
	/* a token that was wanted besides a code is fetched after it, if it is still wanted */
	s->next = (struct fetch_next){0};
	mint_window_add(s->mint, now->boot);
}

/* `outdated`: what the server refused is not what would be sent now. */
static void fetch_failed(struct token_source *s, const struct clock_reading *now,
	const struct token_response *response, bool outdated)
{
	struct source_failure *f = &s->last_failure;
	enum event_kind kind = EVENT_FETCH_FAILED;
	struct duration pause;
	char status[128] = "";

	s->failures++;
	*f = (struct source_failure){
		.any = true, .class = response->class, .status = response->status, .at = now->boot};
	snprintf(f->error, sizeof(f->error), "%s", response->error);
	snprintf(f->words, sizeof(f->words), "%s", response->words);
	snprintf(f->correlation_id, sizeof(f->correlation_id), "%s", response->correlation_id);

	if (response->status)
		snprintf(status, sizeof(status), " (HTTP %ld%s%s)", response->status,
			response->correlation_id[0] ? ", correlation id " : "",
			response->correlation_id);
	pause = retry_delay(s->failures, &s->random);
	switch (response->class) {
	case RESPONSE_CLIENT_REJECTED:
		kind = EVENT_CLIENT_REJECTED;
		pause = outdated ? DURATION_ZERO : duration_s(RETRY_REJECTED_S);
		break;
	case RESPONSE_LOGIN_REQUIRED:
		kind = EVENT_LOGIN_REQUIRED;
		pause = outdated ? DURATION_ZERO : duration_s(RETRY_REJECTED_S);
		break;
	case RESPONSE_THROTTLED:
		kind = EVENT_THROTTLED;
		break;
	case RESPONSE_UNAVAILABLE:
	case RESPONSE_TOKEN:
		break;
	}
	if (response->has_retry_after)
		pause = duration_max(pause, retry_obey(response->retry_after));
	s->not_before = boot_add(now->boot, pause);
	if (s->login == SOURCE_LOGIN_REFUSED) {
		history_add(s->history, now, kind, s->current.generation,
			"%.160s%s; the login has ended: somebody has to log in again",
			response->words, status);
		return;
	}
	history_add(s->history, now, kind, s->current.generation,
		"%.160s%s; next attempt in %lld s", response->words, status,
		(long long)duration_ceil_s(pause));
}

static void same_token(
	struct token_source *s, const struct clock_reading *now, struct token_slot *offered)
{
	struct lifetime *l = &s->current.life;
	struct boot_time dead = lifetime_dead(&offered->life);
	struct duration left, pause;

	/* The earlier of the two ends counts, as the server may start the same token's life again.
	 * It has been valid since it first came. */
	if (boot_before(dead, lifetime_dead(l))) {
		l->end = boot_sub(l->end, boot_since(lifetime_dead(l), dead));
		l->by_exp = offered->life.by_exp;
	}
	left = boot_since(lifetime_dead(l), now->boot);
	pause = duration_max(duration_ns(left.ns / 2), duration_s(SAME_TOKEN_WAIT_S));
	s->refresh_at = s->not_before = boot_add(now->boot, pause);
	history_add(s->history, now, EVENT_SAME_TOKEN, s->current.generation,
		"the login server returned the same token again; next attempt in %lld s",
		(long long)duration_ceil_s(pause));
}

static void new_token(struct token_source *s, const struct clock_reading *now,
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
	history_add(s->history, now, EVENT_TOKEN, s->current.generation,
		"token %s for %lld s, served for %lld s, refresh in %lld s",
		s->current.token.fingerprint, (long long)(s->current.life.issued.ns / NS_PER_S),
		(long long)duration_floor_s(boot_since(lifetime_dead(&s->current.life), now->boot)),
		(long long)duration_floor_s(boot_since(s->refresh_at, now->boot)));
}

/* What is served until the new token may be; NULL: nothing. A token that was rejected or is in
 * doubt is no reason to hold the new one back. */
static const struct token_slot *older_in_service(
	const struct token_source *s, const struct clock_reading *now)
{
	const struct token_slot *older = token_source_pick(s, now, 0);

	return older && !older->rejected && !token_source_doubtful(older, now) ? older : NULL;
}

/* `new_login`: it may be another person's, and then the older one must not be served any more. */
static enum fetched take_token(struct token_source *s, const struct clock_reading *now,
	const struct exchange *x, struct token_response *response, const struct skew_sample *sample,
	struct duration spread, uint64_t generation, bool new_login)
{
	const struct token_slot *older = new_login ? NULL : older_in_service(s, now);
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
	struct token_slot slot = {.generation = generation};

	switch (lifetime_begin(&slot.life, &evidence, &s->settings.policy)) {
	case LIFETIME_DEAD:
		response->class = RESPONSE_UNAVAILABLE;
		snprintf(response->words, sizeof(response->words),
			"the token was dead on arrival: expires_in %lld s, the login server's "
			"clocks %lld ms apart",
			(long long)(response->expires_in.ns / NS_PER_S),
			(long long)(spread.ns / NS_PER_MS));
		s->counters.fetches[RESPONSE_UNAVAILABLE]++;
		fetch_failed(s, now, response, false);
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
	s->counters.fetches[RESPONSE_TOKEN]++;
	s->failures = 0;
	s->last_failure = (struct source_failure){0};
	s->not_before = SOURCE_LONG_AGO;
	/* whoever wanted a fetch got one; those whom it does not help will ask again */
	s->next.urgency = URGENCY_NONE;
	token_move(&slot.token, &response->token);
	if (s->current.token.text && token_equal(&s->current.token, &slot.token)) {
		same_token(s, now, &slot);
		token_slot_empty(&slot);
		return FETCHED_SAME;
	}
	new_token(s, now, &slot, older);
	return FETCHED_TOKEN;
}

enum fetched token_source_fetched(struct token_source *s, const struct clock_reading *now,
	const struct exchange *x, struct token_response *response, const struct skew_sample *sample,
	struct duration spread, uint64_t generation)
{
	const struct fetch_under_way fetch = s->fetch;
	bool with_code = fetch.purpose == PURPOSE_CODE;
	enum fetched fetched = FETCHED_FAILED;

	s->fetch = (struct fetch_under_way){.purpose = PURPOSE_NONE};
	s->fetches_ended++;
	s->attention = s->changed = true;
	if (fetch.forgotten || (s->revoked && !with_code))
		return FETCHED_UNWANTED;
	if (with_code && response->class != RESPONSE_TOKEN) {
		token_source_code_failed(s, now, response);
	} else if (response->class == RESPONSE_TOKEN) {
		s->revoked = false;
		fetched = take_token(s, now, x, response, sample, spread, generation, with_code);
		if (fetch.request_outdated && s->current.token.text)
			s->refresh_at = now->boot;
	} else {
		s->counters.fetches[response->class]++;
		fetch_failed(s, now, response, fetch.request_outdated || fetch.credential_outdated);
	}
	return fetched;
}
