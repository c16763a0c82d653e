/* In a turn everybody's decisions are taken and carried out: after each event, and at the time that
 * the latest turn asked for. Whoever has changed something asks for a turn here. What is done in
 * one only the hook knows. */
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

/* `t` is all zero, for which turn_fini is fine, too. `take`, the hook, takes a turn and returns
 * when the next one is due if nothing happens; BOOT_TIME_NEVER: none is. 0 or negative errno. */
int turn_init(struct turn *t, struct event_base *base, struct boot_time (*take)(void *context),
	void *context);
void turn_fini(struct turn *t);
/* Takes a turn. It may change or free what the caller points to. */
void turn_now(struct turn *t);
/* The same a moment later, for callers who go on using what a turn may change. */
void turn_soon(struct turn *t);

#endif
