#include "token_fetch.h"

#include "exchange.h"
#include "lifetime_adopt.h"
#include "token_judge.h"
#include "token_login.h"
#include "token_response.h"

#include <stdio.h>
#include <string.h>

/* So many in a row are no passing trouble any more. */
#define UNANSWERED_MANY 3
#define KNOCK_SHARE 5 /* of mint_limit one part in so many is for what knocks lead to */
#define SAME_TOKEN_WAIT_S 10
/* Its end is known to two seconds; after five it is no more the rounding of its lifetime. */
#define SAME_TOKEN_ENDED_WAIT_S 1
#define SAME_TOKEN_ENDED_S 5

void token_source_want_fetch(struct token_source *s, enum fetch_urgency urgency)
{
	if (s->next.urgency >= urgency)
		return;
	s->next.urgency = urgency;
	s->attention = true;
}

void token_source_plan_refresh(struct token_source *s)
{
	const struct token_slot *c = &s->current;

	s->refresh_at = s->settings.shared
				? lifetime_shared_refresh_at(&c->life, c->own, &s->random)
				: lifetime_refresh_at(&c->life, &s->settings.policy, &s->random);
	s->refresh_by_doubt = false;
}

void token_source_wait_for_fetch(struct token_source *s)
{
	if (s->fetch.purpose != PURPOSE_NONE) {
		s->attention |= s->knock.silence && !s->fetch.waited;
		s->fetch.waited = true;
		return;
	}
	s->next.waited = true;
	if (boot_before(s->not_before_waited, s->not_before)) {
		s->not_before = s->not_before_waited;
		s->attention = true;
	}
	token_source_want_fetch(s, URGENCY_WANTED);
}

void token_source_retry_at(struct token_source *s, struct boot_time at)
{
	s->not_before = s->not_before_waited = at;
}

void token_source_note_latest(struct token_source *s)
{
	if (!s->current.token.text)
		return;
	memcpy(s->latest.fingerprint, s->current.token.fingerprint, sizeof(s->latest.fingerprint));
	s->latest.end = lifetime_over(&s->current.life);
	s->latest.again = false;
}

void token_source_fetch_begins(struct token_source *s, const struct clock_reading *now)
{
	s->fetch = (struct fetch_under_way){
		.purpose = s->next.code ? PURPOSE_CODE : PURPOSE_TOKEN,
		.waited = s->next.waited,
		.knocked = s->next.knocked,
		.by_rejection = token_source_by_rejection(s, now->boot, s->next.urgency),
		.give_up_at = BOOT_TIME_NEVER,
		.begun = now->boot,
	};
	/* a token that was wanted besides a code is fetched after it, if it is still wanted */
	s->next = (struct fetch_next){0};
	mint_window_add(s->mint, now->boot);
}

struct duration token_source_left_to_serve(
	const struct token_source *s, const struct clock_reading *now)
{
	const struct token_slot *c = &s->current;

	return c->token.text && !c->rejected ? boot_since(lifetime_dead(&c->life), now->boot)
					     : DURATION_ZERO;
}

/* When to send another request after one that left at `sent` and, like some before it, was not
 * answered. Where a knock may be answered any moment, there is to be room for what follows it. */
static struct boot_time spread_unanswered(
	const struct token_source *s, const struct clock_reading *now, struct boot_time sent)
{
	unsigned limit = mint_window_limit(s->mint, s->settings.mint_limit);

	if (s->knock.unheard)
		limit -= limit / KNOCK_SHARE;
	return boot_max(mint_window_spread(s->mint, limit, sent),
		mint_window_next(s->mint, limit, now->boot));
}

/* Sets when the next fetch may begin, by what the latest brought. */
static void pause_after(struct token_source *s, const struct clock_reading *now,
	const struct exchange *x, const struct token_response *response, bool waited)
{
	bool busy = response->class == RESPONSE_THROTTLED || response->status == 429 ||
		    response->status == 503;
	struct duration left = token_source_left_to_serve(s, now), pause, short_pause,
			least = DURATION_ZERO;

	pause = retry_delay(s->failures, RETRY_MOST_S, &s->random);
	short_pause = retry_delay(
		s->failures, busy ? RETRY_MOST_BUSY_S : RETRY_MOST_WAITED_S, &s->random);
	pause = retry_in_life(pause, left);
	if (response->has_retry_after)
		least = retry_obey(response->retry_after);
	if (response->minted && s->failures > UNANSWERED_MANY)
		least = duration_max(
			least, boot_since(spread_unanswered(s, now, x->sent.boot), now->boot));
	short_pause = duration_max(duration_min(short_pause, pause), least);
	s->not_before_waited = boot_add(now->boot, short_pause);
	s->not_before =
		waited ? s->not_before_waited : boot_add(now->boot, duration_max(pause, least));
}

/* Refused in a way that no time heals; an answer of a form that is no use is no better. */
static void pause_after_refusal(struct token_source *s, const struct clock_reading *now,
	const struct token_response *response)
{
	struct duration pause = retry_refused(++s->refusals, token_source_left_to_serve(s, now));

	if (response->has_retry_after)
		pause = duration_max(pause, retry_obey(response->retry_after));
	token_source_retry_at(s, boot_add(now->boot, pause));
}

static enum event_kind event_of(enum response_class class)
{
	switch (class) {
	case RESPONSE_CLIENT_REJECTED:
		return EVENT_CLIENT_REJECTED;
	case RESPONSE_LOGIN_REQUIRED:
		return EVENT_LOGIN_REQUIRED;
	case RESPONSE_THROTTLED:
		return EVENT_THROTTLED;
	case RESPONSE_UNAVAILABLE:
	case RESPONSE_TOKEN:
		break;
	}
	return EVENT_FETCH_FAILED;
}

static void note_failure(struct token_source *s, const struct clock_reading *now,
	const struct token_response *response)
{
	struct source_failure *f = &s->last_failure;

	s->failures++;
	*f = (struct source_failure){.any = true,
		.unfit = response->unfit,
		.class = response->class,
		.status = response->status,
		.at = now->boot};
	snprintf(f->error, sizeof(f->error), "%s", response->error);
	snprintf(f->words, sizeof(f->words), "%s", response->words);
	snprintf(f->correlation_id, sizeof(f->correlation_id), "%s", response->correlation_id);
}

static void tell_failure(struct token_source *s, const struct clock_reading *now, bool waited)
{
	const struct source_failure *f = &s->last_failure;
	struct boot_time at = token_source_fetch_at(s, now);
	enum event_kind kind = event_of(f->class);
	char status[128] = "";

	if (f->status)
		snprintf(status, sizeof(status), " (HTTP %ld%s%s)", f->status,
			f->correlation_id[0] ? ", correlation id " : "", f->correlation_id);
	if (s->login == SOURCE_LOGIN_REFUSED) {
		history_add(s->history, now, kind, s->current.generation,
			"%.160s%s; the login has ended: somebody has to log in again", f->words,
			status);
		return;
	}
	/* nothing is planned where nobody asks: so much for whoever does */
	if (at.ns == BOOT_TIME_NEVER.ns)
		at = token_source_gate(s, now->boot, URGENCY_WANTED);
	if (waited)
		at = token_source_knock_chance(s, now->boot, at);
	history_add(s->history, now, kind, s->current.generation,
		"%.160s%s; next attempt in %lld s", f->words, status,
		(long long)duration_ceil_s(boot_since(at, now->boot)));
}

void token_source_failed_until(struct token_source *s, const struct clock_reading *now,
	const struct token_response *response, struct boot_time at)
{
	note_failure(s, now, response);
	token_source_retry_at(s, at);
	tell_failure(s, now, false);
}

static void note_silence(struct token_source *s, const struct exchange *x,
	const struct token_response *response, const struct fetch_under_way *fetch)
{
	struct source_knock *k = &s->knock;

	if (response->status) {
		*k = SOURCE_KNOCK_NONE;
		return;
	}
	k->silence = response->minted || x->silence;
	k->vain += k->silence && fetch->knocked;
}

/* A knock was answered since it left. */
static void ask_the_one_who_answers(struct token_source *s, const struct clock_reading *now)
{
	token_source_retry_at(s, now->boot);
	token_source_want_fetch(s, URGENCY_WANTED);
	s->next.waited = s->next.knocked = true;
}

static void fetch_failed(struct token_source *s, const struct clock_reading *now,
	const struct exchange *x, const struct token_response *response,
	const struct fetch_under_way *fetch)
{
	bool refused = response->class == RESPONSE_CLIENT_REJECTED ||
		       response->class == RESPONSE_LOGIN_REQUIRED;

	note_failure(s, now, response);
	note_silence(s, x, response, fetch);
	if ((refused || response->unfit) && (fetch->request_outdated || fetch->credential_outdated))
		/* what was refused, or got that, is not what would be sent now */
		token_source_retry_at(s, now->boot);
	else if (s->knock.silence && fetch->give_up_at.ns != BOOT_TIME_NEVER.ns)
		ask_the_one_who_answers(s, now);
	else if (refused || response->unfit)
		pause_after_refusal(s, now, response);
	else
		pause_after(s, now, x, response, fetch->waited);
	tell_failure(s, now, fetch->waited);
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
	fetch_failed(s, now, x, response, fetch);
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
		fetch_failed(s, now, x, response, fetch);
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
	fetch_failed(s, now, x, response, fetch);
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
