/* Has closed what can hold up whoever closes it (passing.h): by closers, processes of their own
 * (closer.h). Descriptors are gathered for a moment, so that one closer serves many, and each
 * user's go to closers of that user's: what never finishes closing holds up nobody else's. While
 * one of a user's closers has not finished, whatever else comes from that user waits in another
 * one. Who has not finished after a second is *stuck*, and left alone.
 *
 * There are so many closers at most. When a few users have most of them, the others share. */
#ifndef GCTOKEND_FRONT_REAPER_H
#define GCTOKEND_FRONT_REAPER_H

#include <stdbool.h>
#include <sys/types.h>

struct event_base;
struct reaper;

struct reaper_hooks {
	/* A closer with something of `uid`'s, and it may be of others, is stuck. */
	void (*stuck)(void *context, uid_t uid);
	/* There are no more closers to be had: what is to be closed stays open. */
	void (*lost)(void *context);
	void *context;
};

/* What one user has given us to close. */
struct reaper_user {
	unsigned pending; /* not yet closed */
	bool stuck;       /* some of it is with a closer that is stuck */
};

/* `closer_fd` comes from closer_start, or is -1 where there are no closers, and is consumed in any
 * case: without them what is to be closed stays open. `base` must outlive the reaper.
 * 0 or a negative errno. */
int reaper_new(struct reaper **ret, struct event_base *base, int closer_fd,
	const struct reaper_hooks *hooks);
/* Waits until all is with the closers, a second at most; they finish by themselves. NULL is fine.
 */
void reaper_free(struct reaper *r);

/* The socket `fd` is consumed, and will be closed on behalf of the user at its other end. */
void reaper_close(struct reaper *r, int fd);
/* There are closers: what it is given will be closed. */
bool reaper_works(const struct reaper *r);
/* How many are still open in this process. */
unsigned reaper_pending(const struct reaper *r);
struct reaper_user reaper_user(const struct reaper *r, uid_t uid);

#endif
