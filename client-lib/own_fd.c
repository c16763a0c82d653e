#include "own_fd.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

int gctoken_own_fd(int fd, struct own_fd *ret)
{
	struct stat s;
	int error;

	if (fstat(fd, &s) < 0) {
		error = -errno;
		close(fd);
		return error;
	}
	*ret = (struct own_fd){.fd = fd, .device = s.st_dev, .inode = s.st_ino};
	return 0;
}

bool gctoken_own_fd_is_ours(const struct own_fd *own)
{
	struct stat s;

	return own->fd >= 0 && fstat(own->fd, &s) == 0 && s.st_dev == own->device &&
	       s.st_ino == own->inode;
}

void gctoken_own_fd_close(struct own_fd *own)
{
	if (gctoken_own_fd_is_ours(own))
		close(own->fd);
	*own = OWN_FD_NONE;
}
