/* A unit is found by process id, and ids are used again. What guards against reading the unit of a
 * later process: a pidfd is taken first, the unit is read, and then the pidfd must say that its
 * process still lives, so that the id was its own all the time. Where the kernel can make that
 * pidfd from the socket it is surely the one that connected; an older kernel (before 6.5) makes it
 * from the id, which leaves the time from connecting to here. Hence units only narrow a rule. */
#include "peer_unit.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <systemd/sd-login.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

static int peer_pidfd(int fd, pid_t pid)
{
	int pidfd = -1;
	socklen_t length = sizeof(pidfd);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &length) == 0)
		return pidfd >= 0 ? pidfd : -ESRCH;
	if (errno != ENOPROTOOPT)
		return -errno;
	pidfd = pidfd_open(pid, 0);
	return pidfd >= 0 ? pidfd : -errno;
}

/* A pidfd becomes readable when its process has ended. */
static int pidfd_check_alive(int pidfd)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};
	int r;

	do
		r = poll(&p, 1, 0);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	return r ? -ESRCH : 0;
}

int peer_unit(int fd, pid_t pid, char **ret_unit)
{
	char *unit = NULL;
	int pidfd, r;

	if (pid <= 0)
		return -ESRCH;
	pidfd = peer_pidfd(fd, pid);
	if (pidfd < 0)
		return pidfd;
	r = sd_pid_get_unit(pid, &unit);
	if (r >= 0)
		r = pidfd_check_alive(pidfd);
	close(pidfd);
	if (r < 0) {
		free(unit);
		return r;
	}
	*ret_unit = unit;
	return 0;
}
