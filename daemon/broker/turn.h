/* When everybody's decisions are taken: after each event, or at the time that the latest turn asked
 * for. Whoever has changed something asks for a turn here; what is done in one is not known here,
 * but by the hook. */
#ifndef GCTOKEND_BROKER_TURN_H
#define GCTOKEND_BROKER_TURN_H

#include "core/times.h"

#include <event2/event_struct.h>

struct boot_timer;
struct event_base;
struct wall_watch;

struct turn {
	struct boot_time (*take)(void *context);
	void *context;
	struct boot_timer *timer;
	struct wall_watch *wall_watch;
	struct event soon;
};

/* All zero before: turn_fini is safe then. `take` is the hook: it takes a turn, and says when the
 * next one is due if nothing happens; BOOT_TIME_NEVER: none is. 0 or negative errno. */
int turn_init(struct turn *t, struct event_base *base, struct boot_time (*take)(void *context),
	void *context);
void turn_fini(struct turn *t);
/* A turn, which may change or free what the caller points to. */
void turn_now(struct turn *t);
/* The same a moment later: for when the caller goes on with what a turn may change. */
void turn_soon(struct turn *t);

#endif
