#include "memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

/* Not F_SEAL_FUTURE_WRITE: the next run has to map it writable again. */
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

int memfd_new(const char *name, size_t size, mode_t mode)
{
	const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int fd = memfd_create(name, flags | MFD_NOEXEC_SEAL);
	int r;

	if (fd < 0 && errno == EINVAL) /* a kernel before 6.3 */
		fd = memfd_create(name, flags);
	if (fd < 0)
		return -errno;
	if (fchmod(fd, mode) < 0 || ftruncate(fd, (off_t)size) < 0 ||
		fcntl(fd, F_ADD_SEALS, SEALS) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

int memfd_examine(int fd, struct stat *ret_stat)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat s;

	if (seals < 0 || fstat(fd, &s) < 0)
		return -errno;
	if ((seals & SEALS) != SEALS || !S_ISREG(s.st_mode))
		return -EINVAL;
	*ret_stat = s;
	return 0;
}
