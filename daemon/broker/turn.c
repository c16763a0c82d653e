#include "turn.h"

#include "host/clock.h"
#include "host/log.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>

static void take(void *context)
{
	struct turn *t = context;

	evtimer_del(&t->soon);
	if (boot_timer_arm(t->timer, t->take(t->context)))
		log_line(LOG_ERR, "the timer cannot be armed: %s", strerror(errno));
}

static void soon(int fd, short events, void *context)
{
	(void)fd;
	(void)events;
	take(context);
}

int turn_init(struct turn *t, struct event_base *base, struct boot_time (*hook)(void *context),
	void *context)
{
	int r;

	t->take = hook;
	t->context = context;
	evtimer_assign(&t->soon, base, soon, t);
	r = boot_timer_new(&t->timer, base, take, t);
	/* a step of the wall clock is an event like any other */
	return r ? r : wall_watch_new(&t->wall_watch, base, take, t);
}

void turn_fini(struct turn *t)
{
	wall_watch_free(t->wall_watch);
	boot_timer_free(t->timer);
	if (event_initialized(&t->soon))
		event_del(&t->soon);
}

void turn_now(struct turn *t)
{
	take(t);
}

void turn_soon(struct turn *t)
{
	static const struct timeval at_once;

	/* adding it takes memory; without any, the end of this pass is soon enough */
	if (!evtimer_pending(&t->soon, NULL) && evtimer_add(&t->soon, &at_once))
		event_active(&t->soon, EV_TIMEOUT, 0);
}
