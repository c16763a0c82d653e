/* What the login server said to one profile about its OAuth client holds for the others of it. */
#ifndef GCTOKEND_CORE_TOKEN_SIBLING_H
#define GCTOKEND_CORE_TOKEN_SIBLING_H

struct clock_reading;
struct token_source;

/* A fetch of `other`, a profile of the same client with the same secret, has just ended. If the
 * server said to wait, or refused the client, this one need not hear it too, unless its own token
 * would end meanwhile; if it accepted a client that it had refused, this one need not wait any
 * longer. */
void token_source_sibling_fetched(
	struct token_source *s, const struct clock_reading *now, const struct token_source *other);

#endif
