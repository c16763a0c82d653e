/* Nothing here fetches: an ask may only say that a fetch is wanted, and token_source_decide() holds
 * that against the backoff and the mint limit. */
#include "token_ask.h"

#include "token_judge.h"
#include "token_next.h"
#include "token_reject.h"
#include "token_source.h"

static void set_failure(const struct token_source *s, const struct clock_reading *now,
	struct boot_time next, struct token_outcome *ret)
{
	ret->kind = OUTCOME_UNAVAILABLE;
	if (next.ns == BOOT_TIME_NEVER.ns) {
		/* nothing but a person can help, and nobody knows when one comes */
		ret->kind = OUTCOME_LOGIN_REQUIRED;
		return;
	}
	if (s->last_failure.any && s->last_failure.class == RESPONSE_CLIENT_REJECTED)
		ret->kind = OUTCOME_CLIENT_REJECTED;
	else if (s->last_failure.any && s->last_failure.class == RESPONSE_LOGIN_REQUIRED)
		ret->kind = OUTCOME_LOGIN_REQUIRED;
	ret->retry_after_s = duration_ceil_s(boot_since(next, now->boot));
	if (ret->retry_after_s < 1)
		ret->retry_after_s = 1;
}

/* A new token is needed before this ask can be served. */
static void need_fetch(struct token_source *s, const struct clock_reading *now,
	const struct token_ask *ask, bool expired, struct token_outcome *ret)
{
	struct boot_time next;

	if (s->revoked) {
		ret->kind = OUTCOME_REVOKED;
		return;
	}
	token_source_wait_for_fetch(s);
	if (token_source_fetching(s)) {
		ret->kind = expired ? OUTCOME_TIMEOUT : OUTCOME_HOLD;
		return;
	}
	next = token_source_gate(s, now->boot, s->next.urgency);
	if (!boot_before(now->boot, next)) {
		/* it begins in this very wake-up, even if the timer armed for it is late */
		s->attention = true;
		ret->kind = expired ? OUTCOME_TIMEOUT : OUTCOME_HOLD;
		return;
	}
	next = token_source_chance(s, now->boot, next);
	if (!expired && !boot_before(ask->deadline, next)) {
		ret->kind = OUTCOME_HOLD;
		return;
	}
	set_failure(s, now, next, ret);
}

/* When a caller should ask again: a moment after the planned refresh, and not all callers at once.
 * Spread over up to a tenth more, but within what is left, lest a crowd meets just before the end.
 */
static int64_t ask_again_in_s(
	struct token_source *s, const struct clock_reading *now, int64_t expires_in_s)
{
	int64_t planned_s = duration_floor_s(boot_since(s->refresh_at, now->boot));
	int64_t from_s = (planned_s > 0 ? planned_s : 0) + 5;
	int64_t spread_s = from_s / 10;

	if (spread_s > expires_in_s - 1 - from_s)
		spread_s = expires_in_s - 1 - from_s;
	if (spread_s > 0)
		from_s += (int64_t)(random_next(&s->random) % (uint64_t)(spread_s + 1));
	if (from_s >= expires_in_s)
		from_s = expires_in_s - 1;
	return from_s > 5 ? from_s : 5;
}

/* `left`: until it ends, a second at least. */
static void serve(struct token_source *s, const struct clock_reading *now,
	const struct token_slot *slot, struct duration left, bool stale, struct token_outcome *ret)
{
	ret->kind = OUTCOME_TOKEN;
	ret->slot = slot;
	ret->expires_in = left;
	ret->refresh_in_s = ask_again_in_s(s, now, left.ns / NS_PER_S);
	ret->stale = stale;
	s->counters.served++;
	s->counters.served_stale += stale;
	/* Without prefetch it is the asking that keeps a token fresh. */
	if (slot == &s->current && !s->settings.prefetch && !token_source_fetching(s) &&
		!boot_before(now->boot, s->refresh_at))
		token_source_want_fetch(s, URGENCY_WANTED);
}

/* How long it may be used; what is in doubt is taken off only as far as something remains. */
static struct duration left_of(const struct token_slot *slot, const struct clock_reading *now)
{
	struct duration left = boot_since(lifetime_dead(&slot->life), now->boot);
	struct duration surely = duration_sub(left, lifetime_suspect(&slot->life, now));

	return surely.ns >= NS_PER_S ? surely : left;
}

/* The newest token is here, and will be good in a moment. */
static void await_current(const struct token_source *s, const struct clock_reading *now,
	const struct token_ask *ask, bool expired, struct token_outcome *ret)
{
	struct boot_time valid = s->current.life.valid;

	if (!expired && !boot_before(ask->deadline, valid))
		ret->kind = OUTCOME_HOLD;
	else
		set_failure(s, now, valid, ret);
}

/* Is a fetch under way, or may one begin while the caller waits? */
static bool fetch_in_time(
	const struct token_source *s, const struct clock_reading *now, const struct token_ask *ask)
{
	return token_source_fetching(s) ||
	       !boot_before(ask->deadline, token_source_gate(s, now->boot, s->next.urgency));
}

static bool may_begin_now(const struct token_source *s, const struct clock_reading *now)
{
	return !token_source_fetching(s) &&
	       !boot_before(now->boot, token_source_gate(s, now->boot, s->next.urgency));
}

/* What is left of it from `from` on, even if the time that is in doubt was lost. */
static struct duration surely_left(
	const struct token_slot *slot, const struct clock_reading *now, struct boot_time from)
{
	return duration_sub(
		boot_since(lifetime_dead(&slot->life), from), lifetime_suspect(&slot->life, now));
}

/* Would another token have so much? A fetch that cannot help is not begun; one that runs may end
 * well. */
static bool fetch_can_help(const struct token_source *s, const struct token_ask *ask)
{
	return !s->current.token.text || token_source_fetching(s) ||
	       token_source_whole_life(&s->current).ns >= ask->min_ttl.ns;
}

static void set_too_short(
	const struct token_source *s, const struct clock_reading *now, struct token_outcome *ret)
{
	int64_t refresh_s = duration_ceil_s(boot_since(s->refresh_at, now->boot));

	ret->kind = OUTCOME_TOO_SHORT;
	ret->limit_s =
		duration_floor_s(duration_max(DURATION_ZERO, token_source_whole_life(&s->current)));
	ret->retry_after_s = refresh_s < 1 ? 1 : refresh_s;
}

/* In an outage even the last use_margin of a token is better than none, and so it is while a server
 * goes on giving just that token. False: there is nothing of the kind. */
static bool serve_last_resort(struct token_source *s, const struct clock_reading *now,
	const struct token_ask *ask, bool expired, struct token_outcome *ret)
{
	const struct token_slot *last = token_source_last_resort(s, now);
	struct duration left;

	if (!last || last->generation == ask->generation ||
		(ask->has_after && ask->after == last->generation))
		return false;
	/* a first attempt that hangs may be the beginning of one */
	if (!token_source_no_other(s) && !(expired && token_source_fetching(s)))
		return false;
	left = boot_since(token_source_over(s), now->boot);
	if (left.ns < ask->min_ttl.ns)
		return false;
	token_source_wait_for_fetch(s);
	serve(s, now, last, left, true, ret);
	return true;
}

static void ask_get(struct token_source *s, const struct clock_reading *now,
	const struct token_ask *ask, bool expired, struct token_outcome *ret)
{
	const struct token_slot *slot = token_source_pick(s, now, ask->generation);
	bool stale;

	if (ask->min_ttl.ns && s->current.token.text) {
		ret->limit_s = token_source_min_ttl_limit_s(&s->current);
		if (ask->min_ttl.ns > duration_s(ret->limit_s).ns) {
			ret->kind = OUTCOME_MIN_TTL;
			return;
		}
	}
	if (!slot) {
		if (s->current.token.text && boot_before(now->boot, s->current.life.valid))
			await_current(s, now, ask, expired, ret);
		else if (!serve_last_resort(s, now, ask, expired, ret))
			need_fetch(s, now, ask, expired, ret);
		return;
	}
	if (ask->min_ttl.ns && surely_left(slot, now, now->boot).ns < ask->min_ttl.ns) {
		const struct token_slot *c = &s->current;
		struct boot_time from = boot_max(now->boot, c->life.valid);

		if (slot == c || !c->token.text || surely_left(c, now, from).ns < ask->min_ttl.ns) {
			if (fetch_can_help(s, ask))
				need_fetch(s, now, ask, expired, ret);
			else
				set_too_short(s, now, ret);
			return;
		}
		if (boot_before(now->boot, from)) {
			await_current(s, now, ask, expired, ret);
			return;
		}
		/* The guard is only caution; a caller who needs the time gets the newer token. */
		slot = c;
	}
	if (ask->has_after &&
		(slot->generation == ask->after || s->current.generation == ask->after)) {
		ret->kind = expired ? OUTCOME_UNCHANGED : OUTCOME_HOLD;
		return;
	}
	stale = token_source_stale(s, now, slot);
	if (slot == &s->current) {
		if (slot->rejected && !token_source_fetching(s))
			token_source_want_fetch(s, URGENCY_WANTED);
		/* While it may be replaced in time; else a rejected token beats none, as one false
		 * report must not deny everybody. */
		if (slot->rejected && !expired && fetch_in_time(s, now, ask)) {
			s->attention |= may_begin_now(s, now); /* as in need_fetch */
			ret->kind = OUTCOME_HOLD;
			return;
		}
		if (token_source_doubtful(slot, now)) {
			/* Time may have been lost, and then this token is dead. Nobody knows until
			 * the fetch ends; if it fails or is late, a doubtful token beats none. */
			if (!token_source_fetching(s))
				token_source_want_fetch(s, URGENCY_WANTED);
			if (!s->failures && !expired && fetch_in_time(s, now, ask)) {
				ret->kind = OUTCOME_HOLD;
				return;
			}
			stale = true;
		}
	}
	serve(s, now, slot, left_of(slot, now), stale, ret);
}

/* When the next fetch begins by itself, or could for whoever asks. */
static struct boot_time next_attempt(const struct token_source *s, const struct clock_reading *now)
{
	struct boot_time at = token_source_fetch_at(s, now);

	return at.ns != BOOT_TIME_NEVER.ns ? at : token_source_gate(s, now->boot, URGENCY_WANTED);
}

/* The fetch that answers this ask: the one under way, or the next. */
static uint64_t ticket_now(const struct token_source *s)
{
	return s->fetches_ended + 1;
}

/* The outcome of an ask that waits for a fetch: an admin for one certain, which may fail; who has
 * rejected a token for the first that brings another. */
static void ask_ticket(struct token_source *s, const struct clock_reading *now,
	struct token_ask *ask, bool expired, struct token_outcome *ret)
{
	bool forced = ask->kind == ASK_REFRESH;
	struct boot_time next;

	if (s->fetch_succeeded >= ask->ticket && s->current.token.text) {
		/* At once, despite its guard; but much may have happened since it came. */
		if (token_slot_usable(&s->current, now) && !s->current.rejected &&
			!token_source_doubtful(&s->current, now))
			serve(s, now, &s->current, left_of(&s->current, now),
				token_source_stale(s, now, &s->current), ret);
		else
			ask_get(s, now, ask, expired, ret);
		return;
	}
	if (s->revoked) {
		ret->kind = OUTCOME_REVOKED;
		return;
	}
	if (!forced && token_source_reject_judged(s, now, ask, expired, ret))
		return;
	if (forced && s->fetches_ended >= ask->ticket) {
		set_failure(s, now, next_attempt(s, now), ret);
		return;
	}
	if (!forced)
		token_source_wait_for_fetch(s);
	next = token_source_gate(s, now->boot, forced ? URGENCY_FORCED : URGENCY_WANTED);
	if (token_source_fetching(s) || !boot_before(now->boot, next)) {
		s->attention |= !token_source_fetching(s); /* as in need_fetch */
		ret->kind = expired ? OUTCOME_TIMEOUT : OUTCOME_HOLD;
		return;
	}
	if (!forced)
		next = token_source_chance(s, now->boot, next);
	if (!expired && !forced && !boot_before(ask->deadline, next)) {
		ret->kind = OUTCOME_HOLD;
	} else {
		set_failure(s, now, next, ret);
	}
}

static void begin_refresh(
	struct token_source *s, const struct clock_reading *now, struct token_ask *ask)
{
	s->revoked = false;
	ask->ticket = ticket_now(s);
	/* Now or not at all: an admin whom the mint limit turned away may be long gone. */
	if (!token_source_fetching(s) &&
		!boot_before(now->boot, token_source_gate(s, now->boot, URGENCY_FORCED)))
		token_source_want_fetch(s, URGENCY_FORCED);
	s->attention = true;
	history_add_caused(s->history, now, EVENT_REFRESH_ASKED, ask->uid, s->current.generation,
		"an admin (uid %ld) asked for a new token", (long)(int)ask->uid);
}

void token_source_ask(struct token_source *s, const struct clock_reading *now,
	struct token_ask *ask, struct token_outcome *ret)
{
	bool expired = !boot_before(now->boot, ask->deadline);
	bool first = !ask->begun;

	*ret = (struct token_outcome){.kind = OUTCOME_UNAVAILABLE, .retry_after_s = -1};
	ask->begun = true;
	if (first && ask->kind == ASK_REFRESH)
		begin_refresh(s, now, ask);
	if (ask->kind == ASK_REJECT && !ask->ticket &&
		!token_source_reject(s, now, ask, expired, ret))
		return;
	if (ask->kind == ASK_GET)
		ask_get(s, now, ask, expired, ret);
	else
		ask_ticket(s, now, ask, expired, ret);
}
