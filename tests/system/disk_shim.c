/* Preloaded into a daemon under test: its disk fails or is slow, as GCTOKEN_TEST_DISK, a file of
 * native 64-bit words, says at the time. Only files of logins and their directory are meant: a call
 * on anything else is as it always is.
 *
 *   0  milliseconds that fsync takes
 *   1  errno of creating a temporary file, 0: none; 2: of write; 3: of fsync; 4: of rename
 *   5  how many fsyncs of a file there were (counted here) */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { SLOW, OPEN, WRITE, FSYNC, RENAME, COUNT, WORDS };

int openat64(int directory_fd, const char *path, int flags, ...);

static volatile int64_t *words(void)
{
	static volatile int64_t *mapped;
	const char *path;
	int fd;

	if (mapped || !(path = getenv("GCTOKEN_TEST_DISK")))
		return mapped;
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		abort();
	mapped = mmap(NULL, WORDS * 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return mapped;
}

static int is_login(const char *path)
{
	return strstr(path, ".login") != NULL;
}

static int of_login(int fd)
{
	char link[32], path[512];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/thread-self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = '\0';
	return is_login(path);
}

/* -1 with errno where the call is to fail. */
static int fails(int what, int meant)
{
	volatile int64_t *w = words();

	if (!w || !meant || !w[what])
		return 0;
	errno = (int)w[what];
	return -1;
}

int openat64(int directory_fd, const char *path, int flags, ...)
{
	static int (*real)(int, const char *, int, ...);
	va_list list;
	mode_t mode;

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "openat64");
	va_start(list, flags);
	mode = flags & O_CREAT ? va_arg(list, mode_t) : 0;
	va_end(list);
	return fails(OPEN, (flags & O_CREAT) && is_login(path))
		       ? -1
		       : real(directory_fd, path, flags, mode);
}

ssize_t write(int fd, const void *bytes, size_t count)
{
	static ssize_t (*real)(int, const void *, size_t);
	volatile int64_t *w = words();

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "write");
	return w && w[WRITE] && fails(WRITE, of_login(fd)) ? -1 : real(fd, bytes, count);
}

int fsync(int fd)
{
	static int (*real)(int);
	volatile int64_t *w = words();
	int meant = w && of_login(fd);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "fsync");
	if (meant) {
		struct timespec pause = {
			.tv_sec = w[SLOW] / 1000, .tv_nsec = w[SLOW] % 1000 * 1000000};

		w[COUNT]++;
		nanosleep(&pause, NULL);
	}
	return fails(FSYNC, meant) ? -1 : real(fd);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	static int (*real)(int, const char *, int, const char *);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "renameat");
	return fails(RENAME, is_login(to)) ? -1 : real(from_fd, from, to_fd, to);
}
