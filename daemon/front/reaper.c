/* The queue is an array with a place for every descriptor this process may have, so that it is
 * never full; memory is used as far as it ever was filled. The thread is only called when it
 * sleeps, and then waits a moment for more: one wake-up serves as many as come within a
 * millisecond, or while it is at work. */
#include "reaper.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define WAKE_MS 1
#define GATHER_MS 1
#define STOP_S 1
#define ROOM_LEAST 1024
#define ROOM_MOST (1 << 20)

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

struct reaper {
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t wake;
	atomic_uint pending;
	unsigned room;
	/* under the mutex */
	int *queued, *closing; /* the two change places */
	unsigned count;
	bool asleep, stop;
};

static void woken(int signal)
{
	(void)signal;
}

/* The timer that wakes this thread out of a close; false: there is none. */
static bool timer_make(timer_t *ret)
{
	struct sigevent how = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN};

	how.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
	return timer_create(CLOCK_MONOTONIC, &how, ret) == 0;
}

static void timer_every(timer_t timer, long milliseconds)
{
	struct timespec period = {.tv_nsec = milliseconds * 1000000L};
	struct itimerspec when = {.it_interval = period, .it_value = period};

	timer_settime(timer, 0, &when, NULL);
}

static void close_all(struct reaper *r, const int *fds, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		close(fds[i]);
		atomic_fetch_sub(&r->pending, 1);
	}
}

static void *reaper_main(void *context)
{
	static const struct timespec gather = {.tv_nsec = GATHER_MS * 1000000L};
	struct reaper *r = context;
	timer_t timer;
	bool has_timer = false;

	pthread_mutex_lock(&r->mutex);
	while (r->count || !r->stop) {
		int *fds = r->queued;
		unsigned count = r->count;

		if (!count) {
			r->asleep = true;
			pthread_cond_wait(&r->wake, &r->mutex);
			r->asleep = false;
			pthread_mutex_unlock(&r->mutex);
			nanosleep(&gather, NULL);
			pthread_mutex_lock(&r->mutex);
			continue;
		}
		r->queued = r->closing;
		r->closing = fds;
		r->count = 0;
		pthread_mutex_unlock(&r->mutex);
		has_timer = has_timer || timer_make(&timer);
		if (has_timer)
			timer_every(timer, WAKE_MS);
		close_all(r, fds, count);
		if (has_timer)
			timer_every(timer, 0);
		pthread_mutex_lock(&r->mutex);
	}
	pthread_mutex_unlock(&r->mutex);
	if (has_timer)
		timer_delete(timer);
	return NULL;
}

/* Of all signals the thread gets its own only: the others belong to the loop. */
static int start_thread(struct reaper *r)
{
	struct sigaction action = {.sa_handler = woken};
	sigset_t all_but_one, before;
	int error;

	sigemptyset(&action.sa_mask);
	if (sigaction(SIGRTMIN, &action, NULL) < 0)
		return -errno;
	sigfillset(&all_but_one);
	sigdelset(&all_but_one, SIGRTMIN);
	error = pthread_sigmask(SIG_SETMASK, &all_but_one, &before);
	if (error)
		return -error;
	error = pthread_create(&r->thread, NULL, reaper_main, r);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error)
		return -error;
	pthread_setname_np(r->thread, "reaper");
	return 0;
}

static void reaper_destroy(struct reaper *r)
{
	pthread_cond_destroy(&r->wake);
	pthread_mutex_destroy(&r->mutex);
	free(r->queued);
	free(r->closing);
	free(r);
}

static unsigned descriptors_possible(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_max > ROOM_MOST)
		return ROOM_MOST;
	return limit.rlim_max < ROOM_LEAST ? ROOM_LEAST : (unsigned)limit.rlim_max;
}

int reaper_new(struct reaper **ret)
{
	struct reaper *r = calloc(1, sizeof(*r));
	int error = -ENOMEM;

	if (!r)
		return -ENOMEM;
	pthread_mutex_init(&r->mutex, NULL);
	pthread_cond_init(&r->wake, NULL);
	r->room = descriptors_possible();
	r->queued = calloc(r->room, sizeof(*r->queued));
	r->closing = calloc(r->room, sizeof(*r->closing));
	if (r->queued && r->closing)
		error = start_thread(r);
	if (error < 0) {
		reaper_destroy(r);
		return error;
	}
	*ret = r;
	return 0;
}

void reaper_free(struct reaper *r)
{
	struct timespec until;

	if (!r)
		return;
	pthread_mutex_lock(&r->mutex);
	r->stop = true;
	pthread_cond_signal(&r->wake);
	pthread_mutex_unlock(&r->mutex);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += STOP_S;
	/* If it does not come back, what it works with stays. */
	if (!pthread_clockjoin_np(r->thread, NULL, CLOCK_MONOTONIC, &until))
		reaper_destroy(r);
}

void reaper_close(struct reaper *r, int fd)
{
	shutdown(fd, SHUT_RDWR);
	pthread_mutex_lock(&r->mutex);
	/* More than there may be: the limit was raised from outside. Left open, then. */
	if (r->count < r->room) {
		r->queued[r->count++] = fd;
		atomic_fetch_add(&r->pending, 1);
	}
	if (r->asleep)
		pthread_cond_signal(&r->wake);
	pthread_mutex_unlock(&r->mutex);
}

unsigned reaper_pending(const struct reaper *r)
{
	return atomic_load(&r->pending);
}
