/* When a failed fetch may be tried again, and how many fetches there may be at all. */
#ifndef GCTOKEND_CORE_RETRY_H
#define GCTOKEND_CORE_RETRY_H

#include "random.h"
#include "times.h"

#define RETRY_AFTER_CAP_S 3600
#define RETRY_REJECTED_S 900 /* after the server refused the credentials */
#define MINT_WINDOW_S 300
#define MINT_LIMIT_MAX 1000

/* 1, 2, 4 ... 60 s times random(0.5 .. 1), for the n-th failure in a row, n from 1. */
struct duration retry_delay(unsigned failures, struct random *random);
/* What a server's Retry-After is obeyed as: a second more for its rounding, an hour at most. */
struct duration retry_obey(struct duration retry_after);

/* The latest POSTs of one client, whatever their cause. Genesys evicts the oldest token of a client
 * that mints too many, so a loop of any kind would kill the tokens in use. Plain data: it is
 * written to the state file as it is. */
struct mint_window {
	struct boot_time
		at[MINT_LIMIT_MAX]; /* ring; at[(first + i) % MINT_LIMIT_MAX], oldest first */
	unsigned first, count;
};

void mint_window_add(struct mint_window *w, struct boot_time now);
/* The earliest instant >= now at which one more POST keeps to `limit` in MINT_WINDOW_S. */
struct boot_time mint_window_next(
	const struct mint_window *w, unsigned limit, struct boot_time now);
/* The i-th latest, i from 0; used by what writes the state. */
struct boot_time mint_window_at(const struct mint_window *w, unsigned i);

#endif
