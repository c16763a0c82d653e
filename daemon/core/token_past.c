#include "token_past.h"

#include "token_fetch.h"
#include "token_judge.h"
#include "token_next.h"
#include "token_source.h"

void token_source_restore(
	struct token_source *s, struct boot_time not_before, const struct source_failure *failure)
{
	token_source_retry_at(s, not_before);
	if (failure) {
		s->last_failure = *failure;
		s->failures = 1;
	}
	s->attention = true;
}

static void tell_revoked(struct token_source *s, const struct clock_reading *now)
{
	history_add(s->history, now, EVENT_STARTED, 0,
		"an admin revoked the token before the restart; still stopped");
}

void token_source_restore_revoked(struct token_source *s, const struct clock_reading *now)
{
	s->revoked = true;
	s->attention = s->changed = true;
	tell_revoked(s, now);
}

void token_source_save(const struct token_source *s, struct boot_time *ret_not_before,
	struct source_failure *ret_failure)
{
	*ret_not_before = s->not_before_waited;
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

	if (s->revoked)
		return;
	token_slot_move(c, &past->current);
	token_slot_move(&s->previous, &past->previous);
	token_source_note_latest(s);
	s->refresh_at = request_changed ? now->boot : past->refresh_at;
	/* a margin that has grown since, by the configuration or with a new version */
	if (c->token.text &&
		boot_before(lifetime_refresh_latest(&c->life, &s->settings.policy), s->refresh_at))
		token_source_plan_refresh(s);
	s->revoked = past->revoked;
	s->replaced_at = past->replaced_at;
	s->step_refresh_at = past->step_refresh_at;
	/* The backoff keeps growing; whether there is one, token_source_restore was told. */
	if (s->failures && past->failures > s->failures)
		s->failures = past->failures;
	/* The fetch that was to replace it ended with the daemon. */
	if (c->token.text && c->rejected)
		token_source_want_fetch(s, URGENCY_WANTED);
	s->attention = s->changed = true;
	if (c->token.text)
		history_add(s->history, now, EVENT_STARTED, c->generation,
			"token %s was handed over by the previous run, served for %lld s, refresh "
			"in %lld s",
			c->token.fingerprint,
			(long long)duration_floor_s(boot_since(lifetime_dead(&c->life), now->boot)),
			(long long)duration_floor_s(boot_since(s->refresh_at, now->boot)));
	else if (s->revoked)
		tell_revoked(s, now);
}
