#include "durable_file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_SIZE_MAX (1U << 20)

bool durable_name_is_valid(const char *name)
{
	size_t length = strlen(name);

	return length > 0 && length <= DURABLE_NAME_MAX && name[0] != '.' && !strchr(name, '/');
}

static int write_all(int fd, const char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t n = write(fd, bytes, length);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		bytes += n;
		length -= (size_t)n;
	}
	return 0;
}

/* One attempt. The temporary name is fixed, so that crashes leave at most one behind per file; the
 * next write of that file clears it away. */
static int write_once(int directory_fd, const char *name, const char *bytes, size_t length)
{
	char temporary[DURABLE_NAME_MAX + 8];
	int fd, error;

	snprintf(temporary, sizeof(temporary), ".%s.tmp", name);
	if (unlinkat(directory_fd, temporary, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(directory_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		0600);
	if (fd < 0)
		return -errno;
	error = write_all(fd, bytes, length);
	if (error == 0 && fsync(fd) < 0)
		error = -errno;
	/* Network file systems report a failed write as late as here. */
	if (close(fd) < 0 && error == 0 && errno != EINTR)
		error = -errno;
	if (error == 0 && renameat(directory_fd, temporary, directory_fd, name) < 0)
		error = -errno;
	if (error < 0) {
		unlinkat(directory_fd, temporary, 0);
		return error;
	}
	return fsync(directory_fd) < 0 ? -errno : 0;
}

/* After a failed fsync the kernel may have dropped the dirty pages and called them clean: asking
 * again would succeed and mean nothing. All of it is written anew, once. */
int durable_write(int directory_fd, const char *name, const char *bytes, size_t length)
{
	int error;

	if (!durable_name_is_valid(name))
		return -EINVAL;
	error = write_once(directory_fd, name, bytes, length);
	return error == -EIO ? write_once(directory_fd, name, bytes, length) : error;
}

/* A directory that was just made is durable only with its parent: the reserved generations in it
 * must not vanish with it in a power cut. */
static int sync_parent(const char *directory)
{
	char *parent = strdup(directory);
	char *slash;
	int fd, error = 0;

	if (!parent)
		return -ENOMEM;
	slash = strrchr(parent, '/');
	while (slash && slash > parent && !slash[1]) {
		*slash = '\0';
		slash = strrchr(parent, '/');
	}
	if (slash)
		slash[slash == parent ? 1 : 0] = '\0';
	fd = open(slash ? parent : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		error = -errno;
	if (fd >= 0)
		close(fd);
	free(parent);
	return error;
}

int durable_directory_open(const char *directory, int *ret_fd)
{
	int fd;

	if (mkdir(directory, 0700) == 0) {
		int error = sync_parent(directory);

		if (error < 0)
			return error;
	} else if (errno != EEXIST) {
		/* EROFS and EACCES come for directories that exist, too: opening tells. */
		if (errno != EROFS && errno != EACCES)
			return -errno;
	}
	/* May be a symbolic link: systemd makes /var/lib/NAME one under DynamicUser. */
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* Better known now than when the first file is due. */
	if (faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) < 0) {
		int error = -errno;

		close(fd);
		return error;
	}
	*ret_fd = fd;
	return 0;
}

/* Asked for one byte more than the file had: one that grows meanwhile is noticed. */
static int read_all(int fd, char *bytes, size_t size, size_t *ret_length)
{
	size_t length = 0;

	while (length < size) {
		ssize_t n = read(fd, bytes + length, size - length);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (n == 0)
			break;
		length += (size_t)n;
	}
	*ret_length = length;
	return 0;
}

int durable_read(int directory_fd, const char *name, char **ret, size_t *ret_length)
{
	int fd, error;
	char *bytes = NULL;
	size_t length = 0, size = 0;
	struct stat st;

	if (!durable_name_is_valid(name))
		return -EINVAL;
	/* O_NONBLOCK: opening must not hang on a FIFO somebody put there. */
	fd = openat(directory_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0) {
		error = -errno;
		goto out;
	}
	error = -EINVAL;
	if (!S_ISREG(st.st_mode))
		goto out;
	error = -EFBIG;
	if (st.st_size > FILE_SIZE_MAX)
		goto out;
	size = (size_t)st.st_size + 1;
	error = -ENOMEM;
	bytes = malloc(size);
	if (!bytes)
		goto out;
	error = read_all(fd, bytes, size, &length);
	if (error < 0)
		goto out;
	error = -EAGAIN;
	if (length == size)
		goto out;
	bytes[length] = '\0';
	*ret = bytes;
	bytes = NULL; /* the caller's now */
	*ret_length = length;
	error = 0;
out:
	if (bytes)
		explicit_bzero(bytes, size);
	free(bytes);
	close(fd);
	return error;
}
