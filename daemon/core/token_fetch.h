/* A fetch, from the wish for it to what it brought: a new token, the same again, or a failure and a
 * pause. */
#ifndef GCTOKEND_CORE_TOKEN_FETCH_H
#define GCTOKEND_CORE_TOKEN_FETCH_H

#include "times.h"
#include "token_source.h"
#include <stdint.h>

struct exchange;
struct skew_sample;
struct token_response;

/* What became of a fetch. */
enum fetched {
	FETCHED_TOKEN,    /* a new one, which has taken the generation */
	FETCHED_SAME,     /* the token that there is already */
	FETCHED_FAILED,   /* no token, or one of no use */
	FETCHED_UNWANTED, /* an admin revoked, or a person logged out, while it was under way: a
			     token that came is left in the response, for its owner to revoke */
};

/* The fetch under way ended. Takes the token that it brought, and turns the class of a response
 * whose token is of no use into RESPONSE_UNAVAILABLE. `sample`: NULL if the Date proves nothing.
 * `generation`: the number a new token is to have, greater than any before. */
enum fetched token_source_fetched(struct token_source *s, const struct clock_reading *now,
	const struct exchange *x, struct token_response *response, const struct skew_sample *sample,
	struct duration spread, uint64_t generation);

/* ---- for the other files of the token source ---- */

/* A fetch is to begin now, or as soon as the gate is open. */
void token_source_want_fetch(struct token_source *s, enum fetch_urgency urgency);
/* It begins, as the decision says. */
void token_source_fetch_begins(struct token_source *s, const struct clock_reading *now);

#endif
