/* Preloaded into a daemon, which then runs as on a kernel before 6.5: one that knows who connected
 * by a number alone. */
#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

int getsockopt(int fd, int level, int option, void *value, socklen_t *length)
{
	if (level == SOL_SOCKET && option == SO_PEERPIDFD) {
		errno = ENOPROTOOPT;
		return -1;
	}
	return (int)syscall(SYS_getsockopt, fd, level, option, value, length);
}
