#include "token_next.h"

#include "lifetime_adopt.h"
#include "token_judge.h"

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
