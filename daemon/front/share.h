/* What each user has taken of our time, so that one who asks without end does not starve others.
 *
 * Two measures, neither of which costs anybody anything while nobody else is there. Who has asked
 * for more than a share of the requests stands behind those who have not: the loop only notes that
 * such a connection has something to say, and serves some of them, users in turn, once per pass.
 * And who connects without end is turned away, because a connection costs most of what it costs
 * before it is known what it wants. */
#ifndef GCTOKEND_FRONT_SHARE_H
#define GCTOKEND_FRONT_SHARE_H

#include "links.h"
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct connection;
struct front;
struct peer_user;

/* A bucket with a hole: what is taken fills it, time empties it. All zero is empty. */
struct share {
	int64_t level; /* in thousandths */
	int64_t at_ms;
};

/* The front's part. */
struct sharing {
	/* The two users who were served last, the latest first. */
	struct {
		uid_t uid;
		int64_t at_ms; /* 0: never */
	} latest[2];
	struct link behind; /* users with connections that wait behind */
	struct event turn;
	uint64_t requests; /* so far */
};

void share_init(struct front *f);
void share_fini(struct front *f);

/* Adds `amount`, after `per_second` of each second gone by has run out. It holds what runs out in a
 * second: what somebody took while nobody else was there is not held against them for longer. A
 * clock that was set empties it, which does no harm. */
void share_fill(struct share *s, uint32_t amount, uint32_t per_second, int64_t now_ms);

/* One connection more, or one request. */
void share_connected(struct front *f, struct peer_user *user);
void share_served(struct front *f, struct peer_user *user);
/* A user who connects so fast that others wait for it may not. NULL: has not connected of late. */
bool share_may_connect(struct front *f, const struct peer_user *user);
/* One that may not: whether to tell why. Thousands a second are not told. */
bool share_tell_refused(struct front *f, struct peer_user *user);
/* How many requests of one connection are served in a turn. */
unsigned share_requests(struct front *f, const struct peer_user *user);

/* Whether `c`, which has something to say or to be told, now stands behind others: then it gets its
 * turn by connection_ready in a later pass, and until then nobody has to ask again. */
bool share_is_behind(struct connection *c);
/* `c` waits for nothing any more. */
void share_forget(struct connection *c);

#endif
