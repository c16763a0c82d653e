#include "waiter.h"

#include "broker.h"
#include "profile_type.h"

#include "core/reply.h"
#include "front/connection_hold.h"
#include "host/clock.h"

#include <errno.h>
#include <event2/event.h>

/* In one pass of the loop. Thousands may wait for the same token; a caller who asks for something
 * else must not wait for all of them. */
#define ANSWERS_A_PASS 128

static void pump_soon(struct waiters *all)
{
	/* A timer of zero, not event_active, so that the next pass looks at the sockets first.
	 * Without memory for that, event_active will do: nothing else would ever answer them. */
	static const struct timeval at_once;

	if (!TAILQ_EMPTY(&all->ready) && !evtimer_pending(&all->pump, NULL) &&
		evtimer_add(&all->pump, &at_once))
		event_active(&all->pump, EV_TIMEOUT, 0);
}

static void answer(struct waiter *w, const struct clock_reading *now)
{
	struct reply reply;

	if (w->profile) {
		w->type->answer(w, now);
		return;
	}
	connection_reply_begin(w->connection, &reply);
	waiter_answered(w, reply_error(&reply, 404, "unknown_profile",
				   "a reload of the configuration removed the profile", -1));
}

static void pump(int fd, short events, void *context)
{
	struct waiters *all = context;
	struct clock_reading now;
	struct waiter *w;

	(void)fd;
	(void)events;
	clock_read(&now);
	for (int i = 0; i < ANSWERS_A_PASS && (w = TAILQ_FIRST(&all->ready)) != NULL; i++)
		answer(w, &now);
	pump_soon(all);
}

void waiters_init(struct waiters *all, struct event_base *base)
{
	TAILQ_INIT(&all->all);
	TAILQ_INIT(&all->ready);
	evtimer_assign(&all->pump, base, pump, all);
}

void waiters_fini(struct waiters *all)
{
	if (event_initialized(&all->pump))
		event_del(&all->pump);
}

static void deadline_passed(int fd, short events, void *context)
{
	(void)fd;
	(void)events;
	waiter_make_ready(context);
}

static int arm_deadline(struct waiter *w, struct duration wait)
{
	/* rounded up: else it would wake up before the deadline, only to wait for the rest */
	int64_t us = wait.ns > 0 ? (wait.ns + 999) / 1000 : 0;
	struct timeval tv = {.tv_sec = us / 1000000, .tv_usec = us % 1000000};

	return evtimer_add(&w->deadline, &tv) ? -ENOMEM : 0;
}

int waiter_begin(struct waiter *w, const struct waiter_type *type, struct profile *p,
	struct connection *c, struct duration wait)
{
	struct waiters *all = &p->broker->waiters;

	w->type = type;
	w->broker = p->broker;
	w->profile = p;
	w->connection = c;
	evtimer_assign(&w->deadline, p->broker->base, deadline_passed, w);
	if (arm_deadline(w, wait))
		return -ENOMEM;
	TAILQ_INSERT_TAIL(&all->all, w, of_all);
	all->count++;
	p->waiting_count++;
	connection_set_hold(c, w);
	return 0;
}

static void move(struct waiter *w, struct waiter_list *list)
{
	if (w->list)
		TAILQ_REMOVE(w->list, w, link);
	w->list = list;
	if (list)
		TAILQ_INSERT_TAIL(list, w, link);
}

void waiter_wait(struct waiter *w, struct waiter_list *list)
{
	move(w, list);
}

void waiter_extend(struct waiter *w, struct duration wait)
{
	if (!evtimer_pending(&w->deadline, NULL))
		arm_deadline(w, wait);
}

void waiter_make_ready(struct waiter *w)
{
	struct waiters *all = &w->broker->waiters;

	if (w->list == &all->ready)
		return;
	move(w, &all->ready);
	pump_soon(all);
}

void waiters_make_ready(struct waiter_list *list)
{
	struct waiter *w;

	while ((w = TAILQ_FIRST(list)) != NULL)
		waiter_make_ready(w);
}

void waiter_done(struct waiter *w)
{
	if (!--w->pending)
		waiter_make_ready(w);
}

void waiter_free(struct waiter *w)
{
	struct waiters *all = &w->broker->waiters;

	move(w, NULL);
	TAILQ_REMOVE(&all->all, w, of_all);
	all->count--;
	if (w->profile)
		w->profile->waiting_count--;
	evtimer_del(&w->deadline);
	connection_set_hold(w->connection, NULL);
	w->type->gone(w);
}

void waiter_answered(struct waiter *w, int status)
{
	struct connection *c = w->connection;

	waiter_free(w);
	connection_reply_end(c, status);
}

int waiter_reply_stopping(struct reply *reply)
{
	return reply_error(reply, 503, "temporarily_unavailable",
		"the daemon is stopping: ask again in a moment", 1);
}

void waiters_stop(struct waiters *all)
{
	struct waiter *w;

	while ((w = TAILQ_FIRST(&all->all)) != NULL) {
		struct reply reply;

		connection_reply_begin(w->connection, &reply);
		waiter_answered(w, w->type->stopped ? w->type->stopped(w, &reply)
						    : waiter_reply_stopping(&reply));
	}
}

void waiters_lose_profile(struct profile *p, struct profile *successor)
{
	struct waiter *w;

	TAILQ_FOREACH(w, &p->broker->waiters.all, of_all)
	{
		if (w->profile != p)
			continue;
		waiter_make_ready(w);
		w->profile = w->type->moved ? successor : NULL;
		if (!w->profile)
			continue;
		w->profile->waiting_count++;
		w->type->moved(w);
	}
}
