/* The states, by what there is to serve and what the latest fetch brought:
 *
 *             fetch ok                      refresh due and failing
 *   waiting ───────────► fresh ◄──────────────────────────────────► stale
 *      │                   ▲  │ revoke                                │
 *      │ fetch fails       │  ▼                                       │ dead passed
 *      ▼          fetch ok │ revoked (until a forced fetch)           ▼
 *   unavailable / client_rejected / login_required ◄──────────────────┘
 *
 * One fetch at a time. It begins when it is due and the gate is open:
 *   due   now, if somebody needs one (nothing to serve, min_ttl, a rejected token, an admin) or if
 *         an unexplained step of the wall clock may have eaten what is left; else at refresh_at;
 *         never while revoked
 *   gate  open from not_before on (backoff, which is short while callers are refused; Retry-After;
 *         or until a knock at a silent server is answered;
 *         after the server refused the client 30 s, half of what the token has left, 15 minutes),
 *         which only an admin's refresh may pass; and never for more than mint_limit fetches in
 *         300 s that may have minted a token, whoever asks, and for fewer where a rejected
 *         token is the only reason
 *
 * Invariants:
 *   - what is served has valid <= now and at least a second until dead, which never moves out;
 *     while no other can be fetched, until use_margin later, and then as stale
 *   - a failed fetch takes nothing away: the token stays until its own dead
 *   - a rejected token is served only where the caller's wait ends, or no fetch can begin inside
 *     of it, and then as stale; once replaced it is never served again
 *   - every fetch that begins is ended by token_source_fetched before the next begins
 *   - a lone exchange that disagrees causes at most one fetch a minute */
#include "token_source.h"

#include "token_next.h"

#define STEP_REFRESH_APART_S 60
#define STEP_ANSWER_WITHIN_S 10

void token_source_init(struct token_source *s, const struct token_source_settings *settings,
	struct mint_window *mint, struct history *history, uint64_t seed)
{
	*s = (struct token_source){
		.settings = *settings,
		.mint = mint,
		.mint_number = mint_window_join(mint),
		.history = history,
		.random = {seed},
		.not_before = SOURCE_LONG_AGO,
		.not_before_waited = SOURCE_LONG_AGO,
		.knock = SOURCE_KNOCK_NONE,
		.refresh_unrejected = BOOT_TIME_NEVER,
		.replaced_at = SOURCE_LONG_AGO,
		.step_refresh_at = SOURCE_LONG_AGO,
		.attention = true,
		.change_at = BOOT_TIME_NEVER,
	};
}

void token_source_fini(struct token_source *s)
{
	token_slot_empty(&s->current);
	token_slot_empty(&s->previous);
	if (s->mint)
		mint_window_leave(s->mint);
	s->mint = NULL;
}

bool token_source_needs_turn(const struct token_source *s)
{
	return s->attention;
}

/* One exchange alone says that the server's clock was set ahead, or that our machine was held. It
 * may lie; another HEAD tells in a moment. If none does, the next token's request has to. */
static void doubt_current(struct token_source *s, const struct clock_reading *now)
{
	const struct lifetime *l = &s->current.life;
	struct duration supposed = duration_sub(l->step_most, l->step);
	struct boot_time soon = boot_add(now->boot, duration_s(STEP_ANSWER_WITHIN_S));

	if (boot_since(now->boot, s->step_refresh_at).ns < STEP_REFRESH_APART_S * NS_PER_S)
		return;
	s->step_refresh_at = now->boot;
	s->probes_wanted = 1;
	if (boot_before(boot_sub(lifetime_dead(l), supposed), soon)) {
		token_source_want_fetch(s, URGENCY_WANTED);
	} else if (boot_before(soon, s->refresh_at)) {
		s->refresh_at = soon;
		s->refresh_by_doubt = true;
	}
	history_add(s->history, now, EVENT_SERVER_STEP, s->current.generation,
		"one exchange says that the login server's clock was set ahead by %lld ms: another "
		"one has to confirm it",
		(long long)(l->step_most.ns / NS_PER_MS));
}

static void step_counted(struct token_source *s, const struct clock_reading *now,
	const struct token_slot *slot, struct duration before)
{
	history_add(s->history, now, EVENT_SERVER_STEP, slot->generation,
		"the login server's clock runs %lld ms ahead of what this token's exchange allowed "
		"for: the token expires that much earlier",
		(long long)(slot->life.step.ns / NS_PER_MS));
	s->changed |= slot->life.step.ns != before.ns;
}

void token_source_exchange(struct token_source *s, const struct clock_reading *now,
	const struct skew_sample *sample, struct duration spread)
{
	struct token_slot *slots[] = {&s->current, &s->previous};
	struct boot_time dead = lifetime_dead(&s->current.life);
	bool settled = false;

	for (size_t i = 0; i < 2; i++) {
		struct token_slot *slot = slots[i];
		struct duration before = slot->life.step;

		if (!slot->token.text)
			continue;
		/* Callers who are held because of a doubt need not wait for the fetch: this ends
		 * it. */
		s->changed |= lifetime_suspect(&slot->life, now).ns > 0;
		switch (lifetime_exchange(&slot->life, sample, spread)) {
		case LIFETIME_STEP_COUNTED:
			step_counted(s, now, slot, before);
			settled |= slot == &s->current;
			break;
		case LIFETIME_STEP_ALONE:
			if (slot == &s->current)
				doubt_current(s, now);
			break;
		case LIFETIME_STEP_NONE:
			break;
		}
	}
	if (settled && s->refresh_by_doubt)
		token_source_plan_refresh(s);
	else if (s->current.token.text)
		s->refresh_at =
			boot_sub(s->refresh_at, boot_since(dead, lifetime_dead(&s->current.life)));
	s->attention = true;
}

/* By the clock as it is now a certificate may be valid. One that is set again and again causes no
 * more attempts than callers do who are refused. */
static void try_by_new_clock(struct token_source *s)
{
	const struct source_failure *f = &s->last_failure;
	struct boot_time at = boot_add(f->at, duration_s(RETRY_MOST_WAITED_S));

	if (!f->any || !f->unsent)
		return;
	s->not_before = boot_min(s->not_before, at);
	s->not_before_waited = boot_min(s->not_before_waited, at);
}

void token_source_clock_changed(struct token_source *s)
{
	try_by_new_clock(s);
	s->attention = s->changed = true;
}

void token_source_probed(struct token_source *s)
{
	s->attention = true;
}

void token_source_mended(struct token_source *s)
{
	const struct source_failure *f = &s->last_failure;
	bool refused = f->class == RESPONSE_CLIENT_REJECTED || f->class == RESPONSE_LOGIN_REQUIRED;

	if (!f->any || (!refused && !f->unfit && f->status != 0))
		return;
	token_source_retry_at(s, SOURCE_LONG_AGO);
	s->failures = s->refusals = 0;
	if (s->settings.prefetch)
		token_source_want_fetch(s, URGENCY_WANTED);
	s->attention = s->changed = true;
}

void token_source_credential_changed(struct token_source *s)
{
	if (s->fetch.purpose != PURPOSE_NONE)
		s->fetch.credential_outdated = true;
	token_source_mended(s);
}

void token_source_configure(struct token_source *s, const struct clock_reading *now,
	const struct token_source_settings *settings, bool request_changed, bool credential_changed)
{
	s->low_limit_told &= s->settings.mint_limit == settings->mint_limit;
	s->settings = *settings;
	/* The fetch under way was begun before; its end is judged by that. */
	if (s->fetch.purpose != PURPOSE_NONE) {
		s->fetch.request_outdated |= request_changed;
		s->fetch.credential_outdated |= credential_changed;
	}
	token_source_mended(s);
	if (s->current.token.text) {
		/* use_margin stays as the token was judged by it; its refresh can move */
		token_source_plan_refresh(s);
		if (request_changed)
			s->refresh_unrejected = now->boot;
		if (request_changed || s->current.rejected)
			s->refresh_at = now->boot;
	}
	s->attention = s->changed = true;
}

/* Then who stops it again, however often, does nothing that is worth telling. */
static bool nothing_to_stop(const struct token_source *s)
{
	return !s->current.token.text && !s->previous.token.text && !s->next.code &&
	       s->fetch.purpose == PURPOSE_NONE;
}

/* Stopping a source stops all of it: what callers wait for, and a login that is being finished,
 * whose fetch counts no more than any other from here on. */
static void stop(struct token_source *s, struct token ret_tokens[2])
{
	ret_tokens[0] = ret_tokens[1] = TOKEN_NONE;
	token_move(&ret_tokens[0], &s->current.token);
	token_move(&ret_tokens[1], &s->previous.token);
	token_slot_empty(&s->current);
	token_slot_empty(&s->previous);
	s->next = (struct fetch_next){0};
	if (s->fetch.purpose == PURPOSE_CODE)
		s->fetch.purpose = PURPOSE_TOKEN;
	s->attention = s->changed = true;
}

void token_source_revoke(
	struct token_source *s, const struct clock_reading *now, struct token ret_tokens[2])
{
	if (!s->revoked || !nothing_to_stop(s))
		history_add(s->history, now, EVENT_REVOKED, s->current.generation,
			"revoked by an admin; stopped until an admin refreshes it");
	stop(s, ret_tokens);
	s->revoked = true;
}

void token_source_log_out(
	struct token_source *s, const struct clock_reading *now, struct token ret_tokens[2])
{
	if (s->login != SOURCE_LOGIN_NONE || !nothing_to_stop(s))
		history_add(s->history, now, EVENT_LOGGED_OUT, s->current.generation,
			"logged out; stopped until the next login");
	stop(s, ret_tokens);
	s->login = SOURCE_LOGIN_NONE;
	s->fetch.forgotten = s->fetch.purpose != PURPOSE_NONE;
	s->revoked = false;
	s->failures = s->refusals = 0;
	s->last_failure = (struct source_failure){0};
}
