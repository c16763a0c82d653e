#include "token_decide.h"

#include "token_judge.h"
#include "token_login.h"
#include "token_next.h"
#include "token_reject.h"
#include "token_source.h"

static struct duration suspect_now(const struct token_source *s, const struct clock_reading *now)
{
	return s->current.token.text ? lifetime_suspect(&s->current.life, now) : DURATION_ZERO;
}

static void tell_mint_limit(struct token_source *s, const struct clock_reading *now)
{
	bool forced = s->next.urgency == URGENCY_FORCED;
	struct boot_time open = forced ? now->boot : boot_max(now->boot, s->not_before);
	struct boot_time at = token_source_room(s, open, s->next.urgency);
	bool share = boot_before(mint_window_next(s->mint, s->settings.mint_limit, open), at);
	bool can = s->next.code ||
		   token_source_gate(s, now->boot, s->next.urgency).ns != BOOT_TIME_NEVER.ns;
	bool limited = can && !boot_before(now->boot, token_source_fetch_due(s, now)) &&
		       boot_before(open, at);

	if (limited && !s->mint_limit_told) {
		/* callers held for a fetch that was to begin at once, before another profile of
		 * the same client took the last place in the window, need not wait in vain */
		s->changed = true;
		history_add(s->history, now, EVENT_MINT_LIMIT, s->current.generation,
			"mint_limit: all %u fetches %s in %d s are used up; the next one in "
			"%lld s",
			share ? token_source_rejections(s)
			      : mint_window_limit(s->mint, s->settings.mint_limit),
			share ? "that rejections may cause" : "allowed", MINT_WINDOW_S,
			(long long)duration_ceil_s(boot_since(at, now->boot)));
	}
	s->mint_limit_told = limited;
}

/* Our own clock may have been held back since. */
static void look_at_lives(struct token_source *s, const struct clock_reading *now)
{
	struct boot_time dead = lifetime_dead(&s->current.life);

	if (s->previous.token.text)
		lifetime_look(&s->previous.life, now);
	if (!s->current.token.text)
		return;
	lifetime_look(&s->current.life, now);
	s->refresh_at = boot_sub(s->refresh_at, boot_since(dead, lifetime_dead(&s->current.life)));
}

static void let_go_of_the_dead(struct token_source *s, const struct clock_reading *now)
{
	const struct token_slot *c = &s->current;

	/* Once the newest token is served, the older one is only a secret in memory; so it is once
	 * an exchange has taken what was left of it. */
	if (s->previous.token.text &&
		(!token_slot_usable(&s->previous, now) ||
			(token_slot_usable(c, now) &&
				!boot_before(now->boot, c->life.guard_until)))) {
		token_slot_empty(&s->previous);
		s->changed = true;
	}
	/* Also before it is valid, if a step has left nothing of it. Not before its last use_margin
	 * is over: it may be needed. */
	if (c->token.text &&
		boot_since(token_source_over(s), boot_max(now->boot, c->life.valid)).ns <
			NS_PER_S) {
		history_add(s->history, now, EVENT_EXPIRED, c->generation,
			"the token has expired and there is no newer one%s%s",
			s->last_failure.any ? ": " : "", s->last_failure.words);
		token_slot_empty(&s->current);
		s->changed = true;
	}
}

/* Returns when to look again. */
static struct boot_time look_at_fetch(
	struct token_source *s, const struct clock_reading *now, bool *ret_give_up)
{
	struct fetch_under_way *f = &s->fetch;

	if (!token_source_fetching(s) || f->given_up)
		return BOOT_TIME_NEVER;
	if (boot_before(now->boot, f->give_up_at))
		return f->give_up_at;
	*ret_give_up = f->given_up = true;
	return BOOT_TIME_NEVER;
}

void token_source_decide(
	struct token_source *s, const struct clock_reading *now, struct token_source_decisions *ret)
{
	struct token_source_decisions d = {.wake_at = BOOT_TIME_NEVER};
	const struct token_slot *picked;
	struct duration suspect;
	struct boot_time at, verify_at;

	/* Somebody may be held for this very instant, at which a token becomes valid. */
	if (!boot_before(now->boot, s->change_at))
		s->changed = true;
	look_at_lives(s, now);
	let_go_of_the_dead(s, now);
	/* Or an exchange cast doubt on one token, so that the other is served. */
	picked = token_source_pick(s, now, 0);
	s->changed |= s->picked != (picked ? picked->generation : 0);
	s->picked = picked ? picked->generation : 0;
	suspect = suspect_now(s, now);
	d.probes = s->probes_wanted;
	/* No exchange can clear a token that came without a Date; it is replaced in time. */
	if (suspect.ns && s->current.life.dated && !d.probes)
		d.probes = 1;
	s->probes_wanted = 0;
	tell_mint_limit(s, now);
	d.wake_at = boot_min(d.wake_at, look_at_fetch(s, now, &d.give_up));
	at = token_source_fetch_at(s, now);
	if (!boot_before(now->boot, at)) {
		token_source_fetch_begins(s, now);
		d.fetch = true;
		d.code = s->fetch.purpose == PURPOSE_CODE;
		at = BOOT_TIME_NEVER;
	}
	token_source_look_at_rejection(s, now);
	verify_at = token_source_verify_at(s);
	if (!boot_before(now->boot, verify_at)) {
		s->verification.state = VERIFICATION_UNDER_WAY;
		d.verify = true;
		verify_at = BOOT_TIME_NEVER;
	}
	s->change_at = token_source_next_change(s, now);
	d.wake_at = boot_min(d.wake_at, boot_min(boot_min(at, verify_at), s->change_at));
	d.wake_at = boot_min(d.wake_at, token_source_tell_login_end(s, now));
	/* A suspected loss of time can eat up the rest before dead is reached. */
	if (suspect.ns && !token_source_fetching(s) && s->current.token.text) {
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
