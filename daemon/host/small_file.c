#include "small_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int small_file_open(const char *path, int *ret_fd, struct stat *ret_stat)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int error = 0;
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0) {
		error = -errno;
		close(fd);
		return error;
	}
	*ret_fd = fd;
	*ret_stat = st;
	return 0;
}

int small_file_read(int fd, char *bytes, size_t size, size_t *ret_length)
{
	size_t length = 0;

	while (length < size) {
		ssize_t n = read(fd, bytes + length, size - length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		length += (size_t)n;
	}
	*ret_length = length;
	return 0;
}
