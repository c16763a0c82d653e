/* What readers of the shared page may take without asking. */
#ifndef GCTOKEND_CORE_TOKEN_PAGE_H
#define GCTOKEND_CORE_TOKEN_PAGE_H

#include "times.h"
#include "token_slot.h"
#include <stdint.h>

struct token_source;

/* What a plain ask will get, told in advance. From now until `until`, unless an event comes first,
 * a get without `after` has this outcome: the token, with expires_in = dead - then, stale from
 * stale_from on, for any min_ttl up to min_ttl_limit_s and expires_in. */
struct source_page {
	const struct token_slot *slot; /* NULL: readers have to ask */
	struct boot_time until, dead;
	struct boot_time stale_from; /* BOOT_TIME_NEVER: not before `until` */
	int64_t min_ttl_limit_s;     /* for more than this they have to ask */
};

void token_source_page(
	const struct token_source *s, const struct clock_reading *now, struct source_page *ret);

#endif
