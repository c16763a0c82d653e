#include "token_source.h"

#include <string.h>

bool token_source_doubtful(const struct token_slot *slot, const struct clock_reading *now)
{
	struct duration suspect = lifetime_suspect(&slot->life, now);

	return suspect.ns &&
	       boot_since(lifetime_dead(&slot->life), now->boot).ns < ns_add(suspect.ns, NS_PER_S);
}

const struct token_slot *token_source_pick(
	const struct token_source *s, const struct clock_reading *now, uint64_t not_generation)
{
	bool previous = token_slot_usable(&s->previous, now) && !s->previous.reported &&
			s->previous.generation != not_generation &&
			!token_source_doubtful(&s->previous, now);

	if (token_slot_usable(&s->current, now) &&
		!(previous && boot_before(now->boot, s->current.life.guard_until)))
		return &s->current;
	return previous ? &s->previous : NULL;
}

struct boot_time token_source_gate(const struct token_source *s, struct boot_time now, bool forced)
{
	struct boot_time gate = forced ? now : boot_max(now, s->not_before);

	if (s->login == SOURCE_LOGIN_NONE || (s->login == SOURCE_LOGIN_REFUSED && !forced))
		return BOOT_TIME_NEVER;
	return mint_window_next(s->mint, s->settings.mint_limit, gate);
}

bool token_source_stale(const struct token_source *s, const struct clock_reading *now,
	const struct token_slot *slot)
{
	if (slot != &s->current)
		return false;
	if (slot->reported)
		return true;
	if (boot_before(now->boot, s->refresh_at))
		return false;
	return s->failures || (s->settings.prefetch && boot_since(now->boot, s->refresh_at).ns >
							       SOURCE_OVERDUE_S * NS_PER_S);
}

static struct duration suspect_now(const struct token_source *s, const struct clock_reading *now)
{
	return s->current.token.text ? lifetime_suspect(&s->current.life, now) : DURATION_ZERO;
}

static struct boot_time fetch_due(const struct token_source *s, const struct clock_reading *now)
{
	const struct token_slot *c = &s->current;

	if (s->fetching)
		return BOOT_TIME_NEVER;
	if (s->code_waiting)
		return now->boot;
	if (s->revoked)
		return BOOT_TIME_NEVER;
	if (s->wanted)
		return now->boot;
	if (!c->token.text)
		return s->settings.prefetch ? now->boot : BOOT_TIME_NEVER;
	if (!s->settings.prefetch)
		return BOOT_TIME_NEVER;
	return token_source_doubtful(c, now) ? now->boot : s->refresh_at;
}

/* When the next fetch begins by itself. */
static struct boot_time fetch_at(const struct token_source *s, const struct clock_reading *now)
{
	struct boot_time due = fetch_due(s, now);

	if (due.ns == BOOT_TIME_NEVER.ns)
		return due;
	if (s->code_waiting)
		return mint_window_next(s->mint, s->settings.mint_limit, now->boot);
	return token_source_gate(s, boot_max(due, now->boot), s->forced);
}

static void tell_mint_limit(struct token_source *s, const struct clock_reading *now)
{
	struct boot_time open = s->forced ? now->boot : boot_max(now->boot, s->not_before);
	struct boot_time at = mint_window_next(s->mint, s->settings.mint_limit, open);
	bool can = s->code_waiting ||
		   token_source_gate(s, now->boot, s->forced).ns != BOOT_TIME_NEVER.ns;
	bool limited = can && !boot_before(now->boot, fetch_due(s, now)) && boot_before(open, at);

	if (limited && !s->mint_limit_told) {
		/* who was held for a fetch at once, before another profile of the same client took
		 * the last place in the window, need not wait in vain */
		s->changed = true;
		history_add(s->history, now, EVENT_MINT_LIMIT, s->current.generation,
			"mint_limit: %u fetches in %d s are used up; the next one in %lld s",
			s->settings.mint_limit, MINT_WINDOW_S,
			(long long)duration_ceil_s(boot_since(at, now->boot)));
	}
	s->mint_limit_told = limited;
}

static void let_go_of_the_dead(struct token_source *s, const struct clock_reading *now)
{
	const struct token_slot *c = &s->current;

	/* Once the newest token serves, the one before it is only a secret in memory; so it is when
	 * an exchange has taken from it what was left. */
	if (s->previous.token.text &&
		(!token_slot_usable(&s->previous, now) ||
			(token_slot_usable(c, now) &&
				!boot_before(now->boot, c->life.guard_until)))) {
		token_slot_empty(&s->previous);
		s->changed = true;
	}
	/* Also before it is valid, where a step has left nothing of it. */
	if (c->token.text &&
		boot_since(lifetime_dead(&c->life), boot_max(now->boot, c->life.valid)).ns <
			NS_PER_S) {
		history_add(s->history, now, EVENT_EXPIRED, c->generation,
			"the token reached its end and there is no newer one%s%s",
			s->last_failure.any ? ": " : "", s->last_failure.words);
		token_slot_empty(&s->current);
		s->changed = true;
	}
}

struct boot_time token_source_next_change(
	const struct token_source *s, const struct clock_reading *now)
{
	const struct token_slot *c = &s->current, *p = &s->previous;
	struct boot_time at = BOOT_TIME_NEVER;
	struct boot_time instants[] = {
		c->token.text ? c->life.valid : BOOT_TIME_NEVER,
		c->token.text && p->token.text ? c->life.guard_until : BOOT_TIME_NEVER,
		c->token.text ? boot_sub(lifetime_dead(&c->life), duration_ns(NS_PER_S - 1))
			      : BOOT_TIME_NEVER,
		p->token.text ? boot_sub(lifetime_dead(&p->life), duration_ns(NS_PER_S - 1))
			      : BOOT_TIME_NEVER,
		p->token.text ? boot_sub(lifetime_dead(&p->life),
					duration_add(lifetime_suspect(&p->life, now),
						duration_ns(NS_PER_S - 1)))
			      : BOOT_TIME_NEVER,
	};

	for (size_t i = 0; i < sizeof(instants) / sizeof(*instants); i++)
		if (boot_before(now->boot, instants[i]))
			at = boot_min(at, instants[i]);
	return at;
}

bool token_source_needs_turn(const struct token_source *s)
{
	return s->attention;
}

void token_source_decide(
	struct token_source *s, const struct clock_reading *now, struct token_source_decisions *ret)
{
	struct token_source_decisions d = {.wake_at = BOOT_TIME_NEVER};
	const struct token_slot *picked;
	struct duration suspect;
	struct boot_time at;

	/* Somebody may be held for just this instant: a token that has become valid. */
	if (!boot_before(now->boot, s->change_at))
		s->changed = true;
	let_go_of_the_dead(s, now);
	/* Or for an exchange that cast doubt on the one token, and so brought in the other. */
	picked = token_source_pick(s, now, 0);
	s->changed |= s->picked != (picked ? picked->generation : 0);
	s->picked = picked ? picked->generation : 0;
	suspect = suspect_now(s, now);
	d.probes = s->probes_wanted;
	/* Of a token without a Date no exchange can tell; it is replaced in time instead. */
	if (suspect.ns && s->current.life.dated && !d.probes)
		d.probes = 1;
	s->probes_wanted = 0;
	tell_mint_limit(s, now);
	at = fetch_at(s, now);
	if (!boot_before(now->boot, at)) {
		d.fetch = true;
		s->fetching = true;
		d.code = s->fetching_code = s->code_waiting;
		/* what was wanted besides is fetched when that has ended, if it is wanted still */
		s->code_waiting = false;
		s->wanted = s->forced = false;
		s->fetches_begun++;
		mint_window_add(s->mint, now->boot);
		at = BOOT_TIME_NEVER;
	}
	/* Another profile of the same client can have taken the last place in the mint window. */
	if (s->replacing && !s->fetching) {
		s->replacing = false;
		s->changed = true;
	}
	s->change_at = token_source_next_change(s, now);
	d.wake_at = boot_min(at, s->change_at);
	d.wake_at = boot_min(d.wake_at, token_source_tell_login_end(s, now));
	/* A suspected loss of time can eat up the rest before dead is reached. */
	if (suspect.ns && !s->fetching && s->current.token.text) {
		struct boot_time gone = boot_sub(lifetime_dead(&s->current.life),
			duration_add(suspect, duration_ns(NS_PER_S - 1)));

		if (boot_before(now->boot, gone))
			d.wake_at = boot_min(d.wake_at, gone);
	}
	d.changed = s->changed;
	s->changed = false;
	s->attention = false;
	*ret = d;
}

static enum source_state state_without_token(const struct token_source *s)
{
	if (s->login == SOURCE_LOGIN_NONE || s->login == SOURCE_LOGIN_REFUSED)
		return SOURCE_LOGIN_REQUIRED;
	if (!s->last_failure.any)
		return SOURCE_WAITING;
	switch (s->last_failure.class) {
	case RESPONSE_CLIENT_REJECTED:
		return SOURCE_CLIENT_REJECTED;
	case RESPONSE_LOGIN_REQUIRED:
		return SOURCE_LOGIN_REQUIRED;
	case RESPONSE_TOKEN:
	case RESPONSE_UNAVAILABLE:
	case RESPONSE_THROTTLED:
		break;
	}
	return SOURCE_UNAVAILABLE;
}

void token_source_view(
	const struct token_source *s, const struct clock_reading *now, struct source_view *ret)
{
	struct source_view v = {.slot = token_source_pick(s, now, 0)};

	if (v.slot) {
		v.state = token_source_stale(s, now, v.slot) ? SOURCE_STALE : SOURCE_FRESH;
		v.expires_in = boot_since(lifetime_dead(&v.slot->life), now->boot);
		v.refresh_in = boot_since(s->refresh_at, now->boot);
	} else {
		v.state = s->revoked ? SOURCE_REVOKED : state_without_token(s);
	}
	v.next_attempt = fetch_at(s, now);
	*ret = v;
}

struct duration token_source_issued(const struct token_source *s)
{
	return s->current.token.text ? s->current.life.issued : DURATION_ZERO;
}

const char *source_state_name(enum source_state state)
{
	static const char *const names[] = {
		[SOURCE_FRESH] = "fresh",
		[SOURCE_STALE] = "stale",
		[SOURCE_WAITING] = "waiting",
		[SOURCE_UNAVAILABLE] = "unavailable",
		[SOURCE_CLIENT_REJECTED] = "client_rejected",
		[SOURCE_LOGIN_REQUIRED] = "login_required",
		[SOURCE_REVOKED] = "revoked",
	};

	return names[state];
}

uint64_t token_source_generation_of(const struct token_source *s, const char *fingerprint)
{
	if (s->current.token.text && !strcmp(s->current.token.fingerprint, fingerprint))
		return s->current.generation;
	if (s->previous.token.text && !strcmp(s->previous.token.fingerprint, fingerprint))
		return s->previous.generation;
	return 0;
}
