#include "clock.h"
#include "log.h"
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define READ_ATTEMPTS 5
#define READ_WIDTH_MAX NS_PER_MS
#define RECENT NS_PER_MS

struct boot_timer {
	int fd;
	struct event *event;
	void (*fired)(void *context);
	void *context;
};

struct wall_watch {
	int fd;
	struct event *event;
	void (*stepped)(void *context);
	void *context;
};

static int64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	/* Every kernel this is built for has these clocks, and there is no way on without them. */
	if (clock_gettime(id, &ts) < 0)
		abort();
	return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

struct boot_time clock_boot_now(void)
{
	return (struct boot_time){clock_ns(CLOCK_BOOTTIME)};
}

int64_t clock_monotonic_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

int clock_time_namespace(uint64_t *ret)
{
	struct stat s;

	if (stat("/proc/self/ns/time", &s) < 0) {
		if (errno != ENOENT || stat("/proc/self/ns", &s) < 0)
			return -errno;
		s.st_ino = 0;
	}
	*ret = s.st_ino;
	return 0;
}

/* The other clocks are read between two readings of BOOTTIME; its midpoint stands for it, so that
 * no difference of two clocks is off by more than half the width. A preempted reader shows as a
 * wide pair; where all attempts were wide the narrowest is the best there is. */
void clock_read(struct clock_reading *ret)
{
	int64_t narrowest = INT64_MAX;

	for (int i = 0; i < READ_ATTEMPTS && narrowest > READ_WIDTH_MAX; i++) {
		int64_t before = clock_ns(CLOCK_BOOTTIME);
		int64_t wall = clock_ns(CLOCK_REALTIME);
		int64_t monotonic = clock_ns(CLOCK_MONOTONIC);
		int64_t raw = clock_ns(CLOCK_MONOTONIC_RAW);
		int64_t width = clock_ns(CLOCK_BOOTTIME) - before;
		int64_t boot = before + width / 2;

		if (width >= narrowest)
			continue;
		narrowest = width;
		ret->boot.ns = boot;
		ret->wall.ns = wall;
		ret->slew.ns = raw - monotonic;
		ret->suspended.ns = boot - monotonic;
	}
}

void clock_read_recent(struct clock_reading *recent, struct clock_reading *ret)
{
	int64_t passed = clock_ns(CLOCK_BOOTTIME) - recent->boot.ns;

	/* Nothing of a suspend can lie in so short a time. */
	if (passed < 0 || passed >= RECENT) {
		clock_read(recent);
		passed = 0;
	}
	*ret = *recent;
	ret->boot.ns += passed;
	ret->wall.ns += passed;
}

static void boot_timer_readable(evutil_socket_t fd, short what, void *arg)
{
	struct boot_timer *t = arg;
	uint64_t expirations;

	(void)what;
	/* EAGAIN: armed again after the loop had already seen it expire; the latest call counts. */
	if (read(fd, &expirations, sizeof(expirations)) < 0)
		return;
	t->fired(t->context);
}

int boot_timer_new(struct boot_timer **ret, struct event_base *base, void (*fired)(void *context),
	void *context)
{
	struct boot_timer *t = calloc(1, sizeof(*t));
	int error = -ENOMEM;

	if (!t)
		return -ENOMEM;
	t->fired = fired;
	t->context = context;
	t->fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	if (t->fd < 0) {
		error = -errno;
		goto fail;
	}
	t->event = event_new(base, t->fd, EV_READ | EV_PERSIST, boot_timer_readable, t);
	if (!t->event || event_add(t->event, NULL) < 0)
		goto fail;
	*ret = t;
	return 0;
fail:
	boot_timer_free(t);
	return error;
}

void boot_timer_free(struct boot_timer *t)
{
	if (!t)
		return;
	if (t->event)
		event_free(t->event);
	if (t->fd >= 0)
		close(t->fd);
	free(t);
}

int boot_timer_arm(struct boot_timer *t, struct boot_time at)
{
	struct itimerspec spec = {0};

	if (at.ns != BOOT_TIME_NEVER.ns) {
		int64_t left = boot_since(at, clock_boot_now()).ns;

		/* Zero would disarm it. */
		if (left < 1)
			left = 1;
		spec.it_value.tv_sec = left / NS_PER_S;
		spec.it_value.tv_nsec = left % NS_PER_S;
	}
	return timerfd_settime(t->fd, 0, &spec, NULL) < 0 ? -errno : 0;
}

/* Nobody waits for the timer to expire; it is set so far ahead that only a set clock ends it. */
static int wall_watch_arm(struct wall_watch *w)
{
	struct itimerspec far = {.it_value.tv_sec = INT64_MAX / NS_PER_S};
	int r;

	/* ECANCELED here means that the clock was set since the last look; the next call arms. */
	do {
		r = timerfd_settime(w->fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &far, NULL);
	} while (r < 0 && errno == ECANCELED);
	return r < 0 ? -errno : 0;
}

static void wall_watch_readable(evutil_socket_t fd, short what, void *arg)
{
	struct wall_watch *w = arg;
	uint64_t expirations;
	int error;

	(void)what;
	if (read(fd, &expirations, sizeof(expirations)) < 0 && errno != ECANCELED)
		return;
	/* Armed before the notice: a step from here on is either told again or already visible to
	 * the reading that the notice causes. */
	error = wall_watch_arm(w);
	if (error < 0)
		log_line(LOG_WARNING,
			"cannot watch the wall clock any longer (%s): steps are noticed at the "
			"next "
			"wake-up",
			strerror(-error));
	w->stepped(w->context);
}

int wall_watch_new(struct wall_watch **ret, struct event_base *base, void (*stepped)(void *context),
	void *context)
{
	struct wall_watch *w = calloc(1, sizeof(*w));
	int error = -ENOMEM;

	if (!w)
		return -ENOMEM;
	w->stepped = stepped;
	w->context = context;
	w->fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	if (w->fd < 0) {
		error = -errno;
		goto fail;
	}
	error = wall_watch_arm(w);
	if (error < 0)
		goto fail;
	error = -ENOMEM;
	w->event = event_new(base, w->fd, EV_READ | EV_PERSIST, wall_watch_readable, w);
	if (!w->event || event_add(w->event, NULL) < 0)
		goto fail;
	*ret = w;
	return 0;
fail:
	wall_watch_free(w);
	return error;
}

void wall_watch_free(struct wall_watch *w)
{
	if (!w)
		return;
	if (w->event)
		event_free(w->event);
	if (w->fd >= 0)
		close(w->fd);
	free(w);
}
