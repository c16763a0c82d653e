/* Requests that are held: their callers wait until there is something to reply, or the wait is
 * over. What they wait for is known to the files of calls, each of which has structs of its own
 * with a waiter as first member, and a type for them. The deadline here only wakes: whether a
 * request for a token is over is decided by core/token_ask, from ask->deadline. */
#ifndef GCTOKEND_BROKER_WAITER_H
#define GCTOKEND_BROKER_WAITER_H

#include "waiter_list.h"

#include "core/times.h"

#include <event2/event_struct.h>
#include <stdint.h>
#include <sys/queue.h>

struct broker;
struct connection;
struct event_base;
struct profile;
struct reply;
struct waiter;

struct waiter_type {
	/* `w` is ready, and its profile is there: replies and calls waiter_answered, or goes on
	 * waiting by waiter_wait. */
	void (*answer)(struct waiter *w, const struct clock_reading *now);
	/* `w` was answered, or its caller has left: frees it with all it has. */
	void (*gone)(struct waiter *w);
	/* Another profile has the name now, and is w->profile: `w` asks that one. NULL: what it
	 * waits for was the old profile's, and its caller is told that this is gone. */
	void (*moved)(struct waiter *w);
	/* The daemon stops: writes what there is to say, and returns its status. NULL: that is
	 * waiter_reply_stopping. */
	int (*stopped)(const struct waiter *w, struct reply *reply);
};

struct waiter {
	const struct waiter_type *type;
	struct broker *broker;
	struct profile *profile; /* NULL: a reload took it away */
	struct connection *connection;
	unsigned pending;         /* how many things under way it waits for */
	struct waiter_list *list; /* where it waits; NULL: whoever ends its wait points to it */
	TAILQ_ENTRY(waiter) link; /* of `list` */
	TAILQ_ENTRY(waiter) of_all;
	struct event deadline;
};

/* All waiters. */
struct waiters {
	struct waiter_list all, ready;
	uint32_t count;
	struct event pump; /* answers those who are ready, in chunks */
};

void waiters_init(struct waiters *all, struct event_base *base);
/* Every waiter is gone already. */
void waiters_fini(struct waiters *all);

/* Holds `c`, whose request is about `p`, for at most `wait`; then `w` is ready, even if things are
 * pending. `w` is all zero but for what follows it, and from here on lives until `gone`. 0;
 * -ENOMEM, and it is still the caller's. */
int waiter_begin(struct waiter *w, const struct waiter_type *type, struct profile *p,
	struct connection *c, struct duration wait);
/* It waits in `list` from here on. */
void waiter_wait(struct waiter *w, struct waiter_list *list);
/* If its time is over, it gets so much more. */
void waiter_extend(struct waiter *w, struct duration wait);
/* One of the things pending has ended; with the last one `w` is ready. */
void waiter_done(struct waiter *w);
/* `w` will be answered soon. */
void waiter_make_ready(struct waiter *w);
void waiters_make_ready(struct waiter_list *list);
/* Ends the reply that was begun on its connection; `w` is gone then. */
void waiter_answered(struct waiter *w, int status);
/* Its caller has left, or was answered in another way. */
void waiter_free(struct waiter *w);
/* `p` goes away: its waiters are answered soon, either for `successor`, which has the name now, or
 * with the news that the profile is gone. */
void waiters_lose_profile(struct profile *p, struct profile *successor);
/* The daemon stops: all are answered, here and now. */
void waiters_stop(struct waiters *all);
/* 503: the caller should ask again in a moment. Returns the status. */
int waiter_reply_stopping(struct reply *reply);

#endif
