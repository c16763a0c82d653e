/* The systemd unit that a caller runs in. */
#ifndef GCTOKEND_FRONT_PEER_UNIT_H
#define GCTOKEND_FRONT_PEER_UNIT_H

#include <stdbool.h>
#include <sys/types.h>

/* The systemd unit of process `pid`, which is at the other end of socket `fd`. 0 and *ret_unit, a
 * string to free; -EMFILE, -ENFILE, -ENOMEM: not now; any other negative errno: it has none, or
 * it cannot be told for sure. */
int peer_unit(int fd, pid_t pid, char **ret_unit);
/* 0: the process that connected lives; else negative errno. */
int peer_unit_still(int fd);
/* False: this kernel (before Linux 6.5) cannot say which process connected. */
bool peer_unit_possible(void);

#endif
