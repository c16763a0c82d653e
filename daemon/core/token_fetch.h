/* What a fetch brought: a new token, the same one again, or a failure. */
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
	FETCHED_SAME,     /* the current token once more */
	FETCHED_FAILED,   /* no token, or one that is dead on arrival */
	FETCHED_UNWANTED, /* an admin revoked, or a person logged out, while it was under way: a
			     token that came is left in the response, to be revoked */
};

/* The fetch under way ended. Takes the token that it brought. If that is dead on arrival, the class
 * of `response` becomes RESPONSE_UNAVAILABLE and its words say why; where nobody logs in,
 * RESPONSE_LOGIN_REQUIRED becomes RESPONSE_CLIENT_REJECTED. `sample`: NULL if the Date
 * proves nothing. `generation`: the number for a new token, greater than any before. */
enum fetched token_source_fetched(struct token_source *s, const struct clock_reading *now,
	const struct exchange *x, struct token_response *response, const struct skew_sample *sample,
	struct duration spread, uint64_t generation);

/* ---- for the other files of the token source ---- */

/* Notes which token is the latest, and until when. */
void token_source_note_latest(struct token_source *s);
/* What is served until a new token may be; NULL: nothing. A token that was rejected or is in doubt
 * is no reason to hold the new one back. */
const struct token_slot *token_source_older_in_service(
	const struct token_source *s, const struct clock_reading *now);
/* The token of `slot` becomes the current one; `older` goes on being served until it may be. */
void token_source_take(struct token_source *s, const struct clock_reading *now,
	struct token_slot *slot, const struct token_slot *older);
/* Whoever wanted a token has one: failures and pauses are over. */
void token_source_succeeded(struct token_source *s);

#endif
