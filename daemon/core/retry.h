/* When a failed fetch may be tried again, and how many fetches there may be at all. */
#ifndef GCTOKEND_CORE_RETRY_H
#define GCTOKEND_CORE_RETRY_H

#include "random.h"
#include "times.h"
#include <stdbool.h>

#define RETRY_AFTER_CAP_S 3600
/* The longest pause between two attempts in an outage: */
#define RETRY_MOST_S 60
#define RETRY_MOST_WAITED_S 5 /* ... while callers are refused for want of a token, */
#define RETRY_VAIN_S 10       /* ... after an answer to a knock that was misleading, at least */
#define RETRY_MOST_BUSY_S 10  /* ... and so by a server that says it is too much for it */
/* After a refusal that no time heals: */
#define RETRY_REFUSED_S 900
#define RETRY_REFUSED_FIRST_S 30 /* ... the first, while a token lives */

#define MINT_WINDOW_S 300
#define MINT_LIMIT_MAX 1000
#define MINT_LIMIT_AUTO 0 /* goes by the lifetime of the latest token, between these: */
#define MINT_LIMIT_AUTO_LEAST 15
#define MINT_LIMIT_AUTO_MOST 100

/* 1, 2, 4 ... `most_s` seconds times random(0.5 .. 1), for the n-th failure in a row, n from 1. */
struct duration retry_delay(unsigned failures, int64_t most_s, struct random *random);
/* After the n-th refusal in a row that no time heals (n from 1): 30 s, then a quarter of an hour,
 * but at half of what the token has left, as long as that is not too often. `left`: zero or less
 * if there is no token. */
struct duration retry_refused(unsigned refusals, struct duration left);
/* The pause, or less, so that there is at least one more attempt while a token lives. `left` as
 * above. */
struct duration retry_in_life(struct duration pause, struct duration left);
/* After the n-th fetch in a row, n from 1, that an answered knock led to and that had no answer:
 * 10, 20, 40, 60 s. */
struct duration retry_vain(unsigned vain);
/* What a server's Retry-After is obeyed as: a second more for its rounding, an hour at most. */
struct duration retry_obey(struct duration retry_after);

/* The latest POSTs of one client that may have minted a token, whatever their cause. Genesys evicts
 * the oldest token of a client that mints too many, so a loop of any kind would kill the tokens in
 * use. A POST is in it before it leaves, and is taken back when it turns out to have minted
 * nothing. Plain data: the instants and the pace are written to the state file. */
struct mint_window {
	struct boot_time
		at[MINT_LIMIT_MAX]; /* ring; at[(first + i) % MINT_LIMIT_MAX], oldest first */
	/* alike: the source of which a caller had rejected the token, if that was the reason and a
	 * new one came; 0: none */
	unsigned rejection[MINT_LIMIT_MAX];
	unsigned first, count;
	unsigned sources;     /* that share it now, */
	unsigned joined;      /* and ever have */
	struct duration pace; /* from one fetch to the next, by the lifetime of the latest token;
				 zero: not known */
};

/* One more source shares it. Returns the number by which it is known here, from 1. */
unsigned mint_window_join(struct mint_window *w);
void mint_window_leave(struct mint_window *w);
void mint_window_add(struct mint_window *w, struct boot_time now);
/* One that was added at `at` has minted nothing. */
void mint_window_take_back(struct mint_window *w, struct boot_time at);
/* One that was added at `at`, because a caller had rejected the token of that source, has minted a
 * new one. */
void mint_window_mark_rejection(struct mint_window *w, struct boot_time at, unsigned source);
/* What `limit` comes to: itself, or for MINT_LIMIT_AUTO twice what the latest token's lifetime
 * needs for all sources, within its bounds. At a start each of them needs one, however long tokens
 * live. */
unsigned mint_window_limit(const struct mint_window *w, unsigned limit);
/* How many POSTs in MINT_WINDOW_S the latest token's lifetime needs for all sources, on average; 0:
 * not known. */
unsigned mint_window_needs(const struct mint_window *w);
/* The earliest instant >= now at which one more POST keeps to `limit` in MINT_WINDOW_S. */
struct boot_time mint_window_next(
	const struct mint_window *w, unsigned limit, struct boot_time now);
/* How many of them callers may cause by rejecting tokens: half of `limit`, or what a cool-down lets
 * pass anyway, but one less than `limit`. Whoever may have a token can end it and reject it, again
 * and again; the rest is for first tokens and refreshes. */
unsigned mint_window_rejections(
	const struct mint_window *w, unsigned limit, struct duration cooldown);
/* As mint_window_next, for one more POST because the token of that source was rejected; what
 * rejections may cause is all that is looked at. A source that has used none of it may pass it by
 * one: what others of the client do keeps nobody from replacing a token that has died. */
struct boot_time mint_window_next_rejection(const struct mint_window *w, unsigned limit,
	struct duration cooldown, unsigned source, struct boot_time now);
/* The earliest instant for another POST after one that left at `sent` and, like some before it, was
 * not answered. Once half of the window is used up the rest is spread out: else it would be full
 * long before an outage of that kind is over, and nothing could be tried until the oldest has left.
 */
struct boot_time mint_window_spread(
	const struct mint_window *w, unsigned limit, struct boot_time sent);
/* The i-th latest, i from 0; used by what writes the state. */
struct boot_time mint_window_at(const struct mint_window *w, unsigned i);

#endif
