/* Requests that are held: their callers wait until something has become of them, or the wait is
 * over. What that is the files of calls know; each has its own struct, with a waiter as its first
 * member, and a type. */
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
struct waiter;

struct waiter_type {
	/* It is ready, and its profile is there: replies and ends with waiter_answered, or holds on
	 * with waiter_wait. */
	void (*answer)(struct waiter *w, const struct clock_reading *now);
	/* It was answered, or its caller has left: lets go of what it has, and frees it. */
	void (*gone)(struct waiter *w);
	/* Another profile has the name now, and it asks that one. NULL: what it waits for was the
	 * old one's, and it is told that this is gone. */
	void (*moved)(struct waiter *w);
};

struct waiter {
	const struct waiter_type *type;
	struct broker *broker;
	struct profile *profile; /* NULL: a reload took it away */
	struct connection *connection;
	unsigned pending;         /* what is still under way for it */
	struct waiter_list *list; /* where it waits; NULL: who is to end its wait knows it */
	TAILQ_ENTRY(waiter) link; /* of `list` */
	TAILQ_ENTRY(waiter) of_all;
	struct event deadline;
};

/* All there are; in struct broker. */
struct waiters {
	struct waiter_list all, ready;
	uint32_t count;
	struct event pump; /* answers those who are ready, in chunks */
};

void waiters_init(struct waiters *all, struct event_base *base);
/* Every waiter is gone already. */
void waiters_fini(struct waiters *all);

/* Holds `c` for what is asked of `p`, for at most `wait`: at its end the waiter is ready, whatever
 * has become of what it waits for. `w` is all zero, and from here on lives until `gone`. 0;
 * -ENOMEM: it is the caller's still. */
int waiter_begin(struct waiter *w, const struct waiter_type *type, struct profile *p,
	struct connection *c, struct duration wait);
/* It waits in `list` from here on. */
void waiter_wait(struct waiter *w, struct waiter_list *list);
/* If its time was over, it has so much again. */
void waiter_extend(struct waiter *w, struct duration wait);
/* One of those that are pending has come to its end; with the last one it is ready. */
void waiter_done(struct waiter *w);
/* It is answered soon. */
void waiter_make_ready(struct waiter *w);
void waiters_make_ready(struct waiter_list *list);
/* Ends the reply that its answer has begun; `w` is gone then. */
void waiter_answered(struct waiter *w, int status);
/* Its caller has left, or is answered in another way. */
void waiter_free(struct waiter *w);
/* The profile goes away: whoever is held for it is answered soon, by `successor`, which has its
 * name now, or, where that is NULL, is told that there is none. */
void waiters_lose_profile(struct profile *p, struct profile *successor);

#endif
