#include "token_sibling.h"

#include "retry.h"
#include "token_next.h"
#include "token_source.h"

#include <string.h>

/* A refusal of the scope, say, is that profile's own. */
static bool is_about_the_client(const struct source_failure *f)
{
	return f->any &&
	       (f->class == RESPONSE_THROTTLED || (f->class == RESPONSE_CLIENT_REJECTED &&
							  !strcmp(f->error, "invalid_client")));
}

/* Until when this one waits as well: it may have a token that ends sooner. */
static struct boot_time wait_of(const struct token_source *s, const struct clock_reading *now,
	const struct token_source *other)
{
	struct duration left = token_source_left_to_serve(s, now);
	struct duration pause = boot_since(other->not_before, now->boot);

	if (left.ns <= 0)
		return other->not_before;
	if (other->last_failure.class == RESPONSE_CLIENT_REJECTED)
		pause = duration_min(pause, retry_refused(s->refusals + 1, left));
	else
		pause = duration_max(retry_in_life(pause, left),
			boot_since(other->not_before_waited, now->boot));
	return boot_add(now->boot, pause);
}

void token_source_sibling_fetched(
	struct token_source *s, const struct clock_reading *now, const struct token_source *other)
{
	const struct source_failure *told = &other->last_failure;
	bool rejected = s->last_failure.class == RESPONSE_CLIENT_REJECTED;
	struct boot_time until;

	if (is_about_the_client(told)) {
		until = wait_of(s, now, other);
		if (!boot_before(boot_max(now->boot, s->not_before), until))
			return;
		s->not_before = until;
		s->not_before_waited = boot_min(until, other->not_before_waited);
		s->refusals += told->class == RESPONSE_CLIENT_REJECTED;
		s->last_failure = *told;
		s->knock = SOURCE_KNOCK_NONE; /* it does answer */
		history_add(s->history, now,
			told->class == RESPONSE_THROTTLED ? EVENT_THROTTLED : EVENT_CLIENT_REJECTED,
			s->current.generation,
			"another profile of this client was told: %.160s; next attempt in %lld s",
			told->words,
			(long long)duration_ceil_s(boot_since(s->not_before, now->boot)));
	} else if (!told->any && rejected && is_about_the_client(&s->last_failure)) {
		token_source_retry_at(s, SOURCE_LONG_AGO);
		s->last_failure = (struct source_failure){0};
		s->failures = s->refusals = 0;
		if (s->settings.prefetch)
			token_source_want_fetch(s, URGENCY_WANTED);
	} else {
		return;
	}
	s->attention = s->changed = true;
}
