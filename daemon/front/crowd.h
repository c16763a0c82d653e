/* Which connections are closed for the sake of others, when there are too many, or too much is kept
 * for them. */
#ifndef GCTOKEND_FRONT_CROWD_H
#define GCTOKEND_FRONT_CROWD_H

#include <stdint.h>

struct connections;

/* More than KEPT_MOST is kept: closes connections until it is a quarter less. */
void crowd_keep_less(struct connections *all);
/* For a user who has `newcomer` connections: so many are closed, or some more; or none, if nobody
 * has to give way (room.h). */
void crowd_make_room(struct connections *all, uint32_t newcomer, uint32_t least);

#endif
