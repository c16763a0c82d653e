/* "The API answered 401 to this token", says a caller: it is replaced, once for all who say so.
 *
 * Until it is, it stays rejected: whoever rejects it, too, waits with them. But where a token that
 * has only just replaced a rejected one is rejected as well, tokens may not be the reason. Within
 * reject_cooldown of a replacement the API itself is asked, where it is known, whether it accepts
 * the token: if not, it is replaced at once, and else its callers are told so.
 *
 * Where the fetch that is to replace a token fails, everybody would be held for the next attempts
 * because of what one caller says. Then the API is asked as well: a token that it accepts was
 * rejected for nothing, and is served as before. That counts as its replacement: for another
 * reject_cooldown nobody is believed without the API.
 *
 * The token before the current one is rejected as well, while that is not valid yet: its reporter
 * waits for the current one, and others keep it until then, as stale, unless the API refuses it.
 *
 * A token that the hosts of a fleet share is not replaced before the API was asked, where it is
 * known: one host that is wrong would else cost all the others theirs. Nor does one of a login that
 * cannot be refreshed count as rejected before: nothing but a person could replace it. */
#ifndef GCTOKEND_CORE_TOKEN_REJECT_H
#define GCTOKEND_CORE_TOKEN_REJECT_H

#include "times.h"
#include "token_source.h"
#include <stdbool.h>
#include <stdint.h>

struct token_ask;
struct token_outcome;

/* What the API says to a token. */
enum verdict {
	VERDICT_NONE,     /* no answer, or one that does not tell */
	VERDICT_ACCEPTED, /* 2xx */
	VERDICT_REFUSED,  /* 401 */
	VERDICT_TOO_NEW,  /* it was not asked: another host of the fleet has replaced the token
			     before it only just */
};

/* The token that the decision's `verify` is about: the current one or the one before it. */
const struct token_slot *token_source_to_verify(const struct token_source *s);
/* The decision's `verify` was carried out: the verdict on the token of that generation. */
void token_source_verified(struct token_source *s, const struct clock_reading *now,
	uint64_t generation, enum verdict verdict);

/* ---- for the other files of the token source ---- */

/* An ask of ASK_REJECT that has no ticket. True: it has one now, or has become a plain ask; false:
 * the outcome is set. */
bool token_source_reject(struct token_source *s, const struct clock_reading *now,
	struct token_ask *ask, bool expired, struct token_outcome *ret);
/* An ask of ASK_REJECT that has a ticket, for which no token has come. True: the outcome is set, as
 * the API accepts the token, or is being asked. */
bool token_source_reject_judged(struct token_source *s, const struct clock_reading *now,
	const struct token_ask *ask, bool expired, struct token_outcome *ret);
/* Has the API asked about a rejected token if a fetch has failed to replace it. */
void token_source_look_at_rejection(struct token_source *s, const struct clock_reading *now);
/* When the API is to be asked; BOOT_TIME_NEVER: not. */
struct boot_time token_source_verify_at(const struct token_source *s);

#endif
