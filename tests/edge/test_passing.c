/* Descriptors passed to the front that would hold up whoever closes them, by each way in which they
 * can come to be closed: where the kernel refuses them, and where it does not know how to. */
#include "front_fixture.h"

#include <netinet/in.h>

/* How long the close of one takes that nothing wakes, and what the loop may take in all: much more
 * than a turn of it, for machines with other things to do. */
#define LINGER_S 20
#define STALL_MS 1000

enum way {
	PLAIN,
	URGENT, /* with a byte out of band, which a plain read drops unseen */
	NESTED, /* in the queue of a socket that is passed, in that of another one */
	MANY,
	WAYS,
};

static uint64_t longest_turn_ms;
static int unread[256]; /* the other ends, which read nothing */
static unsigned unread_count;

static void timed_turn(void)
{
	uint64_t begun = now_ms(), took;

	turn_waiting(2);
	took = now_ms() - begun;
	if (took > longest_turn_ms)
		longest_turn_ms = took;
}

#define TURN_UNTIL(condition) \
	do { \
		uint64_t give_up = now_ms() + 10000; \
		while (!(condition)) { \
			if (now_ms() > give_up) \
				fail_msg("never came true: %s", #condition); \
			timed_turn(); \
		} \
	} while (0)

/* A TCP socket that lingers over bytes which nobody reads. */
static int lingering_new(void)
{
	static const char bytes[4096];
	const struct linger linger = {.l_onoff = 1, .l_linger = LINGER_S};
	const int small = 2048;
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	int listening = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(unread_count < COUNT(unread));
	assert_return_code(setsockopt(listening, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	assert_return_code(bind(listening, (struct sockaddr *)&address, length), 0);
	assert_return_code(listen(listening, 1), 0);
	assert_return_code(getsockname(listening, (struct sockaddr *)&address, &length), 0);
	assert_return_code(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	assert_return_code(connect(fd, (struct sockaddr *)&address, length), 0);
	unread[unread_count] = accept(listening, NULL, NULL);
	assert_true(unread[unread_count++] >= 0);
	close(listening);
	while (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	assert_return_code(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	return fd;
}

/* Consumes `fd`. 0 or what went wrong. */
static int send_descriptor(int socket, int fd, int flags)
{
	char byte = 'G', control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec part = {.iov_base = &byte, .iov_len = 1};
	struct msghdr m = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	int r;

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	r = sendmsg(socket, &m, flags | MSG_NOSIGNAL) < 0 ? errno : 0;
	if (r) {
		const struct linger none = {0};

		/* now it is ours to close, and this thread's */
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	}
	close(fd);
	return r;
}

static int nested(int fd)
{
	int pair[2];

	assert_return_code(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(send_descriptor(pair[0], fd, 0), 0);
	close(pair[0]);
	return pair[1];
}

static int pass(int client, enum way way)
{
	switch (way) {
	case URGENT:
		return send_descriptor(client, lingering_new(), MSG_OOB);
	case NESTED: {
		/* what cannot be passed is not closed by this thread either */
		if (!old_kernel)
			return send_descriptor(client, open("/dev/null", O_RDONLY), 0);
		return send_descriptor(client, nested(nested(lingering_new())), 0);
	}
	case MANY:
		for (unsigned i = 0; i < 9; i++)
			if (send_descriptor(client, lingering_new(), 0))
				return EPERM;
		return send_descriptor(client, lingering_new(), 0);
	default:
		return send_descriptor(client, lingering_new(), 0);
	}
}

static int set_up_old(void **state)
{
	old_kernel = true;
	return front_setup(state);
}

static int set_up(void **state)
{
	old_kernel = false;
	longest_turn_ms = 0;
	return front_setup(state);
}

/* Also closes what is still connected, in the middle of whatever it was. */
static int tear_down(void **state)
{
	uint64_t begun = now_ms();
	int r = front_teardown(state);

	if (now_ms() - begun > 2500)
		r = -1;
	while (unread_count)
		close(unread[--unread_count]);
	longest_turn_ms = 0;
	return r;
}

static bool kernel_refuses(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), off = 0;
	bool can = setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof(off)) == 0;

	close(fd);
	return can;
}

static void assert_no_stall(void)
{
	printf("# the longest turn of the loop took %llu ms\n",
		(unsigned long long)longest_turn_ms);
	assert_in_range(longest_turn_ms, 0, STALL_MS);
}

static void assert_refused(int client)
{
	struct got got = {0};
	char body[256];

	TURN_UNTIL(has_ended(client, &got));
	assert_int_equal(got.answers, 1);
	assert_int_equal(answer_at(&got, 0, body, sizeof(body)), 400);
	assert_non_null(strstr(body, "descriptors"));
	got_free(&got);
	close(client);
}

/* A kernel that knows how to refuse them tells the sender; whose connection goes on. */
static void the_kernel_refuses(void **state)
{
	int client = client_served();

	(void)state;
	if (!kernel_refuses())
		skip();
	for (enum way way = 0; way < WAYS; way++)
		assert_int_equal(pass(client, way), EPERM);
	assert_answers_now(client);
	assert_int_equal(front_counters(front)->descriptors_refused, 0);
	close(client);
	/* also for one that waits to be accepted */
	client = client_new();
	assert_int_equal(pass(client, PLAIN), EPERM);
	assert_answers_now(client);
	close(client);
	assert_no_stall();
}

static void after_accept(void **state)
{
	int other = client_served();

	(void)state;
	for (enum way way = 0; way < WAYS; way++) {
		int client = client_served();

		assert_answers_now(client);
		assert_int_equal(pass(client, way), 0);
		assert_refused(client);
		assert_answers_now(other);
	}
	assert_int_equal(front_counters(front)->descriptors_refused, WAYS);
	assert_int_equal(refused_count, WAYS);
	assert_int_equal(front_counters(front)->connections, 1);
	assert_no_stall();
	close(other);
}

static void before_accept(void **state)
{
	(void)state;
	for (enum way way = 0; way < WAYS; way++) {
		int client = client_new();

		assert_int_equal(pass(client, way), 0);
		assert_refused(client);
	}
	assert_no_stall();
}

/* Connections that were queued while nobody served a socket that a service manager holds: no kernel
 * refuses what is in them. */
static void before_we_listened(void **state)
{
	int fd, clients[WAYS], later;
	char problem[256];

	(void)state;
	strcat(path, "2");
	assert_int_equal(listener_bind(path, 0666, (gid_t)-1, &fd, problem, sizeof(problem)), 0);
	for (enum way way = 0; way < WAYS; way++) {
		clients[way] = client_new();
		assert_int_equal(old_kernel || way != NESTED ? pass(clients[way], way)
							     : send_descriptor(clients[way],
								       nested(lingering_new()), 0),
			0);
	}
	assert_int_equal(front_listen(front, fd), 0);
	later = client_new();
	for (enum way way = 0; way < WAYS; way++)
		assert_refused(clients[way]);
	assert_answers_now(later);
	if (!old_kernel && kernel_refuses())
		assert_int_equal(pass(later, PLAIN), EPERM);
	close(later);
	unlink(path);
	path[strlen(path) - 1] = '\0';
	assert_no_stall();
}

/* Behind a whole request, behind one that is held, and behind replies that are not read. */
static void behind_requests(void **state)
{
	struct front_limits limits = limits_default();
	int asking = client_served(), holding = client_served(), deaf = client_served();

	(void)state;
	limits.request_deadline = duration_ms(300);
	front_set_limits(front, &limits);
	client_write(holding, REQUEST("/hold"));
	client_write(deaf, REQUEST("/big?4000000"));
	TURN_UNTIL(asked_count == 2);
	assert_int_equal(pass(holding, PLAIN), 0);
	assert_int_equal(pass(deaf, PLAIN), 0);
	client_write(asking, REQUEST("/now?it"));
	assert_int_equal(pass(asking, PLAIN), 0);
	assert_refused(asking);
	TURN_UNTIL(front_counters(front)->connections == 0);
	assert_int_equal(abandoned_count, 1);
	assert_int_equal(front_counters(front)->deadline_cut, 1);
	assert_no_stall();
	close(holding);
	close(deaf);
}

/* Over the limit for connections: never read, but to let it go. */
static void turned_away(void **state)
{
	struct front_limits limits = limits_default();
	int first = client_served(), clients[60];
	struct got got = {0};

	(void)state;
	limits.max_connections_per_user = 1;
	front_set_limits(front, &limits);
	for (unsigned i = 0; i < COUNT(clients); i++) {
		clients[i] = client_new();
		assert_int_equal(pass(clients[i], i % 2 ? PLAIN : URGENT), 0);
	}
	for (unsigned i = 0; i < COUNT(clients); i++) {
		TURN_UNTIL(has_ended(clients[i], &got));
		got_free(&got);
		close(clients[i]);
	}
	assert_answers_now(first);
	close(first);
	assert_no_stall();
}

/* Closed by the end of the front: see tear_down. */
static void unread_at_the_end(void **state)
{
	int clients[10];

	(void)state;
	for (unsigned i = 0; i < COUNT(clients); i++) {
		clients[i] = client_served();
		assert_int_equal(pass(clients[i], PLAIN), 0);
		close(clients[i]);
	}
}

/* One who does nothing else does not keep others waiting for theirs to be closed. */
static void closing_keeps_up(void **state)
{
	uint64_t begun = now_ms();

	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		int client = client_new();

		assert_int_equal(pass(client, MANY), 0);
		assert_refused(client);
		while (unread_count > 100)
			close(unread[--unread_count]);
	}
	/* unwoken, the first of them would have taken all of it */
	assert_in_range(now_ms() - begun, 0, LINGER_S * 1000 / 2);
	assert_no_stall();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_kernel_refuses, set_up, tear_down),
		cmocka_unit_test_setup_teardown(before_we_listened, set_up, tear_down),
		cmocka_unit_test_setup_teardown(before_we_listened, set_up_old, tear_down),
		cmocka_unit_test_setup_teardown(after_accept, set_up_old, tear_down),
		cmocka_unit_test_setup_teardown(before_accept, set_up_old, tear_down),
		cmocka_unit_test_setup_teardown(behind_requests, set_up_old, tear_down),
		cmocka_unit_test_setup_teardown(turned_away, set_up_old, tear_down),
		cmocka_unit_test_setup_teardown(unread_at_the_end, set_up_old, tear_down),
		cmocka_unit_test_setup_teardown(closing_keeps_up, set_up_old, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
