/* Deadlines that all lie the same time ahead when they are set.
 *
 * A timer per connection would cost a heap operation per request. But where every deadline is "now
 * plus T", appending keeps a list sorted, and what has to be looked at is its head. Time is counted
 * in ticks of about T/32: nothing reads a clock, and the ticking stops soon after the list has run
 * empty, so an idle daemon sleeps. An entry expires T to T + 1/16 T after it was added (rounding
 * and one tick). */
#ifndef GCTOKEND_FRONT_DEADLINES_H
#define GCTOKEND_FRONT_DEADLINES_H

#include "core/times.h"
#include "links.h"
#include <event2/event_struct.h>

struct deadline {
	struct link link;
	uint64_t expires; /* in ticks of its list */
};

struct deadlines {
	struct link list;
	struct event tick;
	struct duration period, longest_period;
	uint64_t now;    /* ticks so far */
	uint64_t length; /* T in ticks */
	bool ticking;
	void (*expired)(struct deadline *d);
};

/* `expired` is called with the entry already removed; it may add and remove any entry. No tick is
 * longer than longest_period. */
void deadlines_init(struct deadlines *d, struct event_base *base, struct duration length,
	struct duration longest_period, void (*expired)(struct deadline *d));
/* Stops the ticking. The entries belong to others. */
void deadlines_fini(struct deadlines *d);
/* From now on T is `length`. Entries keep their deadline, unless the new T from now is sooner. */
void deadlines_set_length(struct deadlines *d, struct duration length);
/* `entry` is in no list. -ENOMEM: it was not added. */
int deadlines_add(struct deadlines *d, struct deadline *entry);
/* To leave the list now and to be added again would change nothing, but for its place among those
 * that expire with it. */
static inline bool deadlines_is_latest(const struct deadlines *d, const struct deadline *entry)
{
	return entry->expires == d->now + d->length;
}

#endif
