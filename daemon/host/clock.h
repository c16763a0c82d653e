/* The only place that reads a clock. */
#ifndef GCTOKEND_HOST_CLOCK_H
#define GCTOKEND_HOST_CLOCK_H

#include "core/times.h"

struct event_base;
struct boot_timer;

/* All the clocks, read next to each other. If the reader was interrupted between them so that wall
 * and boot would not belong together (over 1 ms apart), it reads again, a few times. */
void clock_read(struct clock_reading *ret);
struct boot_time clock_boot_now(void);
/* The same for many readings in a row: BOOTTIME is always read, and the others, as long as *recent,
 * the latest whole reading, is less than 1 ms old, go on from there. That late a wall step is seen,
 * which nobody could have told from one that came that much later. */
void clock_read_recent(struct clock_reading *recent, struct clock_reading *ret);
/* CLOCK_MONOTONIC, for the service manager, who asks for it. */
int64_t clock_monotonic_ns(void);
/* Of which time namespace the boot clock is, as a number that two processes can compare: 0 where
 * the kernel has none. 0; negative errno. */
int clock_time_namespace(uint64_t *ret);

/* A timer on CLOCK_BOOTTIME: unlike libevent's own it counts through suspend. Armed relative. */
int boot_timer_new(struct boot_timer **ret, struct event_base *base, void (*fired)(void *context),
	void *context);
void boot_timer_free(struct boot_timer *t);
/* Fires at `at`, at once if that is past; BOOT_TIME_NEVER disarms. The latest call counts. */
int boot_timer_arm(struct boot_timer *t, struct boot_time at);

/* Calls `stepped` from the loop whenever someone sets CLOCK_REALTIME (TFD_TIMER_CANCEL_ON_SET). A
 * notice only: what has changed is told by the next clock_read. */
struct wall_watch;
int wall_watch_new(struct wall_watch **ret, struct event_base *base, void (*stepped)(void *context),
	void *context);
void wall_watch_free(struct wall_watch *w);

#endif
