/* One held request. */
#ifndef GCTOKEND_BROKER_WAITER_H
#define GCTOKEND_BROKER_WAITER_H

#include "core/times.h"
#include "core/token_ask.h"

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct broker;
struct connection;
struct endpoint;
struct login;
struct profile;

enum waiter_kind {
	WAITER_TOKEN,
	WAITER_MEASURE, /* for a HEAD of the endpoint */
	WAITER_REVOKE,
	WAITER_LOGIN,  /* for the end of a login */
	WAITER_LOGOUT, /* as WAITER_REVOKE, and for the login to be erased */
};

struct waiter {
	TAILQ_ENTRY(waiter) link; /* profile->waiting, endpoint->measuring, or broker->ready */
	struct broker *broker;
	struct profile *profile; /* NULL: a reload took it away */
	struct endpoint *endpoint;
	struct connection *connection;
	enum waiter_kind kind;
	bool ready;
	/* WAITER_LOGOUT */
	bool erasing;        /* the login's file still has to go */
	int erase_error;     /* negative errno of that */
	uint64_t erased_by;  /* the write of the login that removes it */
	bool untold;         /* a revocation could not even begin */
	struct login *login; /* WAITER_LOGIN, WAITER_LOGOUT */
	struct token_ask ask;
	struct event deadline;
};

/* Holds `c`. `wait`: at its end the waiter becomes ready. 0 or -ENOMEM. */
int waiter_new(struct waiter **ret, struct profile *p, struct connection *c, enum waiter_kind kind,
	struct duration wait);
void waiter_free(struct waiter *w);
/* It is asked again, or answered, soon. */
void waiter_make_ready(struct waiter *w);
void waiters_make_ready(struct profile *p);
/* The profile goes away: whoever is held for it goes on waiting for `successor`, or, where that is
 * NULL, is told so, soon. */
void waiters_lose_profile(struct profile *p, struct profile *successor);
/* The pump's event. */
void waiters_answer(int fd, short events, void *broker);

#endif
