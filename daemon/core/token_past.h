/* What a token source learns from the previous run: from the state file and from core/handover.h.
 */
#ifndef GCTOKEND_CORE_TOKEN_PAST_H
#define GCTOKEND_CORE_TOKEN_PAST_H

#include "times.h"
#include "token_slot.h"
#include <stdbool.h>

struct clock_reading;
struct source_failure;
struct token_source;

/* What core/handover.h carries. The rest of a source begins afresh. */
struct token_source_past {
	struct token_slot current, previous;
	struct boot_time refresh_at;
	bool revoked;
	unsigned failures;
	struct boot_time replaced_at, step_refresh_at;
};

void token_source_past_fini(struct token_source_past *past);
/* Goes on where the previous run ended: once, after token_source_restore and before the first
 * decision. Takes the tokens out of `past`. `request_changed`: other tokens are asked for now, so
 * one is fetched. */
void token_source_resume(struct token_source *s, const struct clock_reading *now,
	struct token_source_past *past, bool request_changed);

/* An admin had revoked this profile in an earlier run, and nobody has refreshed it since. Before
 * token_source_resume, which then leaves what was handed over: it is from before. */
void token_source_restore_revoked(struct token_source *s, const struct clock_reading *now);
/* The previous run knew: no fetch before `not_before`, because of `failure` (NULL: none). */
void token_source_restore(
	struct token_source *s, struct boot_time not_before, const struct source_failure *failure);
/* What the next run is to restore. Where callers may shorten a pause, so does a restart. */
void token_source_save(const struct token_source *s, struct boot_time *ret_not_before,
	struct source_failure *ret_failure);

#endif
