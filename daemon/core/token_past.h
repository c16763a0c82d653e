/* What a token source knows of the run before: from the state file, and from core/handover.h. */
#ifndef GCTOKEND_CORE_TOKEN_PAST_H
#define GCTOKEND_CORE_TOKEN_PAST_H

#include "times.h"
#include "token_slot.h"
#include <stdbool.h>

struct source_failure;
struct token_source;

/* What an earlier run hands over by way of core/handover.h. The rest of a source begins anew. */
struct token_source_past {
	struct token_slot current, previous;
	struct boot_time refresh_at;
	bool revoked;
	bool replacing; /* a fetch was under way to replace the current one, which was rejected */
	unsigned failures;
	struct boot_time rejected_at, step_refresh_at;
};

void token_source_past_fini(struct token_source_past *past);
/* Once, before the first decision and after token_source_restore: goes on where an earlier run
 * ended. Takes the tokens out of `past`. `request_changed`: what is asked for is not what the token
 * was asked for, so another is fetched. */
void token_source_resume(struct token_source *s, const struct clock_reading *now,
	struct token_source_past *past, bool request_changed);

/* What an earlier run knew: no fetch before `not_before`, because of `failure` (NULL: none). */
void token_source_restore(
	struct token_source *s, struct boot_time not_before, const struct source_failure *failure);
/* What the next run is to restore. */
void token_source_save(const struct token_source *s, struct boot_time *ret_not_before,
	struct source_failure *ret_failure);

#endif
