/* Who pays for calls that take long, where the test says how long they take: of the processor's
 * time, or only of everybody's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "front/passing.h"
#include "front/reaper.h"
#include "front/toll.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof(*(a)))
#define SLOW 5001
#define OTHER 5002
#define MS 1000000

static uid_t pretended_uid;
static unsigned held_off_count, reaped_count, receive_calls;
static uid_t held_off_uid;
/* Of each byte that is received, and of each call that sends or closes. */
static int64_t burnt_ns, slept_ns;

static int64_t read_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000 * MS + t.tv_nsec;
}

static void take_time(int64_t times)
{
	const struct timespec pause = {.tv_nsec = slept_ns * times};
	int64_t until = read_ns(CLOCK_THREAD_CPUTIME_ID) + burnt_ns * times;

	if (slept_ns)
		nanosleep(&pause, NULL);
	while (burnt_ns && read_ns(CLOCK_THREAD_CPUTIME_ID) < until)
		;
}

int pretending_getsockopt(int fd, int level, int option, void *value, socklen_t *length) __asm__(
	"getsockopt");
ssize_t slow_send(int fd, const void *bytes, size_t size, int flags) __asm__("send");
ssize_t slow_recv(int fd, void *bytes, size_t size, int flags) __asm__("recv");

int pretending_getsockopt(int fd, int level, int option, void *value, socklen_t *length)
{
	int r = (int)syscall(SYS_getsockopt, fd, level, option, value, length);

	if (r == 0 && level == SOL_SOCKET && option == SO_PEERCRED)
		((struct ucred *)value)->uid = pretended_uid;
	return r;
}

ssize_t slow_send(int fd, const void *bytes, size_t size, int flags)
{
	take_time(1);
	return syscall(SYS_sendto, fd, bytes, size, flags, NULL, 0);
}

ssize_t slow_recv(int fd, void *bytes, size_t size, int flags)
{
	ssize_t n = syscall(SYS_recvfrom, fd, bytes, size, flags, NULL, NULL);

	if (flags & MSG_PEEK)
		return n;
	receive_calls++;
	take_time(n);
	return n;
}

void __wrap_reaper_close(struct reaper *r, int fd);
bool __wrap_reaper_works(const struct reaper *r);

void __wrap_reaper_close(struct reaper *r, int fd)
{
	(void)r;
	reaped_count++;
	close(fd);
}

bool __wrap_reaper_works(const struct reaper *r)
{
	return r != NULL;
}

static void held_off(void *context, uid_t uid)
{
	assert_ptr_equal(context, &pretended_uid);
	held_off_count++;
	held_off_uid = uid;
}

static int ends[2]; /* ours and the other */

static int set_up(void **state)
{
	static int nobody;

	(void)state;
	burnt_ns = slept_ns = 0;
	held_off_count = reaped_count = receive_calls = 0;
	pretended_uid = SLOW;
	toll_init((struct reaper *)&nobody, held_off, &pretended_uid);
	/* the counter's rate is known a moment later */
	slept_ns = 5 * MS;
	take_time(1);
	slept_ns = 0;
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends);
}

static int tear_down(void **state)
{
	(void)state;
	toll_fini();
	close(ends[0]);
	close(ends[1]);
	return 0;
}

/* One call as `uid`, which takes so much of the processor. */
static ssize_t send_as(uid_t uid, int64_t ns)
{
	ssize_t n;

	pretended_uid = uid;
	burnt_ns = ns;
	n = toll_send(ends[0], "x", 1);
	burnt_ns = 0;
	return n;
}

static void be_careful(void)
{
	assert_int_equal(send_as(OTHER, 25 * MS), 1);
	assert_int_equal(held_off_count, 0);
}

static void what_is_quick_costs_nothing(void **state)
{
	char bytes[4096] = {0};

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(send_as(SLOW, 0), 1);
	assert_int_equal(send(ends[1], bytes, 700, 0), 700);
	assert_int_equal(passing_receive(ends[0], NULL, bytes, sizeof(bytes)), 700);
	assert_int_equal(receive_calls, 1);
	assert_int_equal(held_off_count, 0);
}

/* The first time it may be the machine. */
static void who_takes_long_is_held_off(void **state)
{
	int64_t begun;

	(void)state;
	be_careful();
	begun = read_ns(CLOCK_MONOTONIC);
	assert_int_equal(send_as(SLOW, 25 * MS), 1);
	assert_int_equal(held_off_count, 1);
	assert_int_equal(held_off_uid, SLOW);
	assert_true(toll_holds_off(SLOW));
	assert_false(toll_holds_off(OTHER));
	assert_int_equal(send_as(SLOW, 0), -EBUSY);
	assert_int_equal(toll_shutdown(ends[0], SHUT_WR), -EBUSY);
	assert_int_equal(passing_receive(ends[0], NULL, (char[1]){0}, 1), -EBUSY);
	assert_int_equal(send_as(OTHER, 0), 1);
	while (toll_holds_off(SLOW))
		assert_in_range(read_ns(CLOCK_MONOTONIC) - begun, 0, INT64_C(5000) * MS);
	/* 5 % of the time pays for it */
	assert_true(read_ns(CLOCK_MONOTONIC) - begun >= (int64_t)20 * 20 * MS);
	assert_int_equal(send_as(SLOW, 0), 1);
	assert_int_equal(held_off_count, 1);
}

/* Of what is paid back meanwhile, a busy machine leaves the time for more. */
static void little_by_little_is_the_same(void **state)
{
	unsigned i = 0;

	(void)state;
	be_careful();
	while (i < 100 && send_as(SLOW, MS) == 1)
		i++;
	assert_in_range(i, 20, 99);
	assert_int_equal(held_off_count, 1);
}

/* Whoever waits for a processor takes nobody's time. */
static void a_busy_machine_is_nobodys_fault(void **state)
{
	char bytes[64] = {0};

	(void)state;
	slept_ns = 30 * MS;
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(toll_send(ends[0], "x", 1), 1);
	slept_ns = 0;
	/* nor a reason to be careful, as which it would read these in pieces */
	for (unsigned i = 0; i < 60; i++)
		assert_int_equal(send(ends[1], bytes, 1, 0), 1);
	assert_int_equal(passing_receive(ends[0], NULL, bytes, sizeof(bytes)), 60);
	assert_int_equal(receive_calls, 1);
	be_careful();
	slept_ns = 30 * MS;
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(toll_send(ends[0], "x", 1), 1);
	assert_int_equal(held_off_count, 0);
}

/* With however many users somebody comes. */
static void all_pay_from_one_purse(void **state)
{
	enum { USERS = 4 };
	int64_t begun;

	(void)state;
	be_careful();
	begun = read_ns(CLOCK_MONOTONIC);
	for (uid_t i = 0; i < USERS; i++)
		assert_int_equal(send_as(SLOW + 10 + i, 22 * MS), 1);
	assert_int_equal(held_off_count, USERS);
	while (toll_holds_off(SLOW + 10 + USERS - 1))
		assert_in_range(read_ns(CLOCK_MONOTONIC) - begun, 0, INT64_C(20000) * MS);
	assert_true(read_ns(CLOCK_MONOTONIC) - begun >= (int64_t)USERS * 20 * 10 * MS);
}

/* Each byte is a walk, as of a request that was sent byte by byte. */
static void reading_stops_when_it_is_enough(void **state)
{
	char bytes[2048] = {0};
	ssize_t n;

	(void)state;
	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(send(ends[1], bytes, 1, 0), 1);
	be_careful();
	pretended_uid = SLOW;
	burnt_ns = 3 * MS;
	n = passing_receive(ends[0], NULL, bytes, sizeof(bytes));
	burnt_ns = 0;
	assert_in_range(n, 7, 40);
	assert_int_equal(held_off_uid, SLOW);
	/* and what came in one piece is read in one */
	pretended_uid = OTHER;
	while (passing_receive(ends[0], NULL, bytes, sizeof(bytes)) > 0)
		;
	assert_int_equal(send(ends[1], bytes, 700, 0), 700);
	assert_int_equal(passing_receive(ends[0], NULL, bytes, sizeof(bytes)), 700);
}

static void who_is_held_off_is_closed_elsewhere(void **state)
{
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	toll_close(pair[0]);
	assert_int_equal(reaped_count, 0);
	assert_int_equal(read(pair[1], (char[1]){0}, 1), 0);
	close(pair[1]);
	be_careful();
	/* now it is not done here where much is unread */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	assert_int_equal(send(pair[1], (char[2000]){0}, 2000, 0), 2000);
	toll_close(pair[0]);
	assert_int_equal(reaped_count, 1);
	close(pair[1]);
	send_as(SLOW, 25 * MS);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	toll_close(pair[0]);
	assert_int_equal(reaped_count, 2);
	close(pair[1]);
	/* but where there is nobody else to do it */
	toll_fini();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	toll_close(pair[0]);
	assert_int_equal(reaped_count, 2);
	assert_int_equal(read(pair[1], (char[1]){0}, 1), 0);
	close(pair[1]);
}

/* Even that user's whose turn it is not, unless it may take long. */
static void what_is_needed_at_once_is_closed_here(void **state)
{
	int pair[2];

	(void)state;
	be_careful();
	send_as(SLOW, 25 * MS);
	assert_true(toll_holds_off(SLOW));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	assert_int_equal(send(pair[1], (char[2000]){0}, 2000, 0), 2000);
	assert_false(toll_close_here(pair[0]));
	assert_int_equal(recv(pair[0], (char[2000]){0}, 2000, 0), 2000);
	assert_true(toll_close_here(pair[0]));
	assert_int_equal(reaped_count, 0);
	assert_int_equal(read(pair[1], (char[1]){0}, 1), 0);
	close(pair[1]);
}

/* Whoever was held off once has all read byte by byte, which takes its time, however honest it is.
 */
static void to_be_read_by_bytes_is_not_paid_for(void **state)
{
	enum { EACH = 200, TIMES = 200 };
	char bytes[EACH] = {0};

	(void)state;
	be_careful();
	send_as(SLOW, 25 * MS);
	while (toll_holds_off(SLOW))
		;
	burnt_ns = 500;
	for (unsigned i = 0; i < TIMES; i++) {
		assert_int_equal(send(ends[1], bytes, EACH, 0), EACH);
		receive_calls = 0;
		assert_int_equal(passing_receive(ends[0], NULL, bytes, EACH), EACH);
		assert_int_equal(receive_calls, EACH);
	}
	burnt_ns = 0;
	assert_int_equal(held_off_count, 1);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(what_is_quick_costs_nothing),
		CASE(who_takes_long_is_held_off),
		CASE(little_by_little_is_the_same),
		CASE(a_busy_machine_is_nobodys_fault),
		CASE(all_pay_from_one_purse),
		CASE(reading_stops_when_it_is_enough),
		CASE(who_is_held_off_is_closed_elsewhere),
		CASE(what_is_needed_at_once_is_closed_here),
		CASE(to_be_read_by_bytes_is_not_paid_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
