/* Who asks once leaves as soon as it is answered, and to watch it until then costs two system
 * calls. So where more may be waiting to be let in, who has been answered, and is owed nothing, is
 * not watched, but looked at once more some passes later, and watched if it is still there; at once
 * when there is a pass that lets nobody in. */
#ifndef GCTOKEND_FRONT_NEWCOMERS_H
#define GCTOKEND_FRONT_NEWCOMERS_H

#include "links.h"
#include <event2/event_struct.h>
#include <stdbool.h>

/* So many passes let others in before who was answered is looked at again: time enough for most of
 * them to leave, and little for those who ask again, whoever else comes meanwhile. */
#define NEWCOMER_PASSES 4

struct newcomers {
	/* Those let in by each of the latest passes, in turn from `pass`, if they are not watched
	 * yet. */
	struct link passes[NEWCOMER_PASSES];
	unsigned pass;
	bool letting_in;
	struct event watch_all;
	void (*see)(struct link *newcomer);
	void (*watch)(struct link *newcomer);
};

/* `see` is called for one that is to be looked at once more, and then watched, `watch` for one that
 * is to be watched at once. Both have to take it out of its list, and may free any connection. */
void newcomers_init(struct newcomers *n, struct event_base *base,
	void (*see)(struct link *newcomer), void (*watch)(struct link *newcomer));
/* The newcomers belong to others. */
void newcomers_fini(struct newcomers *n);
/* Around the letting in of some. `more`: others may be waiting to be let in. */
void newcomers_begin(struct newcomers *n);
void newcomers_end(struct newcomers *n, bool more);
/* One that has been answered already need not be watched for now: true. `newcomer` is in no list,
 * and then in one of these. */
bool newcomers_add(struct newcomers *n, struct link *newcomer);

#endif
