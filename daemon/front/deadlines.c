#include "deadlines.h"

#include <errno.h>
#include <event2/event.h>

#define TICKS_PER_LENGTH 32
#define SHORTEST_PERIOD_MS 10

static void tick(evutil_socket_t fd, short what, void *context)
{
	struct deadlines *d = context;

	(void)fd;
	(void)what;
	d->now++;
	while (!link_alone(&d->list)) {
		struct deadline *first = LINK_ELEMENT(d->list.next, struct deadline, link);

		if (first->expires > d->now)
			break;
		link_remove(&first->link);
		d->expired(first);
	}
	/* Only here, never when the last entry leaves: entries come and go with each request. */
	if (link_alone(&d->list)) {
		event_del(&d->tick);
		d->ticking = false;
	}
}

static int64_t ticks_up(int64_t ns, struct duration period)
{
	return ns / period.ns + (ns % period.ns != 0);
}

static void length_apply(struct deadlines *d, struct duration length)
{
	struct duration period = duration_ns(length.ns / TICKS_PER_LENGTH);

	period = duration_min(period, d->longest_period);
	d->period = duration_max(period, duration_ms(SHORTEST_PERIOD_MS));
	/* one more, because the tick that comes next may come at once */
	d->length = length.ns > 0 ? (uint64_t)ticks_up(length.ns, d->period) + 1 : 1;
}

void deadlines_init(struct deadlines *d, struct event_base *base, struct duration length,
	struct duration longest_period, void (*expired)(struct deadline *d))
{
	*d = (struct deadlines){.longest_period = longest_period, .expired = expired};
	link_init(&d->list);
	event_assign(&d->tick, base, -1, EV_PERSIST, tick, d);
	length_apply(d, length);
}

void deadlines_fini(struct deadlines *d)
{
	if (d->ticking)
		event_del(&d->tick);
	d->ticking = false;
}

static int ticking_start(struct deadlines *d)
{
	struct timeval period = {
		.tv_sec = d->period.ns / NS_PER_S, .tv_usec = d->period.ns % NS_PER_S / 1000};

	if (event_add(&d->tick, &period) < 0)
		return -ENOMEM;
	d->ticking = true;
	return 0;
}

void deadlines_set_length(struct deadlines *d, struct duration length)
{
	struct duration before = d->period;

	length_apply(d, length);
	for (struct link *l = d->list.next; l != &d->list; l = l->next) {
		struct deadline *entry = LINK_ELEMENT(l, struct deadline, link);
		uint64_t left = entry->expires > d->now ? entry->expires - d->now : 0;
		int64_t left_ns;

		/* both steps keep the order of the list */
		if (__builtin_mul_overflow(left, (uint64_t)before.ns, &left_ns))
			left_ns = INT64_MAX;
		left = (uint64_t)ticks_up(left_ns, d->period);
		entry->expires = d->now + (left < d->length ? left : d->length);
	}
	/* If this fails the old, longer or shorter, period goes on: late by its ratio at worst, and
	 * the next start of the ticking mends it. */
	if (d->ticking)
		ticking_start(d);
}

int deadlines_add(struct deadlines *d, struct deadline *entry)
{
	if (!d->ticking) {
		int r = ticking_start(d);

		if (r < 0)
			return r;
	}
	entry->expires = d->now + d->length;
	link_append(&d->list, &entry->link);
	return 0;
}
