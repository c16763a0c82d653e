/* The front over real sockets: requests in any shape, what they cost, limits, shortage, stopping.
 */
#include "front_fixture.h"

#include <malloc.h>
#include <sys/resource.h>

static void requests_are_answered(void **state)
{
	int fd = client_served();
	char body[256];

	(void)state;
	assert_int_equal(ask(fd, REQUEST("/now?a=1"), body, sizeof(body)), 200);
	assert_string_equal(body, "a=1");
	assert_int_equal(ask(fd, REQUEST("/nowhere"), body, sizeof(body)), 404);
	assert_int_equal(
		ask(fd, "POST /now?b HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", body, 256), 200);
	assert_string_equal(body, "b");
	assert_int_equal(front_counters(front)->requests[200], 2);
	assert_int_equal(front_counters(front)->requests[404], 1);
	assert_int_equal(front_counters(front)->connections, 1);
	close(fd);
	WAIT_UNTIL(front_counters(front)->connections == 0);
}

struct crowd {
	int fds[200];
	struct got got[200];
};

/* All of them are there, and have asked, before the first is let in. */
static void crowd_comes(struct crowd *c)
{
	for (unsigned i = 0; i < COUNT(c->fds); i++) {
		c->fds[i] = client_new();
		c->got[i] = (struct got){0};
		client_write(c->fds[i], REQUEST("/now?first"));
	}
	memset(&calls, 0, sizeof(calls));
}

static void who_comes_alone_is_watched(void **state)
{
	int fd = client_new();
	struct got g = {0};

	(void)state;
	client_write(fd, REQUEST("/now?first"));
	memset(&calls, 0, sizeof(calls));
	turn();
	assert_true(has_answers(fd, &g, 1));
	assert_int_equal(calls.recv, 1);
	assert_int_equal(calls.epoll_ctl, 1);
	close(fd);
	WAIT_UNTIL(front_counters(front)->connections == 0);
	got_free(&g);
}

/* Who is gone when it is looked at again was never watched. */
static void of_a_crowd_that_leaves_few_are_watched(void **state)
{
	struct crowd c;
	unsigned left = 0;

	(void)state;
	crowd_comes(&c);
	for (unsigned turns = 0; left < COUNT(c.fds); turns++) {
		assert_true(turns < COUNT(c.fds));
		turn();
		while (left < COUNT(c.fds) && has_answers(c.fds[left], &c.got[left], 1)) {
			got_free(&c.got[left]);
			close(c.fds[left++]);
		}
	}
	WAIT_UNTIL(front_counters(front)->connections == 0);
	assert_int_equal(calls.send, COUNT(c.fds));
	assert_true(calls.recv <= 2 * COUNT(c.fds));
	assert_true(calls.epoll_ctl <= COUNT(c.fds) / 2);
}

/* More than one pass takes in, however often it is called: each asks once, and is done with. */
static void queue_refill(int *fds, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct got g = {0};

		if (fds[i] >= 0 && !has_ended(fds[i], &g)) {
			got_free(&g);
			continue;
		}
		got_free(&g);
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = client_new();
		client_write(fds[i], "GET /now HTTP/1.1\r\n" H "Connection: close\r\n\r\n");
	}
}

static void queue_end(int *fds, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		close(fds[i]);
	WAIT_UNTIL(front_counters(front)->connections == 0);
}

/* Those do not stay, and so make nobody else's turn come sooner or later. */
static void whoever_else_comes_a_second_request_is_answered(void **state)
{
	int fd = client_new(), others[40];
	struct got g = {0};

	(void)state;
	memset(others, -1, sizeof(others));
	client_write(fd, REQUEST("/now?first"));
	queue_refill(others, COUNT(others));
	turn();
	assert_true(has_answers(fd, &g, 1));
	client_write(fd, REQUEST("/now?second"));
	for (unsigned turns = 0; !has_answers(fd, &g, 2); turns++) {
		assert_true(turns < 8);
		queue_refill(others, COUNT(others));
		turn();
	}
	close(fd);
	got_free(&g);
	queue_end(others, COUNT(others));
}

/* Who has not asked yet, or waits, will not leave in a moment: it is watched. */
static void whoever_else_comes_nobody_waits_unwatched(void **state)
{
	int late = client_new(), waiting = client_new(), others[40];
	struct got g = {0};

	(void)state;
	memset(others, -1, sizeof(others));
	client_write(waiting, REQUEST("/hold"));
	queue_refill(others, COUNT(others));
	turn();
	assert_int_equal(held_count, 1);
	client_write(late, REQUEST("/now?late"));
	close(waiting);
	queue_refill(others, COUNT(others));
	turn();
	queue_refill(others, COUNT(others));
	turn();
	assert_true(has_answers(late, &g, 1));
	assert_int_equal(abandoned_count, 1);
	close(late);
	got_free(&g);
	queue_end(others, COUNT(others));
}

/* More than are served in a turn, and all there before the first one. */
static void many_requests_come_with_the_connection(unsigned others, unsigned requests)
{
	struct crowd c;
	struct got g = {0};
	int fd = client_new();

	for (unsigned i = 0; i < requests; i++)
		client_write(fd, REQUEST("/now?many"));
	for (unsigned i = 0; i < others; i++) {
		c.fds[i] = client_new();
		c.got[i] = (struct got){0};
		for (unsigned j = 0; j < requests; j++)
			client_write(c.fds[i], REQUEST("/now?other"));
	}
	WAIT_UNTIL(has_answers(fd, &g, requests));
	assert_int_equal(g.answers, requests);
	got_free(&g);
	close(fd);
	for (unsigned i = 0; i < others; i++) {
		WAIT_UNTIL(has_answers(c.fds[i], &c.got[i], requests));
		got_free(&c.got[i]);
		close(c.fds[i]);
	}
	WAIT_UNTIL(front_counters(front)->connections == 0);
}

static void all_that_comes_with_a_connection_is_answered(void **state)
{
	static const unsigned counts[] = {16, 17, 100};

	(void)state;
	for (unsigned i = 0; i < COUNT(counts); i++) {
		many_requests_come_with_the_connection(0, counts[i]);
		many_requests_come_with_the_connection(7, counts[i]);
		many_requests_come_with_the_connection(8, counts[i]);
		many_requests_come_with_the_connection(100, counts[i]);
	}
}

/* Some ask again while others are let in, some wait for their answer, and some say nothing more for
 * a while. */
static void a_crowd_that_stays_is_served(void **state)
{
	struct crowd c;
	bool again[COUNT(c.fds)] = {0};
	unsigned done = 0;

	(void)state;
	crowd_comes(&c);
	while (done < COUNT(c.fds)) {
		turn();
		for (unsigned i = 0; i < COUNT(c.fds); i++) {
			if (again[i] || !has_answers(c.fds[i], &c.got[i], 1))
				continue;
			again[i] = true;
			done++;
			if (i % 3)
				client_write(c.fds[i], i % 3 == 1 ? REQUEST("/now?a")
									    REQUEST("/now?b")
								  : REQUEST("/hold"));
		}
	}
	WAIT_UNTIL(held_count == COUNT(c.fds) / 3);
	while (held_count)
		release_one("late");
	for (unsigned i = 0; i < COUNT(c.fds); i++) {
		WAIT_UNTIL(has_answers(c.fds[i], &c.got[i], 1 + (i % 3 ? 3 - i % 3 : 0)));
		got_free(&c.got[i]);
		assert_answers_now(c.fds[i]);
		close(c.fds[i]);
	}
	WAIT_UNTIL(front_counters(front)->connections == 0);
}

static unsigned trims;

int counted_trim(size_t kept) __asm__("malloc_trim");

int counted_trim(size_t kept)
{
	(void)kept;
	trims++;
	return 1;
}

static void so_many_come_and_leave(unsigned count)
{
	int fds[1200];

	assert_true(count <= COUNT(fds));
	for (unsigned i = 0; i < count; i++) {
		fds[i] = client_new();
		turn();
	}
	WAIT_UNTIL(front_counters(front)->connections == count);
	for (unsigned i = 0; i < count; i++)
		close(fds[i]);
	WAIT_UNTIL(front_counters(front)->connections == 0);
}

static void what_a_large_crowd_leaves_goes_back(void **state)
{
	(void)state;
	trims = 0;
	so_many_come_and_leave(900);
	turn_for(1100);
	assert_int_equal(trims, 0);
	so_many_come_and_leave(1100);
	so_many_come_and_leave(1100);
	WAIT_UNTIL(trims);
	turn_for(1100);
	assert_int_equal(trims, 1);
	so_many_come_and_leave(1100);
	WAIT_UNTIL(trims == 2);
}

static void steady_state_is_one_read_and_one_write(void **state)
{
	int fd = client_served();
	unsigned allocations;
	char answer[512];

	(void)state;
	assert_answers_now(fd);
	memset(&calls, 0, sizeof(calls));
	for (unsigned i = 0; i < 1000; i++) {
		client_write(fd, REQUEST("/now?steady=state"));
		turn();
		assert_true(read(fd, answer, sizeof(answer)) > 0);
	}
	allocations = calls.allocations;
	assert_int_equal(calls.recv, 1000);
	assert_int_equal(calls.send, 1000);
	assert_int_equal(calls.epoll_wait, 1000);
	assert_int_equal(calls.epoll_ctl, 0);
	assert_int_equal(calls.accept, 0);
	assert_int_equal(allocations, 0);
	close(fd);
}

static void check_in_order(size_t i, int status, const char *body, size_t length)
{
	char expected[32];

	snprintf(expected, sizeof(expected), "n=%zu", i);
	assert_int_equal(status, 200);
	assert_int_equal(length, strlen(expected));
	assert_memory_equal(body, expected, length);
}

static size_t numbered_requests(char *to, size_t size, unsigned from, unsigned count)
{
	size_t length = 0;

	for (unsigned i = from; i < from + count; i++)
		length += (size_t)snprintf(
			to + length, size - length, "GET /now?n=%u HTTP/1.1\r\n" H "\r\n", i);
	assert_true(length < size);
	return length;
}

static void pipelined_requests_cost_one_read_and_one_write(void **state)
{
	int fd = client_served();
	struct got g = {0};
	char bytes[4096];

	(void)state; /* no more than one turn serves: what is over is kept for the next */
	numbered_requests(bytes, sizeof(bytes), 0, 16);
	memset(&calls, 0, sizeof(calls));
	client_write(fd, bytes);
	turn();
	assert_int_equal(calls.recv, 1);
	assert_int_equal(calls.send, 1);
	assert_int_equal(calls.allocations, 0);
	assert_true(has_answers(fd, &g, 16));
	assert_int_equal(g.answers, 16);
	answers_check(&g, check_in_order);
	got_free(&g);
	close(fd);
}

static void a_byte_at_a_time_is_the_same(void **state)
{
	int fd = client_served();
	struct got g = {0};
	char bytes[4096];
	size_t length = numbered_requests(bytes, sizeof(bytes), 0, 20);

	(void)state;
	for (size_t i = 0; i < length; i++) {
		assert_int_equal(write(fd, bytes + i, 1), 1);
		turn();
	}
	assert_true(has_answers(fd, &g, 20));
	assert_int_equal(g.answers, 20);
	answers_check(&g, check_in_order);
	/* and nothing is kept of it */
	memset(&calls, 0, sizeof(calls));
	assert_answers_now(fd);
	got_free(&g);
	close(fd);
}

static void connections_end_when_agreed(void **state)
{
	static const char *const last[] = {
		"GET /now HTTP/1.0\r\n\r\n",
		"GET /now HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
		"GET /now HTTP/1.1\r\n" H "Connection: close\r\n\r\n",
		"GET /now HTTP/1.1\r\n" H "Connection: close\r\n\r\n" REQUEST("/now?not_me"),
	};

	(void)state;
	for (size_t i = 0; i < COUNT(last); i++) {
		int fd = client_served();
		struct got g = {0};

		client_write(fd, last[i]);
		WAIT_UNTIL(has_ended(fd, &g));
		assert_int_equal(g.answers, 1);
		assert_non_null(strstr(g.bytes, "Connection: close\r\n"));
		assert_int_equal(front_counters(front)->connections, 0);
		got_free(&g);
		close(fd);
	}
	assert_int_equal(asked_count, COUNT(last));
}

static void bad_requests_get_to_read_why(void **state)
{
	static char body[65536];
	static const struct {
		const char *bytes;
		int status;
		const char *code;
	} bad[] = {
		{"GET / HTTP/1.1\r\n\r\n", 400, "\"invalid_request\""},
		{"PUT /now HTTP/1.1\r\n" H "Content-Length: 1048576\r\n\r\n", 400, "body"},
		{"GET / HTTP/2.0\r\n", 505, "\"version_not_supported\""},
		{REQUEST("/now?n=0") "GET\r\n", 400, "\"invalid_request\""},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		uint64_t refused = front_counters(front)->requests[bad[i].status];
		int fd = client_served();
		struct got g = {0};
		size_t sent = 0;

		client_write(fd, bad[i].bytes);
		WAIT_UNTIL(has_ended(fd, &g));
		/* what it goes on sending is thrown away, and does not break the pipe */
		while (sent < 1 << 20) {
			ssize_t n = write(fd, body, sizeof(body));

			assert_true(n > 0 || errno == EAGAIN);
			sent += n > 0 ? (size_t)n : 0;
			turn();
		}
		assert_int_equal(front_counters(front)->requests[bad[i].status], refused + 1);
		assert_int_equal(answer_at(&g, g.answers - 1, body, 300), bad[i].status);
		assert_non_null(strstr(body, bad[i].code));
		memset(body, 0, sizeof(body));
		got_free(&g);
		close(fd);
		WAIT_UNTIL(front_counters(front)->connections == 0);
	}
}

static void refused_ones_do_not_stay(void **state)
{
	struct front_limits limits = limits_default();
	int fd = client_served();

	(void)state;
	limits.request_deadline = duration_ms(100);
	front_set_limits(front, &limits);
	client_write(fd, "nonsense\r\n");
	WAIT_UNTIL(front_counters(front)->requests[400] == 1);
	assert_int_equal(front_counters(front)->connections, 1);
	WAIT_UNTIL(front_counters(front)->connections == 0);
	assert_int_equal(front_counters(front)->deadline_cut, 0);
	close(fd);
}

static void slow_requests_are_cut(void **state)
{
	struct front_limits limits = limits_default();
	int fd = client_served(), fast = client_served();
	uint64_t begin, taken;
	struct got g = {0};
	char body[256];

	(void)state;
	limits.request_deadline = duration_ms(300);
	front_set_limits(front, &limits);
	/* the deadline is absolute: it does not begin anew with each byte */
	begin = now_ms();
	client_write(fd, "GET /");
	while (!has_ended(fd, &g)) {
		if (write(fd, "x", 1) < 0)
			assert_true(errno == EPIPE || errno == ECONNRESET);
		turn_for(10);
		assert_true(now_ms() < begin + 5000);
	}
	taken = now_ms() - begin;
	assert_in_range(taken, 300, 300 + SLACK_MS);
	assert_int_equal(answer_at(&g, 0, body, sizeof(body)), 408);
	assert_non_null(strstr(body, "request_timeout"));
	assert_int_equal(front_counters(front)->deadline_cut, 1);
	assert_int_equal(front_counters(front)->requests[408], 1);
	/* who asked nothing meanwhile is not meant */
	assert_answers_now(fast);
	got_free(&g);
	close(fd);
	close(fast);
}

static void each_request_has_its_own_deadline(void **state)
{
	struct front_limits limits = limits_default();
	int fd = client_served();
	uint64_t begin = now_ms();
	struct got g = {0};
	size_t asked = 1;

	(void)state;
	limits.request_deadline = duration_ms(300);
	front_set_limits(front, &limits);
	/* always in the middle of one, never long in the same */
	client_write(fd, "GET /now HTTP/1.1\r\n");
	for (; now_ms() < begin + 900; asked++) {
		turn_for(40);
		client_write(fd, H "\r\nGET /now HTTP/1.1\r\n");
	}
	client_write(fd, H "\r\n");
	WAIT_UNTIL(has_answers(fd, &g, asked));
	assert_false(g.ended);
	assert_int_equal(front_counters(front)->deadline_cut, 0);
	got_free(&g);
	close(fd);
}

static void idle_ones_are_closed_and_then_nothing_ticks(void **state)
{
	struct front_limits limits = limits_default();
	int at_rest = event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED);
	int fd = client_served(), busy = client_served();
	uint64_t begin = now_ms();
	struct got g = {0};

	(void)state;
	limits.idle_timeout = duration_ms(300);
	front_set_limits(front, &limits);
	while (!has_ended(fd, &g)) {
		assert_answers_now(busy);
		turn_for(20);
		assert_true(now_ms() < begin + 5000);
	}
	assert_in_range(now_ms() - begin, 300, 300 + SLACK_MS);
	assert_int_equal(g.length, 0);
	assert_int_equal(front_counters(front)->connections, 1);
	close(busy);
	WAIT_UNTIL(event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED) == at_rest);
	got_free(&g);
	close(fd);
}

static void reload_cuts_nobody_at_once(void **state)
{
	struct front_limits limits = limits_default();
	int first = client_served(), second;
	struct got g = {0};
	uint64_t begin;

	(void)state;
	limits.idle_timeout = duration_ms(200);
	front_set_limits(front, &limits);
	turn_for(150);
	second = client_served();
	/* longer again: those there already keep what they have */
	limits.idle_timeout = duration_s(60);
	limits.max_connections = 1;
	front_set_limits(front, &limits);
	assert_int_equal(front_counters(front)->connections, 2);
	begin = now_ms();
	WAIT_UNTIL(has_ended(first, &g));
	assert_true(now_ms() < begin + 2500);
	got_free(&g);
	close(first);
	close(second);
}

static int turned_away(int *fd, char *body, size_t size)
{
	struct got g = {0};
	int status;

	*fd = client_new();
	/* a request it has sent already is not read */
	client_write(*fd, REQUEST("/now"));
	WAIT_UNTIL(has_ended(*fd, &g));
	assert_int_equal(g.answers, 1);
	assert_non_null(strstr(g.bytes, "Retry-After: 1\r\n"));
	assert_non_null(strstr(g.bytes, "Connection: close\r\n"));
	status = answer_at(&g, 0, body, size);
	got_free(&g);
	return status;
}

#define LINGERING 32 /* at a time */
#define TOO_MANY 8

/* Whoever is turned away before the request was sent can send it, and reads why; of too many those
 * who took longest only read it. */
static void turned_away_before_the_request(void **state)
{
	struct front_limits limits = limits_default();
	int fds[TOO_MANY + LINGERING], first;
	char body[256], byte;
	unsigned open = 0;

	(void)state;
	limits.max_connections_per_user = 1;
	limits.max_turned_away = LINGERING;
	front_set_limits(front, &limits);
	first = client_served();
	for (unsigned i = 0; i < COUNT(fds); i++)
		fds[i] = client_new();
	WAIT_UNTIL(front_counters(front)->refused_user_limit == COUNT(fds));
	for (unsigned i = 0; i < COUNT(fds); i++) {
		struct got g = {0};

		if (send(fds[i], REQUEST("/now"), strlen(REQUEST("/now")), MSG_NOSIGNAL) > 0)
			open++;
		WAIT_UNTIL(has_ended(fds[i], &g));
		assert_int_equal(answer_at(&g, 0, body, sizeof(body)), 429);
		got_free(&g);
		/* an end, and no reset */
		assert_true(i < TOO_MANY || recv(fds[i], &byte, 1, 0) == 0);
		close(fds[i]);
	}
	/* so many at a time and no more: each takes a descriptor */
	assert_int_equal(open, LINGERING);
	assert_int_equal(front_counters(front)->connections, 1);
	assert_int_equal(asked_count, 0);
	/* who says nothing is not waited for long */
	fds[0] = client_new();
	WAIT_UNTIL(front_counters(front)->refused_user_limit == COUNT(fds) + 1);
	turn_for(1500);
	assert_true(send(fds[0], "G", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE);
	close(fds[0]);
	close(first);
}

static void limits_turn_away(void **state)
{
	struct front_limits limits = limits_default();
	int fds[4], fd;
	char body[256];

	(void)state;
	limits.max_connections = 4;
	limits.max_connections_per_user = 3;
	front_set_limits(front, &limits);
	for (unsigned i = 0; i < 3; i++)
		fds[i] = client_served();
	assert_int_equal(turned_away(&fd, body, sizeof(body)), 429);
	assert_non_null(strstr(body, "\"too_many_requests\""));
	assert_int_equal(front_counters(front)->refused_user_limit, 1);
	close(fd);
	limits.max_connections_per_user = 4;
	front_set_limits(front, &limits);
	fds[3] = client_served();
	assert_int_equal(turned_away(&fd, body, sizeof(body)), 503);
	assert_non_null(strstr(body, "\"temporarily_unavailable\""));
	assert_int_equal(front_counters(front)->refused_total_limit, 1);
	close(fd);
	assert_int_equal(asked_count, 0);
	/* room is made by whoever goes */
	close(fds[0]);
	WAIT_UNTIL(front_counters(front)->connections == 3);
	fds[0] = client_served();
	for (unsigned i = 0; i < 4; i++) {
		assert_answers_now(fds[i]);
		close(fds[i]);
	}
}

static void descriptors_run_out_and_come_back(void **state)
{
	struct rlimit before, none;
	int clients[20], highest, sent_away = 0;
	struct got got[20] = {{0}};
	uint64_t begin;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	for (unsigned i = 0; i < COUNT(clients); i++)
		clients[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	highest = dup(0);
	close(highest);
	none = before;
	none.rlim_cur = (rlim_t)highest;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	for (unsigned i = 0; i < COUNT(clients); i++)
		assert_int_equal(client_connect(clients[i]), clients[i]);
	memset(&calls, 0, sizeof(calls));
	turn_for(450);
	/* no spinning: about ten looks a second; each sends one client away with the reserve */
	assert_in_range(front_counters(front)->accept_failures, 2, 6);
	assert_in_range(calls.accept, 4, 12);
	assert_int_equal(front_counters(front)->connections, 0);
	for (unsigned i = 0; i < COUNT(clients); i++)
		if (has_ended(clients[i], &got[i])) {
			char body[256];

			assert_int_equal(answer_at(&got[i], 0, body, sizeof(body)), 503);
			assert_non_null(strstr(body, "file descriptors"));
			sent_away++;
		}
	assert_in_range(sent_away, 2, 6);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	begin = now_ms();
	WAIT_UNTIL(front_counters(front)->connections == COUNT(clients) - (unsigned)sent_away);
	assert_true(now_ms() - begin < 1000);
	for (unsigned i = 0; i < COUNT(clients); i++) {
		if (!got[i].ended)
			assert_answers_now(clients[i]);
		got_free(&got[i]);
		close(clients[i]);
	}
}

static void no_accept_error_ends_anything(void **state)
{
	/* the first four are some client's misfortune, the others ours: then there is a pause */
	static const int errors[] = {ECONNABORTED, EINTR, EPROTO, EPERM, EMFILE, ENFILE, ENOMEM,
		ENOBUFS, EINVAL, EBADF, EOPNOTSUPP, EIO};
	int first = client_served();

	(void)state;
	for (size_t i = 0; i < COUNT(errors); i++) {
		uint64_t failures = front_counters(front)->accept_failures;
		int fd = client_new();

		memset(&calls, 0, sizeof(calls));
		accept_error = errors[i];
		turn_for(20);
		if (i < 4) {
			assert_int_equal(front_counters(front)->accept_failures, failures);
		} else {
			assert_int_equal(front_counters(front)->accept_failures, failures + 1);
			assert_in_range(calls.accept, 1, 2);
		}
		assert_answers_now(first);
		accept_error = 0;
		WAIT_UNTIL(front_counters(front)->connections == 2);
		assert_answers_now(fd);
		close(fd);
		WAIT_UNTIL(front_counters(front)->connections == 1);
	}
	close(first);
}

static void only_listening_unix_sockets_are_taken(void **state)
{
	int pair[2], datagram = socket(AF_UNIX, SOCK_DGRAM, 0),
		     tcp = socket(AF_INET, SOCK_STREAM, 0);

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(listen(tcp, 1), 0);
	assert_int_equal(front_listen(front, pair[0]), -EINVAL);
	assert_int_equal(front_listen(front, datagram), -EINVAL);
	assert_int_equal(front_listen(front, tcp), -EINVAL);
	assert_int_equal(front_listen(front, STDIN_FILENO), -ENOTSOCK);
	assert_int_equal(front_listen(front, -1), -EBADF);
	close(pair[0]);
	close(pair[1]);
	close(datagram);
	close(tcp);
}

static void stopping_answers_what_was_asked(void **state)
{
	int idle = client_served(), asked = client_served(), holding = client_served();
	int partial = client_served(), late, left = client_served(), slow = client_served();
	struct got g = {0};

	(void)state;
	/* its answer says nothing of closing, because nobody thought of it then */
	client_write(slow, REQUEST("/big?1000000"));
	client_write(holding, REQUEST("/hold"));
	client_write(left, REQUEST("/hold"));
	client_write(partial, "GET /now?n=0 HTTP/1.1\r\n");
	WAIT_UNTIL(held_count == 2);
	turn_for(5);
	client_write(asked, REQUEST("/now?n=0") REQUEST("/now?n=1"));
	front_stop(front);
	front_stop(front);
	/* nothing of this needs the loop */
	assert_true(has_ended(idle, &g));
	assert_int_equal(g.length, 0);
	got_free(&g);
	assert_true(has_ended(asked, &g));
	assert_int_equal(g.answers, 1);
	answers_check(&g, check_in_order);
	assert_non_null(strstr(g.bytes, "Connection: close\r\n"));
	got_free(&g);
	/* begun, held and unread ones go on to their end */
	assert_int_equal(front_counters(front)->connections, 4);
	WAIT_UNTIL(has_ended(slow, &g));
	assert_int_equal(g.answers, 1);
	got_free(&g);
	client_write(partial, H "\r\n");
	WAIT_UNTIL(has_ended(partial, &g));
	assert_int_equal(g.answers, 1);
	answers_check(&g, check_in_order);
	assert_non_null(strstr(g.bytes, "Connection: close\r\n"));
	got_free(&g);
	release_one("held");
	WAIT_UNTIL(has_ended(holding, &g));
	assert_non_null(strstr(g.bytes, "Connection: close\r\n"));
	got_free(&g);
	/* nobody is let in any more */
	late = client_new();
	turn_for(20);
	assert_int_equal(front_counters(front)->connections, 1);
	/* and the last one is told to the handler */
	front_free(front);
	front = NULL;
	assert_int_equal(abandoned_count, 1);
	assert_int_equal(held_count, 0);
	assert_true(has_ended(left, &g));
	got_free(&g);
	assert_true(has_ended(late, &g));
	got_free(&g);
	close(idle);
	close(asked);
	close(holding);
	close(partial);
	close(late);
	close(left);
	close(slow);
}

/* What has come in all, as it came. */
static void pull_text(int fd, char *to, size_t size)
{
	size_t length = strlen(to);
	ssize_t n = read(fd, to + length, size - 1 - length);

	if (n > 0)
		to[length + (size_t)n] = '\0';
}

static bool ends_with(int fd, char *to, size_t size, const char *end)
{
	pull_text(fd, to, size);
	return strlen(to) > strlen(end) && !strcmp(to + strlen(to) - strlen(end), end);
}

static void assert_bare(int fd, const char *status_line)
{
	char text[512] = "";

	WAIT_UNTIL(ends_with(fd, text, sizeof(text), "\r\n\r\n"));
	assert_memory_equal(text, status_line, strlen(status_line));
	assert_ptr_equal(strstr(text, "\r\n\r\n"), text + strlen(text) - 4);
	assert_non_null(strstr(text, "\r\nContent-Length: "));
	assert_null(strstr(text, " 0\r\n"));
}

/* Whatever it says, whenever it comes: at once, later, or because the request is no good. */
static void an_answer_to_head_has_no_body(void **state)
{
	struct front_limits limits = limits_default();
	int fd = client_served(), bad = client_served(), late = client_served();
	char text[1024] = "", body[16];

	(void)state;
	client_write(fd, "HEAD /now?n=1 HTTP/1.1\r\n" H "\r\n");
	assert_bare(fd, "HTTP/1.1 200 OK\r\n");
	client_write(fd, "HEAD /nowhere HTTP/1.1\r\n" H "\r\n");
	assert_bare(fd, "HTTP/1.1 404 ");
	client_write(fd, "HEAD /hold HTTP/1.1\r\n" H "\r\n");
	WAIT_UNTIL(held_count == 1);
	release_one("held");
	assert_bare(fd, "HTTP/1.1 200 OK\r\n");
	/* a body is where it belongs: behind the next header */
	client_write(fd, "HEAD /now?n=1 HTTP/1.1\r\n" H "\r\n" REQUEST("/now?n=2"));
	WAIT_UNTIL(ends_with(fd, text, sizeof(text), "\r\n\r\nn=2"));
	assert_null(strstr(text, "n=1"));
	assert_int_equal(ask(fd, REQUEST("/now?n=3"), body, sizeof(body)), 200);
	client_write(bad, "HEAD /now HTTP/1.1\r\n" H "Transfer-Encoding: x\r\n");
	assert_bare(bad, "HTTP/1.1 400 ");
	limits.request_deadline = duration_ms(50);
	front_set_limits(front, &limits);
	client_write(late, "HEAD /now HTTP/1.1\r\n");
	assert_bare(late, "HTTP/1.1 408 ");
	close(fd);
	close(bad);
	close(late);
}

/* Nor where it is turned away before it has asked, be it in pieces. */
static void a_head_that_is_turned_away_gets_no_body(void **state)
{
	static const char *const pieces[] = {"H", "HEAD", "HEAD /now HTTP/1.1\r\n" H "\r\n"};
	struct front_limits limits = limits_default();
	int first = client_served(), over, silent;
	struct got g = {0};
	char body[256];

	(void)state;
	limits.max_connections_per_user = 1;
	front_set_limits(front, &limits);
	for (unsigned i = 0; i < COUNT(pieces); i++) {
		over = client_new();
		WAIT_UNTIL(front_counters(front)->refused_user_limit == i + 1);
		client_write(over, pieces[i]);
		assert_bare(over, "HTTP/1.1 429 ");
		close(over);
	}
	/* who never asks may be anybody, and is told all of it */
	silent = client_new();
	WAIT_UNTIL(has_ended(silent, &g));
	assert_int_equal(answer_at(&g, 0, body, sizeof(body)), 429);
	assert_non_null(strstr(body, "\"too_many_requests\""));
	got_free(&g);
	close(silent);
	close(first);
}

/* In whole seconds that are certainly left; also after a reload. */
static void how_long_it_may_idle_is_told(void **state)
{
	struct front_limits limits = limits_default();
	struct got g = {0};
	int fd = client_served();

	(void)state;
	client_write(fd, REQUEST("/now"));
	WAIT_UNTIL(has_answers(fd, &g, 1));
	assert_non_null(strstr(g.bytes, "\r\nKeep-Alive: timeout=600\r\n"));
	limits.idle_timeout = duration_ms(1999);
	front_set_limits(front, &limits);
	client_write(fd, REQUEST("/hold"));
	WAIT_UNTIL(held_count == 1);
	release_one("held");
	WAIT_UNTIL(has_answers(fd, &g, 2));
	assert_non_null(strstr(g.bytes, "\r\nKeep-Alive: timeout=1\r\n"));
	got_free(&g);
	close(fd);
}

static void idle_connections_are_small(void **state)
{
	enum { MANY = 2000 };
	static int fds[MANY];
	struct rlimit before, raised;
	size_t used_before, used;

	(void)state;
	if (SANITIZED) {
		print_message("the address sanitizer has its own heap\n");
		skip();
	}
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	raised = before;
	raised.rlim_cur = raised.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &raised), 0);
	if (raised.rlim_cur < 2 * MANY + 100) {
		print_message("needs %d descriptors\n", 2 * MANY + 100);
		skip();
	}
	used_before = mallinfo2().uordblks;
	for (unsigned i = 0; i < MANY; i++) {
		fds[i] = client_new();
		turn();
	}
	WAIT_UNTIL(front_counters(front)->accepted == MANY);
	for (unsigned i = 0; i < MANY; i++)
		assert_answers_now(fds[i]);
	used = mallinfo2().uordblks - used_before;
	print_message("# %zu bytes of heap per idle connection, libevent's share included\n",
		used / MANY);
	assert_in_range(used / MANY, 1, 320);
	for (unsigned i = 0; i < MANY; i++)
		close(fds[i]);
	WAIT_UNTIL(front_counters(front)->connections == 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, front_setup, front_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(requests_are_answered),
		TEST(who_comes_alone_is_watched),
		TEST(of_a_crowd_that_leaves_few_are_watched),
		TEST(whoever_else_comes_a_second_request_is_answered),
		TEST(whoever_else_comes_nobody_waits_unwatched),
		TEST(all_that_comes_with_a_connection_is_answered),
		TEST(a_crowd_that_stays_is_served),
		TEST(what_a_large_crowd_leaves_goes_back),
		TEST(steady_state_is_one_read_and_one_write),
		TEST(pipelined_requests_cost_one_read_and_one_write),
		TEST(a_byte_at_a_time_is_the_same),
		TEST(connections_end_when_agreed),
		TEST(bad_requests_get_to_read_why),
		TEST(refused_ones_do_not_stay),
		TEST(slow_requests_are_cut),
		TEST(each_request_has_its_own_deadline),
		TEST(idle_ones_are_closed_and_then_nothing_ticks),
		TEST(reload_cuts_nobody_at_once),
		TEST(limits_turn_away),
		TEST(turned_away_before_the_request),
		TEST(descriptors_run_out_and_come_back),
		TEST(no_accept_error_ends_anything),
		TEST(only_listening_unix_sockets_are_taken),
		TEST(stopping_answers_what_was_asked),
		TEST(an_answer_to_head_has_no_body),
		TEST(a_head_that_is_turned_away_gets_no_body),
		TEST(how_long_it_may_idle_is_told),
		TEST(idle_connections_are_small),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("front", tests, NULL, NULL);
}
