/* Callers that were turned away and told so. One that finds its connection closed before it has
 * sent its request is told of a broken pipe, or of no connection at all, and never reads why: so
 * each is kept until its request has come, for a second at most. There may be so many; then the one
 * that was kept longest goes. */
#ifndef GCTOKEND_FRONT_LINGERING_H
#define GCTOKEND_FRONT_LINGERING_H

#include "deadlines.h"

struct reaper;

struct lingering {
	struct event_base *base;
	struct deadlines all;
	unsigned count, most;
};

void lingering_init(struct lingering *l, struct event_base *base, unsigned most);
/* `fd` has been told. Consumes it; `reaper`: see passing.h. */
void lingering_add(struct lingering *l, int fd, struct reaper *reaper);
/* Closes them all. */
void lingering_fini(struct lingering *l);

#endif
