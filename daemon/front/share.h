/* What each user has taken of our time, so that one who asks without end does not starve others.
 *
 * Two measures, neither of which costs anybody anything while nobody else is there. Who has asked
 * for more than a share of the requests stands behind those who have not: the loop only notes that
 * such a connection has something to say, and serves some of them, users in turn, once per pass.
 * (Also alone, where a pass took long, because nobody knows who is to come: then a user's
 * connections wait for each other, in the order in which they come.) And who connects without end
 * is turned away, because a connection costs most of what it costs before it is known what it
 * wants. */
#ifndef GCTOKEND_FRONT_SHARE_H
#define GCTOKEND_FRONT_SHARE_H

#include "links.h"
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A bucket with a hole: what is taken fills it, time empties it. All zero is empty. */
struct share {
	int64_t level; /* in thousandths */
	int64_t at_ms;
};

/* What a user has taken of late, and which of its connections wait. */
struct share_user {
	uid_t uid;
	struct share connected, served;
	struct link behind;    /* its connections that wait behind others, by their own link */
	struct link in_behind; /* in sharing.behind while there are any */
};

struct sharing {
	struct event_base *base;
	uint32_t connects_per_second; /* of one user, while others want to be served */
	/* The two users who were served last, the latest first. */
	struct {
		uid_t uid;
		int64_t at_ms; /* 0: never */
	} latest[2];
	struct link behind; /* users with connections that wait behind */
	struct event turn;
	void (*ready)(struct link *connection);
	uint64_t requests; /* so far, a large one counted as several */
	uint32_t in_pass;  /* of those, in the pass of the loop that began at `pass_ms` */
	int64_t pass_ms;
};

/* `ready` is called for a connection that waited behind others and whose turn it is. It may free
 * any connection. */
void share_init(struct sharing *s, struct event_base *base, uint32_t connections_per_user,
	void (*ready)(struct link *connection));
void share_fini(struct sharing *s);
/* One user may have so many connections at a time: as many are allowed a second, or 1000. */
void share_set_limit(struct sharing *s, uint32_t connections_per_user);

void share_user_init(struct share_user *user, uid_t uid);

/* Adds `amount`, after `per_second` of each second gone by has run out. It holds what runs out in a
 * second: what somebody took while nobody else was there is not held against them for longer. A
 * clock that was set empties it, which does no harm. */
void share_fill(struct share *s, uint32_t amount, uint32_t per_second, int64_t now_ms);

/* To understand, or to write, so many bytes costs about as much as to serve a small request. */
#define SHARE_BYTES_PER_REQUEST 1024

/* One connection more, or one request of so many bytes: a large one counts as several. */
void share_connected(struct sharing *s, struct share_user *user);
void share_served(struct sharing *s, struct share_user *user, size_t bytes);
void share_replied_much(struct sharing *s, struct share_user *user, size_t bytes);
/* The reply to it has so many: a large one counts as further requests. */
static inline void share_replied(struct sharing *s, struct share_user *user, size_t bytes)
{
	if (bytes >= SHARE_BYTES_PER_REQUEST)
		share_replied_much(s, user, bytes);
}
/* When share_served was called last, in milliseconds of the loop's time. */
static inline int64_t share_served_ms(const struct sharing *s)
{
	return s->latest[0].at_ms;
}
/* False for a user who connects so fast that others wait for it. NULL: has not connected of late.
 */
bool share_may_connect(const struct sharing *s, const struct share_user *user);
/* How many requests of one connection are served in a turn, where its user has so many. */
unsigned share_requests(
	const struct sharing *s, const struct share_user *user, uint32_t connections);

/* A connection of `user` has something to say or to be told. If the user has had its share, the
 * connection (by `link`, which is in no list or among those behind) now waits behind others, and
 * gets its turn by `ready` in a later pass: true. Until then nobody has to ask again. */
bool share_defer(struct sharing *s, struct share_user *user, struct link *link);
/* It waits for nothing any more. */
void share_forget(struct share_user *user, struct link *link);

#endif
