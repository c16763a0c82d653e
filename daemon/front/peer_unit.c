/* A unit is found by process id, and ids are used again. What guards against reading the unit of a
 * later process: the kernel makes a pidfd of the process that connected out of the socket, the unit
 * is read, and then the pidfd must say that its process still lives, so that the id was its own all
 * the time. A kernel that cannot do that (before 6.5) knows the id alone, and nobody can tell since
 * when a connection has been waiting, nor so whether the process of that id is older than it: there
 * nobody's unit is known. */
#include "peer_unit.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <systemd/sd-login.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

static int peer_pidfd(int fd)
{
	int pidfd = -1;
	socklen_t length = sizeof(pidfd);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &length) < 0)
		return -errno;
	return pidfd >= 0 ? pidfd : -ESRCH;
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
	pidfd = peer_pidfd(fd);
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

int peer_unit_still(int fd)
{
	int pidfd = peer_pidfd(fd), r;

	if (pidfd < 0)
		return pidfd;
	r = pidfd_check_alive(pidfd);
	close(pidfd);
	return r;
}

bool peer_unit_possible(void)
{
	int ends[2], pidfd;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return true; /* it is not known that it is not */
	pidfd = peer_pidfd(ends[0]);
	if (pidfd >= 0)
		close(pidfd);
	close(ends[0]);
	close(ends[1]);
	return pidfd != -ENOPROTOOPT;
}
