#include "token_judge.h"

bool token_source_doubtful(const struct token_slot *slot, const struct clock_reading *now)
{
	struct duration suspect = lifetime_suspect(&slot->life, now);

	return suspect.ns &&
	       boot_since(lifetime_dead(&slot->life), now->boot).ns < ns_add(suspect.ns, NS_PER_S);
}

const struct token_slot *token_source_pick(
	const struct token_source *s, const struct clock_reading *now, uint64_t not_generation)
{
	bool previous = token_slot_usable(&s->previous, now) && !s->previous.refused &&
			s->previous.generation != not_generation &&
			!token_source_doubtful(&s->previous, now);

	/* what a caller rejected gives way as soon as there is another */
	if (token_slot_usable(&s->current, now) &&
		!(previous && !s->previous.rejected &&
			boot_before(now->boot, s->current.life.guard_until)))
		return &s->current;
	return previous ? &s->previous : NULL;
}

struct boot_time token_source_over(const struct token_source *s)
{
	struct boot_time over = lifetime_over(&s->current.life);

	return s->latest.again ? boot_max(over, s->latest.end) : over;
}

const struct token_slot *token_source_last_resort(
	const struct token_source *s, const struct clock_reading *now)
{
	const struct token_slot *c = &s->current;

	if (!c->token.text || c->rejected || boot_before(now->boot, c->life.valid) ||
		lifetime_suspect(&c->life, now).ns ||
		boot_since(token_source_over(s), now->boot).ns < NS_PER_S)
		return NULL;
	return c;
}

bool token_source_no_other(const struct token_source *s)
{
	return s->failures || s->latest.again;
}

bool token_source_fetching(const struct token_source *s)
{
	return s->fetch.purpose != PURPOSE_NONE;
}

bool token_source_by_rejection(
	const struct token_source *s, struct boot_time at, enum fetch_urgency urgency)
{
	return s->current.token.text && s->current.rejected && urgency != URGENCY_FORCED &&
	       !s->next.code && boot_before(at, s->refresh_unrejected);
}

unsigned token_source_rejections(const struct token_source *s)
{
	return mint_window_rejections(s->mint, s->settings.mint_limit, s->settings.reject_cooldown);
}

struct boot_time token_source_room(
	const struct token_source *s, struct boot_time at, enum fetch_urgency urgency)
{
	struct boot_time share;

	if (token_source_by_rejection(s, at, urgency)) {
		/* its own refresh is not one that a rejection causes */
		share = mint_window_next_rejection(s->mint, s->settings.mint_limit,
			s->settings.reject_cooldown, s->mint_number, at);
		at = boot_min(share, s->refresh_unrejected);
	}
	return mint_window_next(s->mint, s->settings.mint_limit, at);
}

struct boot_time token_source_gate(
	const struct token_source *s, struct boot_time now, enum fetch_urgency urgency)
{
	bool forced = urgency == URGENCY_FORCED;
	struct boot_time gate = forced ? now : boot_max(now, s->not_before);

	if (s->login == SOURCE_LOGIN_NONE || (s->login == SOURCE_LOGIN_REFUSED && !forced))
		return BOOT_TIME_NEVER;
	return token_source_room(s, gate, urgency);
}

bool token_source_stale(const struct token_source *s, const struct clock_reading *now,
	const struct token_slot *slot)
{
	if (slot->rejected)
		return true;
	if (slot != &s->current)
		return false;
	if (boot_before(now->boot, s->refresh_at))
		return false;
	return s->failures || (s->settings.prefetch && boot_since(now->boot, s->refresh_at).ns >
							       SOURCE_OVERDUE_S * NS_PER_S);
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
		c->token.text ? boot_sub(token_source_over(s), duration_ns(NS_PER_S - 1))
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

int64_t token_source_min_ttl_limit_s(const struct token_slot *slot)
{
	return duration_floor_s(duration_ns(slot->life.issued.ns / 2));
}

/* A step of the server's clock since then shortened this one alone. */
struct duration token_source_whole_life(const struct token_slot *slot)
{
	struct boot_time dead = boot_add(lifetime_dead(&slot->life), slot->life.step);

	return boot_since(dead, slot->life.valid);
}

unsigned token_source_rank(const struct token_source *s, const struct clock_reading *now)
{
	if (!token_source_pick(s, now, 0))
		return 0;
	return s->current.rejected ? 1 : 2;
}

struct boot_time token_source_fetch_due(
	const struct token_source *s, const struct clock_reading *now)
{
	const struct token_slot *c = &s->current;

	if (token_source_fetching(s))
		return BOOT_TIME_NEVER;
	if (s->next.code)
		return now->boot;
	if (s->revoked)
		return BOOT_TIME_NEVER;
	if (s->next.urgency != URGENCY_NONE)
		return now->boot;
	if (!c->token.text)
		return s->settings.prefetch ? now->boot : BOOT_TIME_NEVER;
	if (!s->settings.prefetch)
		return BOOT_TIME_NEVER;
	return token_source_doubtful(c, now) ? now->boot : s->refresh_at;
}

struct boot_time token_source_fetch_at(
	const struct token_source *s, const struct clock_reading *now)
{
	struct boot_time due = token_source_fetch_due(s, now);

	if (due.ns == BOOT_TIME_NEVER.ns)
		return due;
	if (s->next.code)
		return mint_window_next(s->mint, s->settings.mint_limit, now->boot);
	return token_source_gate(s, boot_max(due, now->boot), s->next.urgency);
}

bool token_source_knocks(const struct token_source *s)
{
	const struct fetch_under_way *f = &s->fetch;

	if (!s->knock.silence || s->revoked || s->next.code)
		return false;
	switch (f->purpose) {
	case PURPOSE_NONE:
		return s->next.waited && s->login != SOURCE_LOGIN_NONE &&
		       s->login != SOURCE_LOGIN_REFUSED;
	case PURPOSE_TOKEN:
		/* One that a knock led to has its whole time, as has every fetch of a login: the
		 * next refresh token may be on its way. */
		return f->waited && !f->knocked && !s->knock.vain &&
		       s->login == SOURCE_LOGIN_NOT_NEEDED;
	case PURPOSE_CODE:
		break;
	}
	return false;
}

bool token_source_knock_helps(const struct token_source *s)
{
	return !s->knock.vain || s->knock.unheard;
}

struct boot_time token_source_knock_opens(const struct token_source *s, struct boot_time at)
{
	if (!s->knock.vain)
		return at;
	return boot_max(at, boot_add(s->last_failure.at, retry_vain(s->knock.vain)));
}

struct boot_time token_source_chance(
	const struct token_source *s, struct boot_time now, struct boot_time gate)
{
	return token_source_knocks(s) ? token_source_knock_chance(s, now, gate) : gate;
}

struct boot_time token_source_knock_chance(
	const struct token_source *s, struct boot_time now, struct boot_time gate)
{
	struct boot_time at;

	if (!s->knock.silence || !token_source_knock_helps(s) || gate.ns == BOOT_TIME_NEVER.ns)
		return gate;
	at = token_source_knock_opens(s, boot_max(now, s->knock.next));
	return boot_min(gate, token_source_room(s, at, URGENCY_WANTED));
}
