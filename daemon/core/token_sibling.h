/* What the login server said to one profile about its OAuth client holds for the others of it. */
#ifndef GCTOKEND_CORE_TOKEN_SIBLING_H
#define GCTOKEND_CORE_TOKEN_SIBLING_H

struct clock_reading;
struct token_source;

/* `other`, another profile of the same client with the same secret, has just ended a fetch: where
 * the server said to wait, or refused the client, this one need not be told the same; where a
 * refused client was accepted again, it need not wait any more. */
void token_source_sibling_fetched(
	struct token_source *s, const struct clock_reading *now, const struct token_source *other);

#endif
