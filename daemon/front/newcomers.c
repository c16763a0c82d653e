#include "newcomers.h"

#include <event2/event.h>

static void each(struct link *newcomers, void (*leaves)(struct link *newcomer))
{
	while (!link_alone(newcomers))
		leaves(newcomers->next);
}

static void watch_all(struct newcomers *n)
{
	for (unsigned i = 0; i < NEWCOMER_PASSES; i++)
		each(&n->passes[i], n->watch);
}

static void watch_event(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	watch_all(context);
}

void newcomers_init(struct newcomers *n, struct event_base *base,
	void (*see)(struct link *newcomer), void (*watch)(struct link *newcomer))
{
	*n = (struct newcomers){.see = see, .watch = watch};
	for (unsigned i = 0; i < NEWCOMER_PASSES; i++)
		link_init(&n->passes[i]);
	evtimer_assign(&n->watch_all, base, watch_event, n);
}

void newcomers_fini(struct newcomers *n)
{
	event_del(&n->watch_all);
}

void newcomers_begin(struct newcomers *n)
{
	n->pass = (n->pass + 1) % NEWCOMER_PASSES;
	each(&n->passes[n->pass], n->see);
	n->letting_in = true;
}

void newcomers_end(struct newcomers *n, bool more)
{
	static const struct timeval at_once = {0};

	n->letting_in = false;
	/* A timer and not event_active(): that would run before the loop looks at other sockets. */
	if (!more || event_add(&n->watch_all, &at_once) < 0)
		watch_all(n);
}

bool newcomers_add(struct newcomers *n, struct link *newcomer)
{
	if (!n->letting_in)
		return false;
	link_append(&n->passes[n->pass], newcomer);
	return true;
}
