#include "heap_trim.h"

#include <event2/event.h>
#include <malloc.h>

#define CROWD_LEAST 1000

static void trim_event(evutil_socket_t fd, short what, void *context)
{
	struct heap_trim *h = context;

	(void)fd;
	(void)what;
	h->most = h->now;
	malloc_trim(0);
}

void heap_trim_init(struct heap_trim *h, struct event_base *base)
{
	*h = (struct heap_trim){0};
	evtimer_assign(&h->trim, base, trim_event, h);
}

void heap_trim_fini(struct heap_trim *h)
{
	event_del(&h->trim);
}

void heap_trim_count(struct heap_trim *h, uint32_t now)
{
	static const struct timeval in_a_moment = {.tv_sec = 1};

	h->now = now;
	if (now > h->most)
		h->most = now;
	else if (h->most >= CROWD_LEAST && now <= h->most / 4 && !evtimer_pending(&h->trim, NULL))
		event_add(&h->trim, &in_a_moment);
}
