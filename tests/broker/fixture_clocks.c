#include "fixture_parts.h"
#include "host/clock.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* libevent's timers go by it as well. */
int clock_gettime(clockid_t id, struct timespec *ret)
{
	int64_t ns;

	if (!the_rig)
		return (int)syscall(SYS_clock_gettime, id, ret);
	switch (id) {
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_COARSE:
		ns = the_rig->now.wall.ns;
		break;
	case CLOCK_BOOTTIME:
		ns = the_rig->now.boot.ns;
		break;
	default:
		ns = the_rig->now.boot.ns - the_rig->now.suspended.ns;
		break;
	}
	*ret = (struct timespec){.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};
	return 0;
}

/* The one timer that is not libevent's. */
struct boot_timer {
	struct boot_time at;
	void (*fired)(void *context);
	void *context;
};

static struct boot_timer the_timer;

int __wrap_boot_timer_new(struct boot_timer **ret, struct event_base *base,
	void (*fired)(void *context), void *context);
void __wrap_boot_timer_free(struct boot_timer *t);
int __wrap_boot_timer_arm(struct boot_timer *t, struct boot_time at);

int __wrap_boot_timer_new(struct boot_timer **ret, struct event_base *base,
	void (*fired)(void *context), void *context)
{
	(void)base;
	the_timer = (struct boot_timer){BOOT_TIME_NEVER, fired, context};
	*ret = &the_timer;
	return 0;
}

void __wrap_boot_timer_free(struct boot_timer *t)
{
	(void)t;
}

int __wrap_boot_timer_arm(struct boot_timer *t, struct boot_time at)
{
	t->at = at;
	return 0;
}

void fixture_timer_look(void)
{
	struct boot_timer *t = &the_timer;

	if (t->at.ns == BOOT_TIME_NEVER.ns || boot_before(the_rig->now.boot, t->at))
		return;
	t->at = BOOT_TIME_NEVER;
	t->fired(t->context);
}

void rig_pass_ms(struct rig *r, int64_t ms)
{
	r->now.boot.ns += ms * NS_PER_MS;
	r->now.wall.ns += ms * NS_PER_MS;
	rig_run(r);
}

void rig_pass(struct rig *r, int64_t seconds)
{
	rig_pass_ms(r, seconds * 1000);
}
