/* A socket gets its rights before anyone can use it: it is bound under a name of its own, given
 * group and mode while it does not listen yet (connecting is refused then), made to listen, and
 * only then moved to its place, which also replaces a stale one in a single step. A lock file keeps
 * two daemons that start at once from each believing the other's socket to be stale. */
#include "listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define LOCK_SUFFIX ".lock"
#define NEW_SUFFIX ".new"
#define PATH_MAX_LENGTH (sizeof(((struct sockaddr_un *)0)->sun_path) - sizeof(LOCK_SUFFIX))
#define LOCK_TRIES 100
#define LOCK_PAUSE_MS 10

struct listening_path {
	const char *path;
	char lock[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char fresh[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char *problem;
	size_t problem_size;
};

/* Returns `error`. */
__attribute__((format(printf, 3, 4))) static int fail(
	const struct listening_path *p, int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(p->problem, p->problem_size, format, arguments);
	va_end(arguments);
	return error;
}

static int fail_in_directory(const struct listening_path *p, int error)
{
	const char *slash = strrchr(p->path, '/');
	const char *directory = slash ? p->path : ".";
	int length = !slash ? 1 : slash == p->path ? 1 : (int)(slash - p->path);

	switch (-error) {
	case ENOENT:
	case ENOTDIR:
		return fail(p, error,
			"%.*s is not a directory: create it, writable for the user this runs as, "
			"or choose another path for the socket",
			length, directory);
	case EACCES:
	case EPERM:
	case EROFS:
		return fail(p, error,
			"cannot make a socket in %.*s: %s; the directory must be writable for the "
			"user this runs as",
			length, directory, strerror(-error));
	default:
		return fail(p, error, "cannot make the socket %s: %s", p->path, strerror(-error));
	}
}

/* The lock file is removed by its holder, so that a lock may be one on a file that is already gone:
 * then the next one counts. */
static int lock_take(const struct listening_path *p, int *ret_fd)
{
	static const struct timespec pause = {.tv_nsec = LOCK_PAUSE_MS * 1000000L};
	struct stat locked, named;
	int fd, r;

	for (unsigned i = 0; i < LOCK_TRIES; i++) {
		fd = open(p->lock, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd < 0)
			return fail_in_directory(p, -errno);
		if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
			if (fstat(fd, &locked) == 0 && lstat(p->lock, &named) == 0 &&
				locked.st_dev == named.st_dev && locked.st_ino == named.st_ino) {
				*ret_fd = fd;
				return 0;
			}
			close(fd);
			continue;
		}
		r = -errno;
		close(fd);
		if (r != -EWOULDBLOCK && r != -EINTR)
			return fail(p, r, "cannot lock %s: %s", p->lock, strerror(-r));
		nanosleep(&pause, NULL);
	}
	return fail(p, -EBUSY, "%s is locked: another gctokend is starting there", p->lock);
}

static void lock_release(const struct listening_path *p, int fd)
{
	unlink(p->lock);
	close(fd);
}

static void address_set(struct sockaddr_un *ret, const char *path)
{
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(ret->sun_path, path, strlen(path));
}

/* 0: nobody answers there. */
static int check_stale(const struct listening_path *p)
{
	struct sockaddr_un address;
	int fd, r = 0;

	address_set(&address, p->path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fail(p, -errno, "cannot make a socket: %s", strerror(errno));
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		r = -errno;
	close(fd);
	switch (-r) {
	case ECONNREFUSED:
	case ENOENT:
		return 0;
	case 0:
	case EAGAIN: /* its queue is full: somebody listens */
		return fail(p, -EADDRINUSE,
			"another gctokend answers at %s: stop it, or choose another path", p->path);
	case EPROTOTYPE:
		return fail(p, -EADDRINUSE,
			"another program has a socket at %s: choose another path", p->path);
	default:
		return fail(p, r, "cannot tell whether anybody answers at %s: %s", p->path,
			strerror(-r));
	}
}

static int check_place(const struct listening_path *p)
{
	struct stat s;

	if (lstat(p->path, &s) < 0)
		return errno == ENOENT ? 0 : fail_in_directory(p, -errno);
	if (!S_ISSOCK(s.st_mode))
		return fail(p, -EEXIST,
			"%s is there and is not a socket: remove it, or choose another path",
			p->path);
	return check_stale(p);
}

static int rights_set(const struct listening_path *p, mode_t mode, gid_t gid)
{
	struct stat s;

	if (gid != (gid_t)-1 &&
		fchownat(AT_FDCWD, p->fresh, (uid_t)-1, gid, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(p, -errno,
			"cannot give the socket %s to group %lu: %s; the user this runs as must be "
			"in that group",
			p->path, (unsigned long)gid, strerror(errno));
	if (chmod(p->fresh, mode) < 0)
		return fail(p, -errno, "cannot give the socket %s mode %04o: %s", p->path,
			(unsigned)mode, strerror(errno));
	/* some file systems take the calls and do nothing */
	if (lstat(p->fresh, &s) < 0)
		return fail_in_directory(p, -errno);
	if (!S_ISSOCK(s.st_mode) || (s.st_mode & 07777) != mode ||
		(gid != (gid_t)-1 && s.st_gid != gid))
		return fail(p, -EPERM,
			"the socket %s did not take mode %04o and its group: choose a path on "
			"another file system",
			p->path, (unsigned)mode);
	return 0;
}

/* With the lock held. */
static int bind_locked(const struct listening_path *p, mode_t mode, gid_t gid, int *ret_fd)
{
	struct sockaddr_un address;
	int fd, r;

	r = check_place(p);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fail(p, -errno, "cannot make a socket: %s", strerror(errno));
	/* Linux takes over the mode; should it ever not, the socket does not listen yet. */
	if (fchmod(fd, 0) < 0) {
		r = fail(p, -errno, "cannot set the mode of a socket: %s", strerror(errno));
		goto fail;
	}
	if (unlink(p->fresh) < 0 && errno != ENOENT) {
		r = fail_in_directory(p, -errno);
		goto fail;
	}
	address_set(&address, p->fresh);
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		r = fail_in_directory(p, -errno);
		goto fail;
	}
	r = rights_set(p, mode, gid);
	if (r < 0)
		goto fail_bound;
	if (listen(fd, SOMAXCONN) < 0) {
		r = fail(p, -errno, "cannot listen at %s: %s", p->path, strerror(errno));
		goto fail_bound;
	}
	if (rename(p->fresh, p->path) < 0) {
		r = fail_in_directory(p, -errno);
		goto fail_bound;
	}
	*ret_fd = fd;
	return 0;

fail_bound:
	unlink(p->fresh);
fail:
	close(fd);
	return r;
}

int listener_bind(
	const char *path, mode_t mode, gid_t gid, int *ret_fd, char *problem, size_t problem_size)
{
	struct listening_path p = {.path = path, .problem = problem, .problem_size = problem_size};
	size_t length = strlen(path);
	int lock = -1, r;

	if (length > PATH_MAX_LENGTH)
		return fail(&p, -ENAMETOOLONG,
			"the socket path %s is %zu bytes long: at most %zu are possible", path,
			length, PATH_MAX_LENGTH);
	if (!length || path[length - 1] == '/')
		return fail(&p, -EINVAL, "the socket path \"%s\" does not name a file", path);
	if (mode & ~(mode_t)0777)
		return fail(&p, -EINVAL, "%04o is not a mode for a socket: at most 0777",
			(unsigned)mode);
	snprintf(p.lock, sizeof(p.lock), "%s" LOCK_SUFFIX, path);
	snprintf(p.fresh, sizeof(p.fresh), "%s" NEW_SUFFIX, path);
	r = lock_take(&p, &lock);
	if (r < 0)
		return r;
	r = bind_locked(&p, mode, gid, ret_fd);
	lock_release(&p, lock);
	return r;
}

void listener_remove(const char *path, const struct stat *bound)
{
	struct stat now;

	if (!lstat(path, &now) && now.st_dev == bound->st_dev && now.st_ino == bound->st_ino)
		unlink(path);
}
