#include "token_knock.h"

#include "token_judge.h"
#include "token_next.h"
#include "token_source.h"

/* A request that left before the server could answer may still be answered now; one that has only
 * just left most likely is. */
#define GIVE_UP_AFTER_MS 500
#define GIVE_UP_LEAST_MS 1000

void token_source_knock_planned(struct token_source *s, struct boot_time at)
{
	s->knock.next = at;
}

bool token_source_knocked(struct token_source *s, const struct clock_reading *now, bool answered)
{
	struct source_knock *k = &s->knock;
	bool wanted = token_source_knocks(s), useful = token_source_knock_helps(s);
	struct boot_time at;

	k->unheard = !answered;
	if (!answered || !wanted || !useful)
		return wanted;
	if (token_source_fetching(s)) {
		s->fetch.give_up_at = boot_max(boot_add(now->boot, duration_ms(GIVE_UP_AFTER_MS)),
			boot_add(s->fetch.begun, duration_ms(GIVE_UP_LEAST_MS)));
	} else {
		at = token_source_knock_opens(s, now->boot);
		s->not_before = boot_min(s->not_before, at);
		s->not_before_waited = boot_min(s->not_before_waited, at);
		s->next.knocked = true;
	}
	s->attention = true;
	return true;
}
