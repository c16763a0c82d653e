/* A login server that takes requests and does not answer them. Each may have minted a token, so
 * mint_limit spreads them out, and its recovery would be noticed late. While callers are refused
 * for want of a token a HEAD therefore knocks every few seconds (server_clock_knock sends it for
 * all sources of a server); once one is answered a token request follows at once. */
#ifndef GCTOKEND_CORE_TOKEN_KNOCK_H
#define GCTOKEND_CORE_TOKEN_KNOCK_H

#include "times.h"
#include <stdbool.h>

struct token_source;

/* When the next knock leaves; BOOT_TIME_NEVER: this server is not knocked at. */
void token_source_knock_planned(struct token_source *s, struct boot_time at);
/* A knock has ended. `answered`: by any response. True: somebody waited for that. */
bool token_source_knocked(struct token_source *s, const struct clock_reading *now, bool answered);

#endif
