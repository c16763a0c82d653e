/* The next fetch: who wants it, when it is due, and what holds it back. For the files of the token
 * source alone. */
#ifndef GCTOKEND_CORE_TOKEN_NEXT_H
#define GCTOKEND_CORE_TOKEN_NEXT_H

#include "times.h"
#include "token_source.h"

/* A fetch is to begin as soon as the gate is open. */
void token_source_want_fetch(struct token_source *s, enum fetch_urgency urgency);
/* Draws when the current token is to be replaced. */
void token_source_plan_refresh(struct token_source *s);
/* A caller is held or refused for want of one: the same, and the pause after a failure is short. */
void token_source_wait_for_fetch(struct token_source *s);
/* No fetch before `at`, whoever waits for it. */
void token_source_retry_at(struct token_source *s, struct boot_time at);
/* What is left to serve while fetching fails; zero or less: nothing. */
struct duration token_source_left_to_serve(
	const struct token_source *s, const struct clock_reading *now);
/* It begins now: what was wanted of it becomes the fetch under way. */
void token_source_fetch_begins(struct token_source *s, const struct clock_reading *now);

#endif
