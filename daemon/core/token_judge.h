/* What the files of the token source judge by: which token may be served, and when a fetch may
 * begin. Nothing here changes the source; only its own files and tests need this. */
#ifndef GCTOKEND_CORE_TOKEN_JUDGE_H
#define GCTOKEND_CORE_TOKEN_JUDGE_H

#include "times.h"
#include "token_source.h"
#include <stdbool.h>
#include <stdint.h>

/* A refresh that takes longer than this is overdue. */
#define SOURCE_OVERDUE_S 15

/* ---- tokens ---- */

/* What may be served at `now`; NULL: nothing. `not_generation`: 0, or one that was just rejected.
 */
const struct token_slot *token_source_pick(
	const struct token_source *s, const struct clock_reading *now, uint64_t not_generation);
/* When the current token, of which there is one, is let go: use_margin later than it is dead, or
 * when a server that goes on giving it says that it ends. */
struct boot_time token_source_over(const struct token_source *s);
/* The current token, of which nothing but use_margin is left, or more: it may still be accepted,
 * and is better than none while no other can be had. NULL: there is none, it was rejected, or is in
 * doubt. */
const struct token_slot *token_source_last_resort(
	const struct token_source *s, const struct clock_reading *now);
/* Did the latest fetch fail, or bring the same token again? */
bool token_source_no_other(const struct token_source *s);
/* Would it be dead by now if a suspected loss of time is real? */
bool token_source_doubtful(const struct token_slot *slot, const struct clock_reading *now);
/* Is it overdue for replacement: rejected, or its refresh late or failing? */
bool token_source_stale(const struct token_source *s, const struct clock_reading *now,
	const struct token_slot *slot);
/* The next instant at which what is served changes by itself. */
struct boot_time token_source_next_change(
	const struct token_source *s, const struct clock_reading *now);
/* The most min_ttl that a caller may ask for: half of expires_in, or a single caller could keep the
 * broker fetching. */
int64_t token_source_min_ttl_limit_s(const struct token_slot *slot);
/* How long such a token can be served, from its first moment on. The next one is expected to be
 * like it: margins, the distance between the server's clocks, and the time that the exchange took
 * are taken off. */
struct duration token_source_whole_life(const struct token_slot *slot);

/* ---- fetches ---- */

bool token_source_fetching(const struct token_source *s);
/* Would a fetch that begins at `at` be one that a rejection has caused, and nothing else? */
bool token_source_by_rejection(
	const struct token_source *s, struct boot_time at, enum fetch_urgency urgency);
/* How many fetches in MINT_WINDOW_S callers may cause by rejecting tokens of this client. */
unsigned token_source_rejections(const struct token_source *s);
/* `at`, or when the mint window has room for a fetch of that urgency. */
struct boot_time token_source_room(
	const struct token_source *s, struct boot_time at, enum fetch_urgency urgency);
/* Who goes first where there is less room than needed: 0: who has nothing to serve, 1: whose
 * token was rejected, 2: all others. */
unsigned token_source_rank(const struct token_source *s, const struct clock_reading *now);
#define SOURCE_RANKS 3
/* Now or the instant before which no fetch of that urgency may begin. */
struct boot_time token_source_gate(
	const struct token_source *s, struct boot_time now, enum fetch_urgency urgency);
/* When a fetch is due, whether or not it may begin then; BOOT_TIME_NEVER: none is. */
struct boot_time token_source_fetch_due(
	const struct token_source *s, const struct clock_reading *now);
/* When the next fetch begins by itself. */
struct boot_time token_source_fetch_at(
	const struct token_source *s, const struct clock_reading *now);

/* ---- knocks at a server that does not answer (token_knock.h) ---- */

/* Do callers wait, or are they refused, for want of a token that such a server may give again? */
bool token_source_knocks(const struct token_source *s);
/* Would an answer to a knock lead to a fetch? Not where fetches that such an answer led to had none
 * themselves, until a knock has had none either. */
bool token_source_knock_helps(const struct token_source *s);
/* When a fetch may begin if a knock is answered at `at`. */
struct boot_time token_source_knock_opens(const struct token_source *s, struct boot_time at);
/* The gate, or when the next knock may open it if that is earlier: */
struct boot_time token_source_knock_chance(
	const struct token_source *s, struct boot_time now, struct boot_time gate);
/* ... if there is one. */
struct boot_time token_source_chance(
	const struct token_source *s, struct boot_time now, struct boot_time gate);

#endif
