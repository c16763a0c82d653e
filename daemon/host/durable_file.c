#include "durable_file.h"

#include "core/secret.h"
#include "small_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_SIZE_MAX (1U << 20)
#define LOCK_NAME ".lock"
#define TEMPORARY_MAX (DURABLE_NAME_MAX + 8)

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

static void temporary_name(const char *name, char ret[TEMPORARY_MAX])
{
	snprintf(ret, TEMPORARY_MAX, ".%s.tmp", name);
}

/* Empty, and ours to write to: one that room was set aside for, or a new one. What a crash has left
 * of another write is cleared away. */
static int open_temporary(int directory_fd, const char *temporary, int *ret_fd)
{
	int fd = openat(directory_fd, temporary, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0 &&
		st.st_nlink == 1) {
		*ret_fd = fd;
		return 0;
	}
	if (fd >= 0)
		close(fd);
	if (unlinkat(directory_fd, temporary, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(directory_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		0600);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

/* One attempt. The temporary name is fixed, so that crashes leave at most one behind per file. */
static int write_once(int directory_fd, const char *name, const char *bytes, size_t length)
{
	char temporary[TEMPORARY_MAX];
	int fd, error;

	temporary_name(name, temporary);
	error = open_temporary(directory_fd, temporary, &fd);
	if (error < 0)
		return error;
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
 * again would succeed and mean nothing. All of it is written again, once. */
int durable_write(int directory_fd, const char *name, const char *bytes, size_t length)
{
	int error;

	if (!durable_name_is_valid(name))
		return -EINVAL;
	error = write_once(directory_fd, name, bytes, length);
	return error == -EIO ? write_once(directory_fd, name, bytes, length) : error;
}

/* The size stays 0: what a reader finds is an empty file, and never zeros. */
int durable_reserve(int directory_fd, const char *name, off_t size)
{
	char temporary[TEMPORARY_MAX];
	int fd, error;

	if (!durable_name_is_valid(name))
		return -EINVAL;
	temporary_name(name, temporary);
	error = open_temporary(directory_fd, temporary, &fd);
	if (error < 0)
		return error;
	if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, size) < 0 && errno != EOPNOTSUPP &&
		errno != ENOSYS)
		error = -errno;
	close(fd);
	if (error < 0)
		unlinkat(directory_fd, temporary, 0);
	return error;
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

int durable_keep(int directory_fd, const char *name, const char *kept)
{
	if (!durable_name_is_valid(name) || !durable_name_is_valid(kept))
		return -EINVAL;
	if (renameat2(directory_fd, name, directory_fd, kept, RENAME_NOREPLACE) < 0 &&
		errno != ENOENT)
		return -errno;
	return 0;
}

int durable_remove(int directory_fd, const char *name)
{
	char temporary[TEMPORARY_MAX];

	if (!durable_name_is_valid(name))
		return -EINVAL;
	/* what a crash left first, or it would be all that there is */
	temporary_name(name, temporary);
	if (unlinkat(directory_fd, temporary, 0) < 0 && errno != ENOENT)
		return -errno;
	if (unlinkat(directory_fd, name, 0) < 0 && errno != ENOENT)
		return -errno;
	return fsync(directory_fd) < 0 ? -errno : 0;
}

int durable_finish(int directory_fd, const char *name)
{
	char temporary[TEMPORARY_MAX];
	int fd, error = 0;

	if (!durable_name_is_valid(name))
		return -EINVAL;
	temporary_name(name, temporary);
	fd = openat(directory_fd, temporary, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* nobody knows whether it was synced */
	if (fsync(fd) < 0)
		error = -errno;
	close(fd);
	if (error == 0 && renameat(directory_fd, temporary, directory_fd, name) < 0)
		error = -errno;
	if (error == 0 && fsync(directory_fd) < 0)
		error = -errno;
	return error;
}

/* The lock goes with the process, however it ends. It is the process's (F_SETLK) and not the open
 * file's (flock): a fork has no part in it, and where the end of a process hangs because one of its
 * files does not finish closing, it is gone by then. The file stays: were it removed, one who has
 * it open and one who makes it again would both hold a lock. */
int durable_lock(int directory_fd, int *ret_fd, pid_t *ret_pid)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd = openat(directory_fd, LOCK_NAME, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	char pid[16] = "";
	int error = 0;

	if (fd < 0)
		return -errno;
	if (fcntl(fd, F_SETLK, &lock) < 0) {
		error = errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
		if (pread(fd, pid, sizeof(pid) - 1, 0) < 0)
			pid[0] = '\0';
		*ret_pid = (pid_t)strtol(pid, NULL, 10);
		close(fd);
		return error;
	}
	/* For people who find the directory locked; a full disk is no reason not to start. */
	snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
	if (ftruncate(fd, 0) == 0 && pwrite(fd, pid, strlen(pid), 0) < 0)
		error = 0;
	*ret_fd = fd;
	return error;
}

static int read_file(int directory_fd, const char *name, char **ret, size_t *ret_length)
{
	int fd, error;
	char *bytes = NULL;
	size_t length = 0, size = 0;
	struct stat st;

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
	error = small_file_read(fd, bytes, size, &length);
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
		secret_wipe(bytes, size);
	free(bytes);
	close(fd);
	return error;
}

int durable_read(int directory_fd, const char *name, char **ret, size_t *ret_length)
{
	return durable_name_is_valid(name) ? read_file(directory_fd, name, ret, ret_length)
					   : -EINVAL;
}

int durable_read_unfinished(int directory_fd, const char *name, char **ret, size_t *ret_length)
{
	char temporary[TEMPORARY_MAX];

	if (!durable_name_is_valid(name))
		return -EINVAL;
	temporary_name(name, temporary);
	return read_file(directory_fd, temporary, ret, ret_length);
}
