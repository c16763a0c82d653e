/* The systemd unit that a caller runs in. */
#ifndef GCTOKEND_FRONT_PEER_UNIT_H
#define GCTOKEND_FRONT_PEER_UNIT_H

#include <sys/types.h>

/* The systemd unit of process `pid`, which is at the other end of socket `fd`. 0 and *ret_unit, a
 * string to free; -EMFILE, -ENFILE, -ENOMEM: not now; any other negative errno: it has none, or
 * it cannot be told for sure. */
int peer_unit(int fd, pid_t pid, char **ret_unit);

#endif
