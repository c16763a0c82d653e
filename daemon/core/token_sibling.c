#include "token_sibling.h"

#include "token_fetch.h"
#include "token_source.h"

#include <string.h>

/* A refusal of the scope, say, is that profile's own. */
static bool is_about_the_client(const struct source_failure *f)
{
	return f->any &&
	       (f->class == RESPONSE_THROTTLED || (f->class == RESPONSE_CLIENT_REJECTED &&
							  !strcmp(f->error, "invalid_client")));
}

void token_source_sibling_fetched(
	struct token_source *s, const struct clock_reading *now, const struct token_source *other)
{
	const struct source_failure *told = &other->last_failure;
	bool rejected = s->last_failure.class == RESPONSE_CLIENT_REJECTED;

	if (is_about_the_client(told)) {
		if (!boot_before(boot_max(now->boot, s->not_before), other->not_before))
			return;
		s->not_before = other->not_before;
		s->not_before_waited = other->not_before_waited;
		s->last_failure = *told;
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
