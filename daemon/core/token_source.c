/* States, by what there is to serve and what the latest fetch said:
 *
 *             fetch ok                      refresh due and failing
 *   waiting ───────────► fresh ◄──────────────────────────────────► stale
 *      │                   ▲  │ revoke                                │
 *      │ fetch fails       │  ▼                                       │ dead passed
 *      ▼          fetch ok │ revoked (until a forced fetch)           ▼
 *   unavailable / client_rejected / login_required ◄──────────────────┘
 *
 * One fetch at a time. It begins when it is due and the gate is open:
 *   due   now, when somebody needs it (nothing to serve, min_ttl, a report, an admin) or an
 *         unexplained wall step may have eaten what is left; else refresh_at; never when revoked
 *   gate  after not_before (backoff, Retry-After, 15 minutes after a rejection), which only an
 *         admin's refresh may pass; and never more than mint_limit fetches in 300 s, whoever asks
 *
 * Invariants:
 *   - what is served has valid <= now and at least a second until dead, which never moves out
 *   - a failed fetch takes nothing away: the token stays until its own dead
 *   - a reported token is served only if the fetch that was to replace it failed or the caller's
 *     wait ended, and then as stale; once replaced it is never served again
 *   - every fetch that begins is ended by token_source_fetched before the next begins
 *   - a lone exchange that disagrees causes at most one fetch a minute */
#include "token_source.h"

#include "exchange.h"

#include <stdio.h>
#include <string.h>

#define STEP_REFRESH_APART_S 60
#define SAME_TOKEN_WAIT_S 10

void token_source_init(struct token_source *s, const struct token_source_settings *settings,
	struct mint_window *mint, struct history *history, uint64_t seed)
{
	*s = (struct token_source){
		.settings = *settings,
		.mint = mint,
		.history = history,
		.random = {seed},
		.not_before = {INT64_MIN},
		.attention = true,
		.change_at = BOOT_TIME_NEVER,
	};
}

void token_source_fini(struct token_source *s)
{
	token_slot_empty(&s->current);
	token_slot_empty(&s->previous);
}

void token_source_restore(
	struct token_source *s, struct boot_time not_before, const struct source_failure *failure)
{
	s->not_before = not_before;
	if (failure) {
		s->last_failure = *failure;
		s->failures = 1;
	}
	s->attention = true;
}

void token_source_save(const struct token_source *s, struct boot_time *ret_not_before,
	struct source_failure *ret_failure)
{
	*ret_not_before = s->not_before;
	*ret_failure = s->last_failure;
}

void token_source_past_fini(struct token_source_past *past)
{
	token_slot_empty(&past->current);
	token_slot_empty(&past->previous);
}

void token_source_resume(struct token_source *s, const struct clock_reading *now,
	struct token_source_past *past, bool request_changed)
{
	struct token_slot *c = &s->current;

	token_slot_move(c, &past->current);
	token_slot_move(&s->previous, &past->previous);
	s->refresh_at = request_changed ? now->boot : past->refresh_at;
	s->revoked = past->revoked;
	s->was_forced = past->was_forced;
	s->forced_at = past->forced_at;
	s->had_step_refresh = past->had_step_refresh;
	s->step_refresh_at = past->step_refresh_at;
	/* The backoff goes on growing; whether there is one is told by token_source_restore. */
	if (s->failures && past->failures > s->failures)
		s->failures = past->failures;
	/* The fetch that was to replace it went down with the daemon: another one is due, and
	 * callers are held for it as they were. */
	if (c->token.text && c->reported && past->replacing) {
		s->wanted = true;
		s->replacing = !boot_before(now->boot, token_source_gate(s, now->boot, false));
	}
	s->attention = s->changed = true;
	if (c->token.text)
		history_add(s->history, now, EVENT_STARTED, c->generation,
			"token %s was handed over by the run before, served for %lld s, refresh in "
			"%lld s",
			c->token.fingerprint,
			(long long)duration_floor_s(boot_since(lifetime_dead(&c->life), now->boot)),
			(long long)duration_floor_s(boot_since(s->refresh_at, now->boot)));
	else if (s->revoked)
		history_add(s->history, now, EVENT_STARTED, 0,
			"an admin revoked the token before the restart; still stopped");
}

void token_source_exchange(struct token_source *s, const struct clock_reading *now,
	const struct skew_sample *sample, struct duration spread)
{
	struct token_slot *slots[] = {&s->current, &s->previous};
	struct boot_time dead = lifetime_dead(&s->current.life);

	/* Who is held because of a doubt need not wait for the fetch: this response ends it. */
	s->changed |= s->current.token.text && lifetime_suspect(&s->current.life, now).ns > 0;
	for (size_t i = 0; i < 2; i++) {
		struct token_slot *slot = slots[i];
		struct duration before = slot->life.step;

		if (!slot->token.text)
			continue;
		switch (lifetime_exchange(&slot->life, sample, spread)) {
		case LIFETIME_STEP_COUNTED:
			history_add(s->history, now, EVENT_SERVER_STEP, slot->generation,
				"the login server's clock runs %lld ms ahead of what this token's "
				"exchange allowed for: it dies that much earlier",
				(long long)(slot->life.step.ns / NS_PER_MS));
			s->changed |= slot->life.step.ns != before.ns;
			break;
		case LIFETIME_STEP_ALONE:
			if (slot != &s->current ||
				(s->had_step_refresh &&
					boot_since(now->boot, s->step_refresh_at).ns <
						STEP_REFRESH_APART_S * NS_PER_S))
				break;
			s->had_step_refresh = true;
			s->step_refresh_at = now->boot;
			s->wanted = true;
			s->probes_wanted = 1;
			history_add(s->history, now, EVENT_SERVER_STEP, slot->generation,
				"one exchange says that the login server's clock was set ahead by "
				"%lld ms: fetching anew to be sure",
				(long long)(slot->life.step_most.ns / NS_PER_MS));
			break;
		case LIFETIME_STEP_NONE:
			break;
		}
	}
	if (s->current.token.text)
		s->refresh_at =
			boot_sub(s->refresh_at, boot_since(dead, lifetime_dead(&s->current.life)));
	s->attention = true;
}

/* `outdated`: what was refused is not what would be sent now. */
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
			"%.160s%s; the login has ended: somebody has to log in anew",
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

	s->counters.same_token++;
	/* Only the earlier of the two ends: the server may count the same token's life anew. It is
	 * valid since it first came. */
	if (boot_before(dead, lifetime_dead(l))) {
		l->end = boot_sub(l->end, boot_since(lifetime_dead(l), dead));
		l->by_exp = offered->life.by_exp;
	}
	left = boot_since(lifetime_dead(l), now->boot);
	pause = duration_max(duration_ns(left.ns / 2), duration_s(SAME_TOKEN_WAIT_S));
	s->refresh_at = s->not_before = boot_add(now->boot, pause);
	history_add(s->history, now, EVENT_SAME_TOKEN, s->current.generation,
		"the login server gave the same token again; next attempt in %lld s",
		(long long)duration_ceil_s(pause));
}

static void new_token(struct token_source *s, const struct clock_reading *now,
	struct token_slot *slot, const struct token_slot *older)
{
	bool replaced = s->current.reported;

	if (replaced)
		history_add(s->history, now, EVENT_REPLACED, slot->generation,
			"replaces generation %llu, which a client reported as refused",
			(unsigned long long)s->current.generation);
	if (older == &s->current)
		token_slot_move(&s->previous, &s->current);
	else if (older != &s->previous)
		token_slot_empty(&s->previous);
	token_slot_move(&s->current, slot);
	s->fetch_succeeded = s->fetches_ended;
	s->login_end_told = false;
	s->refresh_at = lifetime_refresh_at(&s->current.life, &s->settings.policy, &s->random);
	history_add(s->history, now, EVENT_TOKEN, s->current.generation,
		"token %s for %lld s, served for %lld s, refresh in %lld s",
		s->current.token.fingerprint, (long long)(s->current.life.issued.ns / NS_PER_S),
		(long long)duration_floor_s(boot_since(lifetime_dead(&s->current.life), now->boot)),
		(long long)duration_floor_s(boot_since(s->refresh_at, now->boot)));
}

/* What goes on serving until a new token may; NULL: nothing. A token that was reported or is in
 * doubt is no reason to hold the new one back. */
static const struct token_slot *older_in_service(
	const struct token_source *s, const struct clock_reading *now)
{
	const struct token_slot *older = token_source_pick(s, now, 0);

	return older && !older->reported && !token_source_doubtful(older, now) ? older : NULL;
}

/* `new_login`: it may be another person's, and then the one before it must not go on. */
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
		/* A report is about this token's like: what replaces it is not held back. */
		.background = older && !s->current.reported,
	};
	struct token_slot slot = {.generation = generation};

	switch (lifetime_begin(&slot.life, &evidence, &s->settings.policy)) {
	case LIFETIME_DEAD:
		response->class = RESPONSE_UNAVAILABLE;
		snprintf(response->words, sizeof(response->words),
			"the token was of no use on arrival: expires_in %lld s, clocks of the "
			"login "
			"server %lld ms apart",
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
	s->not_before = (struct boot_time){INT64_MIN};
	/* whoever wanted a fetch got one; if it does not serve them, they will ask again */
	s->wanted = s->forced = false;
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
	bool request_outdated = s->request_outdated;
	bool outdated = request_outdated || s->credential_outdated;
	bool with_code = s->fetching_code, forgotten = s->fetching_forgotten;
	enum fetched fetched = FETCHED_FAILED;

	s->fetching = s->fetching_code = s->fetching_forgotten = false;
	s->replacing = false;
	s->request_outdated = s->credential_outdated = false;
	s->fetches_ended++;
	s->attention = s->changed = true;
	if (forgotten || (s->revoked && !with_code))
		return FETCHED_UNWANTED;
	if (with_code && response->class != RESPONSE_TOKEN) {
		token_source_code_failed(s, now, response);
	} else if (response->class == RESPONSE_TOKEN) {
		s->revoked = false;
		fetched = take_token(s, now, x, response, sample, spread, generation, with_code);
		if (request_outdated && s->current.token.text)
			s->refresh_at = now->boot;
	} else {
		s->counters.fetches[response->class]++;
		fetch_failed(s, now, response, outdated);
	}
	return fetched;
}

void token_source_clock_changed(struct token_source *s)
{
	s->attention = s->changed = true;
}

void token_source_probed(struct token_source *s)
{
	s->attention = true;
}

void token_source_configure(struct token_source *s, const struct clock_reading *now,
	const struct token_source_settings *settings, bool request_changed, bool credential_changed)
{
	bool rejected =
		s->last_failure.any && (s->last_failure.class == RESPONSE_CLIENT_REJECTED ||
					       s->last_failure.class == RESPONSE_LOGIN_REQUIRED);

	s->settings = *settings;
	/* What is under way was begun before; its end is judged by that. */
	s->request_outdated |= s->fetching && request_changed;
	s->credential_outdated |= s->fetching && credential_changed;
	if ((credential_changed || request_changed) && rejected) {
		s->not_before = (struct boot_time){INT64_MIN};
		s->failures = 0;
		s->wanted |= s->settings.prefetch;
	}
	if (s->current.token.text) {
		/* use_margin belongs to the token as it was judged; the refresh can move */
		s->refresh_at = request_changed || s->current.reported
					? now->boot
					: lifetime_refresh_at(&s->current.life, &s->settings.policy,
						  &s->random);
	}
	s->attention = s->changed = true;
}

void token_source_revoke(
	struct token_source *s, const struct clock_reading *now, struct token ret_tokens[2])
{
	ret_tokens[0] = ret_tokens[1] = TOKEN_NONE;
	token_move(&ret_tokens[0], &s->current.token);
	token_move(&ret_tokens[1], &s->previous.token);
	history_add(s->history, now, EVENT_REVOKED, s->current.generation,
		"revoked by an admin; stopped until the next refresh by an admin");
	token_slot_empty(&s->current);
	token_slot_empty(&s->previous);
	s->revoked = true;
	/* also a login that is being finished: whoever stops a profile means all of it */
	s->fetching_code = s->code_waiting = false;
	s->wanted = s->forced = s->replacing = false;
	s->attention = s->changed = true;
}
