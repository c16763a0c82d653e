/* What to do now, and when to decide again. */
#ifndef GCTOKEND_CORE_TOKEN_DECIDE_H
#define GCTOKEND_CORE_TOKEN_DECIDE_H

#include "times.h"
#include <stdbool.h>

struct token_source;

struct token_source_decisions {
	bool fetch;               /* send a token request now; token_source_fetched must follow */
	bool give_up;             /* end the token request under way, which has had no answer:
				     token_source_fetched must follow */
	bool code;                /* it is the one that exchanges a code */
	bool verify;              /* ask the API whether it accepts the current token:
				     token_source_verified must follow */
	unsigned probes;          /* send so many HEADs, the first at once */
	bool changed;             /* ask again for everybody who is held */
	struct boot_time wake_at; /* decide again then at the latest */
};

void token_source_decide(struct token_source *s, const struct clock_reading *now,
	struct token_source_decisions *ret);

#endif
