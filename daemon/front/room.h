/* Who gives way when all connections are taken, so that nobody takes everybody's room, whatever
 * uids they have: the heaviest users, one connection after another, for whoever has much fewer.
 * Where a caller waits at a connection, it is told to come again (503), and others of users who
 * have as many are closed before, unless they have only just come. And the last few are kept for
 * root and admins, should nobody have far more. */
#ifndef GCTOKEND_FRONT_ROOM_H
#define GCTOKEND_FRONT_ROOM_H

#include <stdbool.h>
#include <stdint.h>

#define ROOM_AT_ONCE 64

/* So many of `max_connections` may be taken by who is not privileged. */
uint32_t room_for_all(uint32_t max_connections);
/* Making room means to look at all connections: so it is made for some at once. How many. */
uint32_t room_at_once(uint32_t max_connections);
/* A user who has `newcomer` connections wants another one, and of those who could give way the
 * heaviest has `heaviest`. From how many on a user gives way; 0: nobody does. Those who stay are
 * never left with fewer than the newcomer has then. */
uint32_t room_gives_way_from(uint32_t newcomer, uint32_t heaviest);

#endif
