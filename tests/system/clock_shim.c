/* Preloaded into a process by tests/system/clock_shim.py: a wall clock that can be set, and a
 * machine that can be suspended, for one process alone and while it runs.
 *
 * The file that GCTOKEN_TEST_CLOCK names holds two 64-bit numbers of nanoseconds, which the test
 * changes at will:
 *   wall_set   how far the wall clock was set: CLOCK_REALTIME
 *   suspended  how long the machine slept: CLOCK_BOOTTIME and, since time went on, CLOCK_REALTIME
 * CLOCK_MONOTONIC stands still in a suspend, so it is left alone, as are all timers: the kernel
 * does not know of any of this. A timer therefore comes late by what was slept through, and no
 * TFD_TIMER_CANCEL_ON_SET tells of a step; whoever is under test has to be right nevertheless.
 *
 * Not libfaketime: 0.9.10 also shifts what absolute BOOTTIME timers are armed with. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S INT64_C(1000000000)

struct shifts {
	int64_t wall_set;
	int64_t suspended;
};

static const struct shifts none;
static const struct shifts *shifts = &none;

/* A test that runs unshifted by mistake would pass for the wrong reason. */
static void give_up(const char *what)
{
	fprintf(stderr, "clock_shim: %s\n", what);
	_exit(125);
}

__attribute__((constructor)) static void shifts_map(void)
{
	const char *path = getenv("GCTOKEN_TEST_CLOCK");
	void *map;
	int fd;

	if (!path)
		give_up("GCTOKEN_TEST_CLOCK is not set");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		give_up("the file that GCTOKEN_TEST_CLOCK names cannot be opened");
	map = mmap(NULL, sizeof(*shifts), PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		give_up("the file that GCTOKEN_TEST_CLOCK names cannot be mapped");
	shifts = map;
}

static int64_t shift_of(clockid_t id)
{
	int64_t suspended = __atomic_load_n(&shifts->suspended, __ATOMIC_RELAXED);

	switch (id) {
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_COARSE:
		return __atomic_load_n(&shifts->wall_set, __ATOMIC_RELAXED) + suspended;
	case CLOCK_BOOTTIME:
		return suspended;
	default:
		return 0;
	}
}

/* The system call itself, not the C library's function by way of dlsym: a sanitizer reads clocks
 * before anything could have looked that up. */
int clock_gettime(clockid_t id, struct timespec *ret)
{
	int64_t shift, ns;

	if (syscall(SYS_clock_gettime, id, ret) < 0)
		return -1;
	shift = shift_of(id);
	if (!shift)
		return 0;
	ns = (int64_t)ret->tv_sec * NS_PER_S + ret->tv_nsec + shift;
	ret->tv_sec = ns / NS_PER_S;
	ret->tv_nsec = ns % NS_PER_S;
	return 0;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
	struct timespec now;

	(void)zone; /* obsolete, and the kernel knows none */
	if (clock_gettime(CLOCK_REALTIME, &now) < 0)
		return -1;
	ret->tv_sec = now.tv_sec;
	ret->tv_usec = now.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *ret)
{
	struct timespec now;

	if (clock_gettime(CLOCK_REALTIME_COARSE, &now) < 0)
		return -1;
	if (ret)
		*ret = now.tv_sec;
	return now.tv_sec;
}
