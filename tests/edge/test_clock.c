/* clock_gettime is wrapped at link time, so that a preempted reader can be played. */
#include "host/clock.h"
#include <errno.h>
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>
#include <time.h>

#include <cmocka.h>

#define PLAYED_BOOT (100 * NS_PER_S)
#define PLAYED_WALL (5000 * NS_PER_S)

int __real_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);

/* How long each attempt of clock_read is held up between its first and its last clock; an entry of
 * zero ends the list. Not playing: the real clocks. */
static struct {
	bool playing;
	int64_t widths_ns[8];
	int attempt;
	bool in_attempt;
	int64_t elapsed_ns;
} play;

/* Clocks that stand where a test has put them. */
static struct {
	bool playing;
	int64_t boot_ns, wall_ns;
	unsigned looks;
} still;

int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	int64_t ns = play.elapsed_ns;

	if (still.playing) {
		ns = id == CLOCK_REALTIME ? still.wall_ns : still.boot_ns;
		still.looks++;
		ts->tv_sec = ns / NS_PER_S;
		ts->tv_nsec = ns % NS_PER_S;
		return 0;
	}
	if (!play.playing)
		return __real_clock_gettime(id, ts);
	if (id == CLOCK_BOOTTIME && play.in_attempt) {
		play.elapsed_ns += play.widths_ns[play.attempt++];
		play.in_attempt = false;
		ns = play.elapsed_ns;
	} else if (id == CLOCK_BOOTTIME) {
		play.in_attempt = true;
	}
	ns += id == CLOCK_REALTIME ? PLAYED_WALL : PLAYED_BOOT;
	if (id == CLOCK_MONOTONIC)
		ns -= 7 * NS_PER_S; /* slept for 7 s since it was booted */
	if (id == CLOCK_MONOTONIC_RAW)
		ns -= 6 * NS_PER_S;
	ts->tv_sec = ns / NS_PER_S;
	ts->tv_nsec = ns % NS_PER_S;
	return 0;
}

static void played_reading(const int64_t *widths_ns, size_t count, struct clock_reading *ret)
{
	memset(&play, 0, sizeof(play));
	memcpy(play.widths_ns, widths_ns, count * sizeof(*widths_ns));
	play.playing = true;
	clock_read(ret);
	play.playing = false;
}

static void test_undisturbed_reading_is_taken_at_once(void **state)
{
	const int64_t widths[] = {400};
	struct clock_reading r;

	(void)state;
	played_reading(widths, 1, &r);
	assert_int_equal(play.attempt, 1);
	assert_int_equal(r.boot.ns, PLAYED_BOOT + 200);
	assert_int_equal(r.wall.ns, PLAYED_WALL);
	assert_int_equal(r.slew.ns, NS_PER_S);
	assert_int_equal(r.suspended.ns, 7 * NS_PER_S + 200);
}

static void test_preempted_reading_is_repeated(void **state)
{
	const int64_t widths[] = {5 * NS_PER_MS, 3 * NS_PER_MS, 600, 400};
	struct clock_reading r;

	(void)state;
	played_reading(widths, 4, &r);
	assert_int_equal(play.attempt, 3);
	assert_int_equal(clock_wall_offset(&r).ns, PLAYED_WALL - PLAYED_BOOT - 300);
}

static void test_narrowest_of_wide_readings_is_kept(void **state)
{
	const int64_t widths[] = {
		9 * NS_PER_MS, 2 * NS_PER_MS, 4 * NS_PER_MS, 8 * NS_PER_MS, 6 * NS_PER_MS, 400};
	struct clock_reading r;

	(void)state;
	played_reading(widths, 6, &r);
	assert_int_equal(play.attempt, 5);
	assert_int_equal(clock_wall_offset(&r).ns, PLAYED_WALL - PLAYED_BOOT - NS_PER_MS);
}

/* After a first whole one: what it costs, and when a step is seen. */
static void test_readings_in_a_row_read_one_clock(void **state)
{
	struct clock_reading recent = {0}, now;

	(void)state;
	still.playing = true;
	still.boot_ns = PLAYED_BOOT;
	still.wall_ns = PLAYED_WALL;
	clock_read_recent(&recent, &now);
	assert_int_equal(now.boot.ns, PLAYED_BOOT);
	assert_int_equal(now.wall.ns, PLAYED_WALL);

	still.looks = 0;
	still.boot_ns += NS_PER_MS - 1;
	still.wall_ns += 3600 * NS_PER_S;
	clock_read_recent(&recent, &now);
	assert_int_equal(still.looks, 1);
	assert_int_equal(now.boot.ns, PLAYED_BOOT + NS_PER_MS - 1);
	assert_int_equal(now.wall.ns, PLAYED_WALL + NS_PER_MS - 1);

	still.boot_ns++;
	clock_read_recent(&recent, &now);
	assert_int_equal(now.boot.ns, PLAYED_BOOT + NS_PER_MS);
	assert_int_equal(now.wall.ns, PLAYED_WALL + 3600 * NS_PER_S);

	still.boot_ns += 8 * 3600 * NS_PER_S; /* asleep */
	clock_read_recent(&recent, &now);
	assert_int_equal(now.boot.ns, still.boot_ns);
	assert_int_equal(now.wall.ns, PLAYED_WALL + 3600 * NS_PER_S);
	still.playing = false;
}

static void test_real_clocks_agree_with_the_system(void **state)
{
	struct clock_reading before, after;
	struct timespec wall;
	int64_t wall_ns;

	(void)state;
	clock_read(&before);
	assert_int_equal(clock_gettime(CLOCK_REALTIME, &wall), 0);
	clock_read(&after);
	wall_ns = wall.tv_sec * NS_PER_S + wall.tv_nsec;
	assert_true(before.wall.ns <= wall_ns && wall_ns <= after.wall.ns);
	assert_true(before.boot.ns <= after.boot.ns);
	assert_true(after.boot.ns <= clock_boot_now().ns);
	/* Nobody sleeps or slews by this much within one test. */
	assert_in_range(
		after.suspended.ns - before.suspended.ns + 10 * NS_PER_MS, 0, 20 * NS_PER_MS);
	assert_in_range(after.slew.ns - before.slew.ns + 10 * NS_PER_MS, 0, 20 * NS_PER_MS);
}

struct firings {
	struct event_base *base;
	struct boot_timer *timer;
	struct boot_time last;
	int count;
};

static void count_firing(void *context)
{
	struct firings *f = context;

	f->count++;
	f->last = clock_boot_now();
	event_base_loopbreak(f->base);
}

static void free_own_timer(void *context)
{
	struct firings *f = context;

	f->count++;
	boot_timer_free(f->timer);
	f->timer = NULL;
	event_base_loopbreak(f->base);
}

static void give_up(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	event_base_loopbreak(context);
}

/* Ends when a callback breaks the loop, or after `ms`. */
static void loop_for(struct event_base *base, int ms)
{
	struct timeval limit = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
	struct event *timeout = evtimer_new(base, give_up, base);

	assert_non_null(timeout);
	assert_int_equal(evtimer_add(timeout, &limit), 0);
	assert_true(event_base_dispatch(base) >= 0);
	event_free(timeout);
}

static void firings_init(struct firings *f, void (*fired)(void *context))
{
	*f = (struct firings){.base = event_base_new()};
	assert_non_null(f->base);
	assert_int_equal(boot_timer_new(&f->timer, f->base, fired, f), 0);
}

static void firings_fini(struct firings *f)
{
	boot_timer_free(f->timer);
	event_base_free(f->base);
}

static void test_timer_fires_once_and_never_early(void **state)
{
	struct firings f;

	(void)state;
	firings_init(&f, count_firing);
	for (int ms = 1; ms <= 16; ms *= 2) {
		struct boot_time at = boot_add(clock_boot_now(), duration_ms(ms));

		f.count = 0;
		assert_int_equal(boot_timer_arm(f.timer, at), 0);
		loop_for(f.base, 5000);
		assert_int_equal(f.count, 1);
		assert_false(boot_before(f.last, at));
	}
	loop_for(f.base, 30);
	assert_int_equal(f.count, 1);
	firings_fini(&f);
}

static void test_past_instant_fires_at_once(void **state)
{
	const struct boot_time past[] = {{INT64_MIN}, {-1}, {0}, {1}};
	struct firings f;

	(void)state;
	firings_init(&f, count_firing);
	for (size_t i = 0; i < sizeof(past) / sizeof(*past); i++) {
		f.count = 0;
		assert_int_equal(boot_timer_arm(f.timer, past[i]), 0);
		loop_for(f.base, 5000);
		assert_int_equal(f.count, 1);
	}
	firings_fini(&f);
}

static void test_latest_arming_counts(void **state)
{
	const struct timespec while_it_expires = {.tv_nsec = 2 * NS_PER_MS};
	struct firings f;

	(void)state;
	firings_init(&f, count_firing);
	assert_int_equal(boot_timer_arm(f.timer, (struct boot_time){0}), 0);
	nanosleep(&while_it_expires, NULL);
	assert_int_equal(boot_timer_arm(f.timer, BOOT_TIME_NEVER), 0);
	loop_for(f.base, 30);
	assert_int_equal(f.count, 0);

	assert_int_equal(boot_timer_arm(f.timer, boot_add(clock_boot_now(), duration_s(3600))), 0);
	assert_int_equal(boot_timer_arm(f.timer, clock_boot_now()), 0);
	loop_for(f.base, 5000);
	assert_int_equal(f.count, 1);
	/* As far as the type reaches without being NEVER. */
	assert_int_equal(boot_timer_arm(f.timer, (struct boot_time){INT64_MAX - 1}), 0);
	loop_for(f.base, 30);
	assert_int_equal(f.count, 1);
	firings_fini(&f);
}

static void test_timer_may_be_freed_by_its_callback(void **state)
{
	struct firings f;

	(void)state;
	firings_init(&f, free_own_timer);
	assert_int_equal(boot_timer_arm(f.timer, clock_boot_now()), 0);
	loop_for(f.base, 5000);
	assert_int_equal(f.count, 1);
	assert_null(f.timer);
	firings_fini(&f);
	boot_timer_free(NULL);
}

/* Sets the wall clock forward by a nanosecond: nothing to anybody, a step like any other to the
 * kernel. */
static int step_wall(void)
{
	struct timex step = {.modes = ADJ_SETOFFSET | ADJ_NANO, .time.tv_usec = 1};

	return adjtimex(&step) < 0 ? -errno : 0;
}

static void test_wall_watch_tells_every_step(void **state)
{
	struct firings f = {.base = event_base_new()};
	struct wall_watch *watch;

	(void)state;
	assert_non_null(f.base);
	assert_int_equal(wall_watch_new(&watch, f.base, count_firing, &f), 0);
	loop_for(f.base, 20);
	assert_int_equal(f.count, 0);
	for (int i = 1; i <= 3; i++) {
		if (step_wall() == -EPERM) {
			printf("# skip: setting the clock is not permitted here\n");
			wall_watch_free(watch);
			event_base_free(f.base);
			skip();
		}
		loop_for(f.base, 5000);
		assert_int_equal(f.count, i);
	}
	/* Several before the loop looks are one notice. */
	step_wall();
	step_wall();
	loop_for(f.base, 5000);
	loop_for(f.base, 20);
	assert_int_equal(f.count, 4);
	wall_watch_free(watch);
	wall_watch_free(NULL);
	event_base_free(f.base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_undisturbed_reading_is_taken_at_once),
		cmocka_unit_test(test_preempted_reading_is_repeated),
		cmocka_unit_test(test_narrowest_of_wide_readings_is_kept),
		cmocka_unit_test(test_readings_in_a_row_read_one_clock),
		cmocka_unit_test(test_real_clocks_agree_with_the_system),
		cmocka_unit_test(test_timer_fires_once_and_never_early),
		cmocka_unit_test(test_past_instant_fires_at_once),
		cmocka_unit_test(test_latest_arming_counts),
		cmocka_unit_test(test_timer_may_be_freed_by_its_callback),
		cmocka_unit_test(test_wall_watch_tells_every_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
