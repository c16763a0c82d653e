/* Callers that are turned away before they have asked. One that finds its connection closed before
 * it has sent its request is told of a broken pipe, or of no connection at all, and never reads
 * why; and what there is to say to it depends on what it asks: a HEAD gets no body. So each is kept
 * until its request comes, for a second at most, and told then. There may be so many; then the one
 * that was kept longest is told, and goes. */
#ifndef GCTOKEND_FRONT_LINGERING_H
#define GCTOKEND_FRONT_LINGERING_H

#include "deadlines.h"

struct protocol;
struct reaper;
struct refusal;

struct lingering {
	struct event_base *base;
	struct deadlines all;
	unsigned count, most;
};

void lingering_init(struct lingering *l, struct event_base *base, unsigned most);
/* Nothing has come from `fd` yet. It is told `refusal`, which stays, by `protocol`, and consumed;
 * `reaper`: see passing.h. */
void lingering_add(struct lingering *l, int fd, struct reaper *reaper,
	const struct protocol *protocol, const struct refusal *refusal);
/* Tells and closes them all. */
void lingering_fini(struct lingering *l);

#endif
