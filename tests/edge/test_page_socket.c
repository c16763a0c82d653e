/* The page socket: one line each way, from whoever and however it comes. */
#include "page_stub.h"

#define TEST_PAGE test_page
struct connection;
static int test_page(
	void *context, struct connection *c, const char *profile, const struct page **ret_page);

#include "front_fixture.h"

#include <sys/resource.h>

static int sendmsg_error; /* while not 0, what it fails with */

ssize_t failing_sendmsg(int fd, const struct msghdr *message, int flags) __asm__("sendmsg");

ssize_t failing_sendmsg(int fd, const struct msghdr *message, int flags)
{
	if (sendmsg_error) {
		errno = sendmsg_error;
		return -1;
	}
	return syscall(SYS_sendmsg, fd, message, flags);
}

static struct page *shared;
static int page_answer;
static char page_profile[64];
static bool of_others; /* pages are for others, too */
static unsigned pages_asked;
static char page_path[96];

static int test_page(
	void *context, struct connection *c, const char *profile, const struct page **ret_page)
{
	assert_ptr_equal(context, &front);
	if (!of_others)
		assert_int_equal(connection_peer(c)->uid, getuid());
	pages_asked++;
	snprintf(page_profile, sizeof(page_profile), "%s", profile);
	*ret_page = shared;
	return page_answer;
}

static int set_up(void **state)
{
	char problem[256];
	int fd;

	if (front_setup(state) < 0)
		return -1;
	shared = stub_page_new();
	page_answer = 200;
	pages_asked = 0;
	of_others = false;
	sendmsg_error = 0;
	snprintf(page_path, sizeof(page_path), "%s/p", directory);
	if (listener_bind(page_path, 0666, (gid_t)-1, &fd, problem, sizeof(problem)) < 0)
		return -1;
	/* from here on clients of the fixture come to the page socket */
	unlink(path);
	strcpy(path, page_path);
	return front_listen_pages(front, fd);
}

static int tear_down(void **state)
{
	page_free(shared);
	return front_teardown(state);
}

struct http_response {
	char text[16];
	size_t length;
	int fd;
	bool ended;
};

static bool pull(int fd, struct http_response *r)
{
	char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
	struct iovec io = {r->text + r->length, sizeof(r->text) - r->length - 1};
	struct msghdr m = {.msg_iov = &io,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n > 0 && CMSG_FIRSTHDR(&m))
		memcpy(&r->fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
	if (n > 0)
		r->length += (size_t)n;
	r->ended = n == 0 || (n < 0 && errno != EAGAIN);
	return r->length >= 4 || r->ended;
}

static struct http_response await(int fd)
{
	struct http_response r = {.fd = -1};

	WAIT_UNTIL(pull(fd, &r));
	return r;
}

static bool ended(int fd)
{
	struct http_response r = {.fd = -1};

	pull(fd, &r);
	assert_int_equal(r.length, 0);
	return r.ended;
}

static int attached(void)
{
	int fd = client_served();
	struct http_response r;

	client_write(fd, "page 1 default\n");
	r = await(fd);
	assert_string_equal(r.text, "200\n");
	assert_true(r.fd >= 0);
	close(r.fd);
	return fd;
}

static void the_page_is_handed_over_and_the_connection_stays(void **state)
{
	int fd = client_served();
	struct http_response r;
	struct stat a, b;

	(void)state;
	client_write(fd, "page 1 a-b_9\n");
	r = await(fd);
	assert_string_equal(r.text, "200\n");
	assert_string_equal(page_profile, "a-b_9");
	assert_int_equal(fstat(r.fd, &a), 0);
	assert_int_equal(fstat(page_fd(shared), &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	assert_int_equal(fcntl(r.fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	close(r.fd);
	turn_for(50);
	assert_false(ended(fd));
	assert_int_equal(front_counters(front)->connections, 1);
	/* no deadline holds for it, and nothing ticks */
	close(fd);
	WAIT_UNTIL(front_counters(front)->connections == 0);
	assert_int_equal(abandoned_count, 0);
}

static void refusals_are_told_and_ended(void **state)
{
	static const int answers[] = {403, 404, 503};

	(void)state;
	for (size_t i = 0; i < COUNT(answers); i++) {
		int fd = client_served();
		char expected[8];
		struct http_response r;

		page_answer = answers[i];
		client_write(fd, "page 1 default\n");
		r = await(fd);
		snprintf(expected, sizeof(expected), "%d\n", answers[i]);
		assert_string_equal(r.text, expected);
		assert_int_equal(r.fd, -1);
		WAIT_UNTIL(ended(fd));
		close(fd);
	}
	WAIT_UNTIL(front_counters(front)->connections == 0);
}

static void what_is_not_the_line_is_refused(void **state)
{
	static const struct {
		const char *bytes, *answer;
	} bad[] = {
		{"\n", "400\n"},
		{"page\n", "400\n"},
		{"page \n", "400\n"},
		{"page 1\n", "400\n"},
		{"page 1 \n", "400\n"},
		{"page 1  default\n", "400\n"},
		{"page 1 default \n", "400\n"},
		{"page 1 default\r\n", "400\n"},
		{" page 1 default\n", "400\n"},
		{"Page 1 default\n", "400\n"},
		{"page 01 default\n", "400\n"},
		{"page +1 default\n", "400\n"},
		{"page -1 default\n", "400\n"},
		{"page 1x default\n", "400\n"},
		{"page 0 default\n", "400\n"},
		{"page 1 Default\n", "400\n"},
		{"page 1 ../x\n", "400\n"},
		{"page 1 default\nx", "400\n"},
		{"page 1 default\npage 1 default\n", "400\n"},
		{"page 2 default\n", "505\n"},
		{"page 999 default\n", "505\n"},
		{"page 1000 default\n", "400\n"},
		{"page 1 0123456789012345678901234567890123456789012345678\n", "400\n"},
		{"GET /v1/token HTTP/1.1\r\nHost: x\r\n\r\n", "400\n"},
		{"page 1 "
		 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
			"400\n"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		int fd = client_served();
		struct http_response r;

		client_write(fd, bad[i].bytes);
		r = await(fd);
		if (strcmp(r.text, bad[i].answer) != 0)
			fail_msg("case %zu: %s", i, r.text);
		assert_int_equal(r.fd, -1);
		close(fd);
	}
	assert_int_equal(pages_asked, 0);
	WAIT_UNTIL(front_counters(front)->connections == 0);
}

static void a_nul_is_no_letter(void **state)
{
	int fd = client_served();
	struct http_response r;

	(void)state;
	assert_int_equal(write(fd, "page 1 a\0b\n", 11), 11);
	r = await(fd);
	assert_string_equal(r.text, "400\n");
	close(fd);
}

static void in_pieces_it_is_the_same(void **state)
{
	static const char line[] = "page 1 default\n";
	int fd = client_served();
	struct http_response r;

	(void)state;
	for (size_t i = 0; i < sizeof(line) - 1; i++) {
		assert_int_equal(write(fd, line + i, 1), 1);
		turn_for(2);
	}
	r = await(fd);
	assert_string_equal(r.text, "200\n");
	close(r.fd);
	close(fd);
}

static void half_a_line_is_told(void **state)
{
	int fd = client_served();
	struct http_response r;

	(void)state;
	client_write(fd, "page 1 defa");
	turn_for(10);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	r = await(fd);
	assert_string_equal(r.text, "400\n");
	WAIT_UNTIL(front_counters(front)->connections == 0);
	close(fd);
}

/* Silent from the start, or byte by byte: cut at the deadline of a request. */
static void slow_ones_are_cut(void **state)
{
	struct front_limits limits = limits_default();
	int silent, slow, with_page;
	uint64_t begin;
	struct http_response r;

	(void)state;
	limits.request_deadline = duration_ms(300);
	limits.idle_timeout = duration_ms(300);
	front_set_limits(front, &limits);
	with_page = attached();
	silent = client_served();
	slow = client_served();
	begin = now_ms();
	while (front_counters(front)->connections > 1) {
		if (write(slow, "p", 1) < 0)
			assert_true(errno == EPIPE || errno == ECONNRESET);
		turn_for(10);
		assert_true(now_ms() < begin + 10000);
	}
	assert_true(now_ms() - begin >= 290);
	r = await(silent);
	assert_string_equal(r.text, "408\n");
	/* who has a page is not meant */
	assert_false(ended(with_page));
	close(silent);
	close(slow);
	close(with_page);
}

static void whoever_has_a_page_has_nothing_more_to_say(void **state)
{
	int fd = attached();

	(void)state;
	client_write(fd, "page 1 default\n");
	WAIT_UNTIL(ended(fd)); /* without a word */
	assert_int_equal(front_counters(front)->connections, 0);
	assert_int_equal(pages_asked, 1);
	close(fd);
	fd = attached();
	shutdown(fd, SHUT_WR);
	WAIT_UNTIL(front_counters(front)->connections == 0);
	close(fd);
}

/* The kernel counts a descriptor against us until it is taken. */
static void a_page_that_is_not_taken_keeps_its_connection(void **state)
{
	enum { SAYS_MORE = 1, SHUTS = 2, SHUTS_BOTH = 4, ALL = 8 };

	(void)state;
	for (unsigned way = 0; way < 2 * ALL; way++) {
		bool takes = way & ALL;
		int fd = client_served();
		struct http_response r = {.fd = -1};
		char words[8];

		client_write(fd, "page 1 default\n");
		WAIT_UNTIL(recv(fd, words, sizeof(words), MSG_PEEK | MSG_DONTWAIT) == 4);
		if (way & SAYS_MORE)
			client_write(fd, "page 1 default\n");
		if (way & SHUTS)
			assert_int_equal(shutdown(fd, SHUT_WR), 0);
		if (way & SHUTS_BOTH)
			assert_int_equal(shutdown(fd, SHUT_RDWR), 0);
		turn_for(20);
		memset(&calls, 0, sizeof(calls));
		turn_for(30);
		assert_in_range(calls.epoll_wait, 1, 60);
		assert_int_equal(calls.recv + calls.epoll_ctl, 0);
		assert_int_equal(front_counters(front)->connections, 1);
		if (takes) {
			pull(fd, &r);
			assert_string_equal(r.text, "200\n");
			close(r.fd);
		}
		if (takes && way == ALL) {
			turn_for(20);
			assert_int_equal(front_counters(front)->connections, 1);
		} else if (takes) {
			WAIT_UNTIL(front_counters(front)->connections == 0);
		}
		close(fd);
		WAIT_UNTIL(front_counters(front)->connections == 0);
	}
}

/* "200" or "503"; what is said lies there. */
static int status_without_taking(int fd)
{
	char text[4];

	WAIT_UNTIL(recv(fd, text, sizeof(text), MSG_PEEK | MSG_DONTWAIT) == sizeof(text));
	return atoi(text);
}

static int asked_by(uid_t uid)
{
	int fd;

	pretended_uid = uid;
	fd = client_served();
	pretended_uid = 0;
	client_write(fd, "page 1 default\n");
	return fd;
}

/* Of one user and of all there are so many pages at most that nobody takes: their connections give
 * way to nobody, and the rest does. */
static void pages_that_are_not_taken_are_few(void **state)
{
	enum { MOST = 126, EACH = 32, OF_ALL = MOST / 2 };
	const struct front_counters *n = front_counters(front);
	struct front_limits limits = limits_default();
	int lying[OF_ALL], refused, silent[MOST], newcomers[10], fd;
	unsigned count = 0;

	(void)state;
	of_others = true;
	limits.max_connections = MOST;
	front_set_limits(front, &limits);
	for (unsigned i = 0; i < OF_ALL; i++) {
		lying[i] = asked_by(100000 + i / EACH);
		assert_int_equal(status_without_taking(lying[i]), 200);
		if (i != EACH - 1)
			continue;
		refused = asked_by(100000);
		assert_int_equal(status_without_taking(refused), 503);
		close(refused);
	}
	refused = asked_by(100007);
	assert_int_equal(status_without_taking(refused), 503);
	close(refused);
	WAIT_UNTIL(n->connections == OF_ALL);
	pretended_uid = 200000;
	while (n->connections < MOST - 2)
		silent[count++] = client_served();
	pretended_uid = 0;
	for (unsigned i = 0; i < COUNT(newcomers); i++) {
		newcomers[i] = asked_by(300000 + i);
		assert_int_equal(status_without_taking(newcomers[i]), 503);
	}
	assert_true(n->gave_way > 0);
	for (unsigned i = 0; i < OF_ALL; i++)
		assert_int_equal(status_without_taking(lying[i]), 200);
	/* and once it is taken, there is room for another */
	close(await(lying[0]).fd);
	turn_for(60);
	fd = asked_by(100007);
	assert_int_equal(status_without_taking(fd), 200);
	close(fd);
	for (unsigned i = 0; i < OF_ALL; i++)
		close(lying[i]);
	for (unsigned i = 0; i < count; i++)
		close(silent[i]);
	for (unsigned i = 0; i < COUNT(newcomers); i++)
		close(newcomers[i]);
	WAIT_UNTIL(n->connections == 0);
}

/* However many connections there may be, 1,500 pages are in flight at most; and the fewer may be
 * added, the sooner whoever has most is refused. */
static void who_leaves_most_is_refused_first(void **state)
{
	enum { FIRST = 500, SECOND = 333 };
	struct front_limits limits = limits_default();
	struct rlimit before, raised;
	int lying[FIRST + SECOND], fd;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	raised = before;
	raised.rlim_cur = raised.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &raised), 0);
	if (raised.rlim_cur < 2 * COUNT(lying) + 100)
		skip();
	of_others = true;
	limits.max_connections = limits.max_connections_per_user = 16384;
	front_set_limits(front, &limits);
	for (unsigned i = 0; i < COUNT(lying); i++) {
		uid_t uid = 100000 + (i >= FIRST);

		lying[i] = asked_by(uid);
		assert_int_equal(status_without_taking(lying[i]), 200);
		if (i != FIRST - 1 && i != COUNT(lying) - 1)
			continue;
		fd = asked_by(uid);
		assert_int_equal(status_without_taking(fd), 503);
		close(fd);
	}
	fd = asked_by(100002);
	assert_int_equal(status_without_taking(fd), 200);
	close(fd);
	for (unsigned i = 0; i < COUNT(lying); i++)
		close(lying[i]);
	WAIT_UNTIL(front_counters(front)->connections == 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void when_no_page_can_be_sent_both_are_told(void **state)
{
	static const struct {
		int error;
		bool told;
	} cases[] = {{ETOOMANYREFS, true}, {ENOMEM, true}, {EPIPE, false}, {ECONNRESET, false}};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		int fd = client_served();
		struct http_response r;

		sendmsg_error = cases[i].error;
		page_error = 0;
		client_write(fd, "page 1 default\n");
		r = await(fd);
		assert_string_equal(r.text, "503\n");
		assert_int_equal(page_error, cases[i].told ? -cases[i].error : 0);
		close(fd);
	}
}

static void the_limits_are_those_of_all_connections(void **state)
{
	struct front_limits limits = limits_default();
	int first, second;
	struct http_response r;

	(void)state;
	limits.max_connections_per_user = 1;
	front_set_limits(front, &limits);
	first = attached();
	second = client_new();
	r = await(second);
	assert_string_equal(r.text, "429\n");
	close(second);
	limits.max_connections = 1;
	front_set_limits(front, &limits);
	second = client_new();
	r = await(second);
	assert_string_equal(r.text, "503\n");
	close(second);
	close(first);
}

static void at_a_stop_the_readers_are_told(void **state)
{
	int fd = attached();

	(void)state;
	front_stop(front);
	turn();
	front_free(front);
	front = NULL;
	WAIT_UNTIL(ended(fd));
	close(fd);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(the_page_is_handed_over_and_the_connection_stays),
		CASE(refusals_are_told_and_ended),
		CASE(what_is_not_the_line_is_refused),
		CASE(a_nul_is_no_letter),
		CASE(in_pieces_it_is_the_same),
		CASE(half_a_line_is_told),
		CASE(slow_ones_are_cut),
		CASE(whoever_has_a_page_has_nothing_more_to_say),
		CASE(a_page_that_is_not_taken_keeps_its_connection),
		CASE(pages_that_are_not_taken_are_few),
		CASE(who_leaves_most_is_refused_first),
		CASE(when_no_page_can_be_sent_both_are_told),
		CASE(the_limits_are_those_of_all_connections),
		CASE(at_a_stop_the_readers_are_told),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
