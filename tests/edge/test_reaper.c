/* The reaper with closers that are played here, so that what each is given, and when it finishes,
 * is up to the test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "front/closer.h"
#include "front/reaper.h"
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof(*(a)))
#define GIVEN_MOST 128

/* What was asked for and has not ended, by id. */
static struct {
	int channel; /* -1: none */
	int given[GIVEN_MOST];
	unsigned count;
	bool told_to_close;
} played[CLOSERS_MOST];

static struct event_base *base;
static struct reaper *reaper;
static int forker = -1; /* the end that the reaper does not have */
static unsigned asked, stuck_count, lost_count;
static uid_t stuck_uid;
static uid_t pretended_uid;

int pretending_getsockopt(int fd, int level, int option, void *value, socklen_t *length) __asm__(
	"getsockopt");

int pretending_getsockopt(int fd, int level, int option, void *value, socklen_t *length)
{
	int r = (int)syscall(SYS_getsockopt, fd, level, option, value, length);

	if (r == 0 && level == SOL_SOCKET && option == SO_PEERCRED)
		((struct ucred *)value)->uid = pretended_uid;
	return r;
}

static bool out_of_descriptors;
static unsigned refused_pairs;

int pretending_socketpair(int domain, int type, int protocol, int ret[2]) __asm__("socketpair");

int pretending_socketpair(int domain, int type, int protocol, int ret[2])
{
	if (!out_of_descriptors)
		return (int)syscall(SYS_socketpair, domain, type, protocol, ret);
	refused_pairs++;
	errno = EMFILE;
	return -1;
}

/* How long it takes to send a descriptor to a closer, and how many were. */
static unsigned sending_ms, sent;

ssize_t pretending_sendmsg(int fd, const struct msghdr *m, int flags) __asm__("sendmsg");

ssize_t pretending_sendmsg(int fd, const struct msghdr *m, int flags)
{
	const struct timespec pause = {.tv_nsec = sending_ms * 1000000L};

	if (m->msg_controllen && m->msg_iov->iov_len == 1) {
		sent++;
		nanosleep(&pause, NULL);
	}
	return syscall(SYS_sendmsg, fd, m, flags);
}

static void stuck(void *context, uid_t uid)
{
	assert_ptr_equal(context, &base);
	stuck_count++;
	stuck_uid = uid;
}

static void lost(void *context)
{
	assert_ptr_equal(context, &base);
	lost_count++;
}

static int set_up(void **state)
{
	const struct reaper_hooks hooks = {.stuck = stuck, .lost = lost, .context = &base};
	int ends[2];

	(void)state;
	asked = stuck_count = lost_count = sent = 0;
	for (size_t i = 0; i < COUNT(played); i++)
		played[i].channel = -1;
	base = event_base_new();
	if (!base || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends) < 0)
		return -1;
	forker = ends[1];
	return reaper_new(&reaper, base, ends[0], &hooks);
}

static int receive_fd(int socket, void *bytes, size_t room, int *ret_fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec part = {.iov_base = bytes, .iov_len = room};
	struct msghdr m = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes)};
	ssize_t n = recvmsg(socket, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n <= 0)
		return n < 0 ? -errno : 0;
	assert_non_null(CMSG_FIRSTHDR(&m));
	memcpy(ret_fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(*ret_fd));
	return (int)n;
}

static void report(uint32_t id, enum closer_event event)
{
	const struct closer_report r = {.id = id, .event = event};

	assert_int_equal(send(forker, &r, sizeof(r), 0), sizeof(r));
}

/* Takes what there is for a closer. */
static void play(unsigned id)
{
	int fd, r;

	while ((r = receive_fd(played[id].channel, &(char){0}, 1, &fd)) > 0) {
		assert_false(played[id].told_to_close);
		assert_true(played[id].count < GIVEN_MOST);
		played[id].given[played[id].count++] = fd;
	}
	if (!r)
		played[id].told_to_close = true;
	else
		assert_int_equal(r, -EAGAIN);
}

static void forget(unsigned id)
{
	for (unsigned i = 0; i < played[id].count; i++)
		close(played[id].given[i]);
	close(played[id].channel);
	memset(&played[id], 0, sizeof(played[id]));
	played[id].channel = -1;
}

/* It has closed all, or was never there. */
static void end(unsigned id)
{
	forget(id);
	report(id, CLOSER_ENDED);
}

/* One pass of the loop; `start`: who is asked for starts. */
static void turn(bool start)
{
	const struct timeval moment = {.tv_usec = 2000};
	uint32_t id;
	int channel;

	event_base_loopexit(base, &moment);
	event_base_dispatch(base);
	while (receive_fd(forker, &id, sizeof(id), &channel) > 0) {
		assert_in_range(id, 0, CLOSERS_MOST - 1);
		assert_int_equal(played[id].channel, -1);
		asked++;
		played[id].channel = channel;
		if (start)
			report(id, CLOSER_STARTED);
	}
	for (unsigned i = 0; i < CLOSERS_MOST; i++)
		if (played[i].channel >= 0)
			play(i);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

#define WAIT_UNTIL(condition) \
	do { \
		uint64_t give_up = now_ms() + 20000; \
		while (!(condition)) { \
			if (now_ms() > give_up) \
				fail_msg("never came true: %s", #condition); \
			turn(true); \
		} \
	} while (0)

static void turn_for(unsigned ms)
{
	uint64_t until = now_ms() + ms;

	while (now_ms() < until)
		turn(true);
}

/* Those who are to close what they have, and those who only have something. */
static unsigned closing(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < CLOSERS_MOST; i++)
		n += played[i].channel >= 0 && played[i].told_to_close;
	return n;
}

static unsigned keeping(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < CLOSERS_MOST; i++)
		n += played[i].channel >= 0 && !played[i].told_to_close && played[i].count;
	return n;
}

static unsigned find(bool told_to_close)
{
	unsigned i = 0;

	while (i < CLOSERS_MOST && (played[i].channel < 0 || !played[i].count ||
					   played[i].told_to_close != told_to_close))
		i++;
	assert_in_range(i, 0, CLOSERS_MOST - 1);
	return i;
}

static void end_all(void)
{
	for (unsigned i = 0; i < CLOSERS_MOST; i++)
		if (played[i].channel >= 0)
			end(i);
}

static int tear_down(void **state)
{
	(void)state;
	if (forker >= 0)
		shutdown(forker, SHUT_WR);
	reaper_free(reaper);
	for (unsigned i = 0; i < CLOSERS_MOST; i++)
		if (played[i].channel >= 0)
			forget(i);
	if (forker >= 0)
		close(forker);
	event_base_free(base);
	return 0;
}

/* A socket of that user's for the reaper. Its other end, which sees when it is closed. */
static int give(uid_t uid)
{
	int ends[2];

	assert_return_code(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), errno);
	pretended_uid = uid;
	reaper_close(reaper, ends[0]);
	return ends[1];
}

static bool is_closed(int other_end)
{
	return recv(other_end, &(char){0}, 1, MSG_PEEK) == 0;
}

static void assert_user(uid_t uid, unsigned pending, bool is_stuck)
{
	assert_int_equal(reaper_user(reaper, uid).pending, pending);
	assert_int_equal(reaper_user(reaper, uid).stuck, is_stuck);
}

static void one_closes_many(void **state)
{
	int others[10];

	(void)state;
	for (unsigned i = 0; i < COUNT(others); i++)
		others[i] = give(1);
	assert_int_equal(reaper_pending(reaper), COUNT(others));
	assert_user(1, COUNT(others), false);
	assert_user(2, 0, false);
	WAIT_UNTIL(closing() == 1);
	assert_int_equal(asked, 1);
	assert_int_equal(reaper_pending(reaper), 0);
	/* none of them is open in this process but with whom we play */
	assert_user(1, COUNT(others), false);
	for (unsigned i = 0; i < COUNT(others); i++)
		assert_false(is_closed(others[i]));
	end_all();
	for (unsigned i = 0; i < COUNT(others); i++) {
		assert_true(is_closed(others[i]));
		close(others[i]);
	}
	WAIT_UNTIL(!reaper_user(reaper, 1).pending);
	assert_int_equal(stuck_count, 0);
}

/* Whatever else comes from that user waits, and of others nothing does. */
static void one_user_is_stuck(void **state)
{
	int first = give(1), second, other;
	unsigned id;

	(void)state;
	WAIT_UNTIL(stuck_count == 1);
	assert_int_equal(stuck_uid, 1);
	assert_user(1, 1, true);
	second = give(1);
	other = give(2);
	WAIT_UNTIL(closing() == 2 && keeping() == 1);
	assert_user(1, 2, true);
	assert_user(2, 1, false);
	/* nobody waits for the stuck one, nor counts it again */
	WAIT_UNTIL(stuck_count == 2);
	assert_int_equal(stuck_uid, 2);
	turn_for(100);
	assert_int_equal(stuck_count, 2);
	assert_int_equal(keeping(), 1);
	assert_int_equal(asked, 3);
	for (unsigned i = 0; i < CLOSERS_MOST; i++)
		if (played[i].channel >= 0 && played[i].told_to_close)
			end(i);
	WAIT_UNTIL(is_closed(first) && is_closed(other) && closing() == 1);
	assert_user(1, 1, false);
	id = find(true);
	end(id);
	WAIT_UNTIL(is_closed(second) && !reaper_user(reaper, 1).pending);
	assert_int_equal(asked, 3);
	close(first);
	close(second);
	close(other);
}

/* Those who come when a few users have most closers: they share what there is, and it ends. */
static void many_users_share(void **state)
{
	int others[CLOSERS_MOST + 40];

	(void)state;
	for (unsigned i = 0; i < COUNT(others); i++)
		others[i] = give(1 + i);
	WAIT_UNTIL(!reaper_pending(reaper));
	WAIT_UNTIL(stuck_count == asked - keeping());
	assert_in_range(asked, CLOSERS_MOST / 2, CLOSERS_MOST - 1);
	assert_user(1, 1, true);
	/* who shares with others, if it was given in one go with theirs */
	assert_user(COUNT(others), 1, !keeping() || reaper_user(reaper, COUNT(others)).stuck);
	for (unsigned i = 0; i < COUNT(others); i++) {
		while (!is_closed(others[i])) {
			end_all();
			turn_for(20);
		}
		WAIT_UNTIL(!reaper_user(reaper, 1 + i).pending);
		assert_user(1 + i, 0, false);
		close(others[i]);
	}
}

/* What cannot be started is asked for again, but not at once; nothing is lost. */
static void none_can_be_started(void **state)
{
	int other = give(1);
	uint64_t begun;

	(void)state;
	while (!asked)
		turn(false);
	begun = now_ms();
	end_all();
	assert_int_equal(reaper_pending(reaper), 1);
	WAIT_UNTIL(asked == 2);
	assert_true(now_ms() - begun >= 500);
	WAIT_UNTIL(closing() == 1);
	end_all();
	WAIT_UNTIL(is_closed(other) && !reaper_user(reaper, 1).pending);
	close(other);
}

/* Nobody is left who could start one. */
/* However many wait, it is not tried for each of them, nor all the time. */
static void none_can_be_asked_for(void **state)
{
	int others[50];
	uint64_t begun;

	(void)state;
	for (unsigned i = 0; i < COUNT(others); i++)
		others[i] = give(i);
	out_of_descriptors = true;
	refused_pairs = 0;
	begun = now_ms();
	WAIT_UNTIL(refused_pairs && now_ms() - begun >= 200);
	assert_true(refused_pairs <= 1 + (now_ms() - begun) / 500);
	out_of_descriptors = false;
	WAIT_UNTIL(asked);
	end_all();
	for (unsigned i = 0; i < COUNT(others); i++)
		close(others[i]);
}

static void who_starts_them_is_gone(void **state)
{
	int other = give(1);

	(void)state;
	close(forker);
	forker = -1;
	while (!lost_count)
		event_base_loop(base, EVLOOP_ONCE);
	assert_int_equal(lost_count, 1);
	assert_int_equal(reaper_pending(reaper), 1);
	assert_false(is_closed(other));
	/* and there is nothing to wait for, see tear_down */
	assert_int_equal(event_base_loop(base, EVLOOP_NONBLOCK), 1);
	close(other);
}

/* There never was anybody. */
static void without_closers(void **state)
{
	const struct reaper_hooks hooks = {.lost = lost, .context = &base};
	struct reaper *none;
	int ends[2];

	(void)state;
	assert_int_equal(reaper_new(&none, base, -1, &hooks), 0);
	assert_return_code(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), errno);
	pretended_uid = 1;
	reaper_close(none, ends[0]);
	turn_for(50);
	assert_int_equal(reaper_pending(none), 1);
	assert_int_equal(reaper_user(none, 1).pending, 1);
	assert_false(is_closed(ends[1]));
	assert_int_equal(asked, 0);
	reaper_free(none);
	close(ends[0]);
	close(ends[1]);
}

/* So that it takes a twentieth of our time at most. */
static void giving_takes_long(void **state)
{
	int others[6];
	uint64_t begun;

	(void)state;
	sending_ms = 30;
	for (unsigned i = 0; i < COUNT(others); i++)
		others[i] = give(1);
	WAIT_UNTIL(sent);
	begun = now_ms();
	turn_for(400);
	assert_true(sent <= 1 + (now_ms() - begun) / 600);
	sending_ms = 0;
	WAIT_UNTIL(sent == COUNT(others) && !reaper_pending(reaper));
	end_all();
	for (unsigned i = 0; i < COUNT(others); i++)
		close(others[i]);
}

/* What is on the way to closers counts against us, and they may be without a processor. */
static void few_are_on_the_way(void **state)
{
	enum { USERS = 4, EACH = 100, MOST = 256 };
	int others[USERS * EACH], channel;
	uint64_t begun = now_ms();
	uint32_t id;

	(void)state;
	for (unsigned i = 0; i < COUNT(others); i++)
		others[i] = give(1 + i % USERS);
	while (now_ms() - begun < 300) {
		const struct timeval moment = {.tv_usec = 2000};

		event_base_loopexit(base, &moment);
		event_base_dispatch(base);
		while (receive_fd(forker, &id, sizeof(id), &channel) > 0) {
			asked++;
			played[id].channel = channel;
			report(id, CLOSER_STARTED);
		}
	}
	assert_in_range(sent, 1, MOST + MOST / 4);
	WAIT_UNTIL(sent == COUNT(others));
	end_all();
	for (unsigned i = 0; i < COUNT(others); i++)
		close(others[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_closes_many, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_user_is_stuck, set_up, tear_down),
		cmocka_unit_test_setup_teardown(many_users_share, set_up, tear_down),
		cmocka_unit_test_setup_teardown(none_can_be_started, set_up, tear_down),
		cmocka_unit_test_setup_teardown(none_can_be_asked_for, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_starts_them_is_gone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(without_closers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(giving_takes_long, set_up, tear_down),
		cmocka_unit_test_setup_teardown(few_are_on_the_way, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
