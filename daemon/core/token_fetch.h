/* A fetch, from the wish for it to what it brought: a new token, the same one again, or a failure
 * and a pause. */
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

/* A fetch is to begin as soon as the gate is open. */
void token_source_want_fetch(struct token_source *s, enum fetch_urgency urgency);
/* Draws when the current token is to be replaced. */
void token_source_plan_refresh(struct token_source *s);
/* A caller is held or refused for want of one: the same, and the pause after a failure is short. */
void token_source_wait_for_fetch(struct token_source *s);
/* No fetch before `at`, whoever waits for it. */
void token_source_retry_at(struct token_source *s, struct boot_time at);
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
/* A fetch failed, and the next does not begin before `at`. */
void token_source_failed_until(struct token_source *s, const struct clock_reading *now,
	const struct token_response *response, struct boot_time at);
/* What is left to serve while fetching fails; zero or less: nothing. */
struct duration token_source_left_to_serve(
	const struct token_source *s, const struct clock_reading *now);
/* It begins now: what was wanted of it becomes the fetch under way. */
void token_source_fetch_begins(struct token_source *s, const struct clock_reading *now);

#endif
