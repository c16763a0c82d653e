/* Taking connections in at the listening sockets. Whatever accept reports, it ends nothing: a
 * caller that gave up while queued is passed over, and when descriptors or memory run out the
 * listening sockets are left alone for a moment, because a level-triggered loop would otherwise
 * spin on a queue it cannot shorten. One reserve descriptor lets at least one caller per moment be
 * told so. */
#ifndef GCTOKEND_FRONT_ACCEPT_H
#define GCTOKEND_FRONT_ACCEPT_H

#include "lingering.h"
#include <event2/event_struct.h>
#include <stdbool.h>

struct connections;
struct listening;
struct protocol;
struct reaper;

struct acceptor {
	struct event_base *base;
	struct connections *connections;
	struct reaper *reaper;
	void (*failed)(void *context); /* descriptors or memory ran out; may be NULL */
	void *context;
	struct listening *listening;
	struct event again;         /* after a shortage of descriptors or memory */
	int reserve;                /* a descriptor to give up when there are no others */
	struct lingering lingering; /* turned away */
};

/* `reaper` closes what was accepted and may not be closed here. */
void accept_init(struct acceptor *a, struct event_base *base, struct connections *connections,
	struct reaper *reaper, uint32_t max_turned_away, void (*failed)(void *context),
	void *context);
/* See struct front_limits. */
void accept_set_max_turned_away(struct acceptor *a, uint32_t max_turned_away);
/* `fd` is a listening Unix stream socket, at which `protocol` is spoken; owned here after success.
 * 0; -EINVAL: it is none; another negative errno. */
int accept_listen(struct acceptor *a, int fd, const struct protocol *protocol);
/* Idempotent: no more accepts; the sockets stay open. */
void accept_stop(struct acceptor *a);
void accept_fini(struct acceptor *a);

#endif
