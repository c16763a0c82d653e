/* A fetch failed: what is noted and told of that, and how long the next one has to wait. For the
 * files of the token source alone. */
#ifndef GCTOKEND_CORE_TOKEN_FAILURE_H
#define GCTOKEND_CORE_TOKEN_FAILURE_H

#include "times.h"
#include "token_source.h"

struct exchange;
struct token_response;

/* `fetch` is what was under way, and is no more. The pause goes by the kind of failure, by how many
 * there were, and by whether callers wait. */
void token_source_fetch_failed(struct token_source *s, const struct clock_reading *now,
	const struct exchange *x, const struct token_response *response,
	const struct fetch_under_way *fetch);
/* A fetch failed, and the next does not begin before `at`. */
void token_source_failed_until(struct token_source *s, const struct clock_reading *now,
	const struct token_response *response, struct boot_time at);

#endif
