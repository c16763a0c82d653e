/* A front with a handler of its own and clients, all in one thread: the test turns the loop, so
 * that what happens between two turns is exactly known.
 *
 * What the front asks of the kernel is counted, and can be made to fail, by functions of the same
 * name in the test program; their own declarations go by other names, because the system's headers
 * may define fortified ones. */
#ifndef TESTS_EDGE_FRONT_FIXTURE_H
#define TESTS_EDGE_FRONT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/access.h"
#include "core/http_request.h"
#include "core/reply.h"
#include "front/closer.h"
#include "front/connection_hold.h"
#include "front/connection_peer.h"
#include "front/front.h"
#include "front/listener.h"
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof(*(a)))
#define H "Host: t\r\n"
#define REQUEST(path) "GET " path " HTTP/1.1\r\n" H "\r\n"
#define HELD_MOST 4096
/* Headers are older than kernels. */
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif
/* What is late by half a second at most, on a machine that does nothing else. */
#define SLACK_MS 2500

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static struct {
	unsigned recv, send, accept, epoll_wait, epoll_ctl, allocations;
} calls;

/* While not 0, calls fail with it. */
static int accept_error;
static int getsockopt_error;
static int getsockopt_failing; /* the option */
static unsigned pidfds_asked_for;
static uid_t pretended_uid; /* of clients that the front accepts, while not 0 */
static bool old_kernel;     /* does not know SO_PASSRIGHTS */

ssize_t counted_recv(int fd, void *bytes, size_t size, int flags) __asm__("recv");
ssize_t counted_recv_chk(int fd, void *bytes, size_t size, size_t room, int flags) __asm__(
	"__recv_chk");
ssize_t counted_send(int fd, const void *bytes, size_t size, int flags) __asm__("send");
int counted_accept(int fd, struct sockaddr *a, socklen_t *length, int flags) __asm__("accept4");
int failing_getsockopt(int fd, int level, int option, void *value, socklen_t *length) __asm__(
	"getsockopt");
int refusing_setsockopt(int fd, int level, int option, const void *value, socklen_t length) __asm__(
	"setsockopt");
int counted_epoll_wait(int fd, void *events, int count, int timeout) __asm__("epoll_wait");
int counted_epoll_ctl(int fd, int operation, int target, void *event) __asm__("epoll_ctl");

ssize_t counted_recv(int fd, void *bytes, size_t size, int flags)
{
	calls.recv++;
	return syscall(SYS_recvfrom, fd, bytes, size, flags, NULL, NULL);
}

ssize_t counted_recv_chk(int fd, void *bytes, size_t size, size_t room, int flags)
{
	if (size > room)
		abort();
	return counted_recv(fd, bytes, size, flags);
}

ssize_t counted_send(int fd, const void *bytes, size_t size, int flags)
{
	calls.send++;
	return syscall(SYS_sendto, fd, bytes, size, flags, NULL, 0);
}

int counted_accept(int fd, struct sockaddr *a, socklen_t *length, int flags)
{
	calls.accept++;
	if (accept_error) {
		errno = accept_error;
		return -1;
	}
	return (int)syscall(SYS_accept4, fd, a, length, flags);
}

int failing_getsockopt(int fd, int level, int option, void *value, socklen_t *length)
{
	pidfds_asked_for += level == SOL_SOCKET && option == 77; /* SO_PEERPIDFD */
	if (getsockopt_error && level == SOL_SOCKET && option == getsockopt_failing) {
		errno = getsockopt_error;
		return -1;
	}
	int r = (int)syscall(SYS_getsockopt, fd, level, option, value, length);

	if (r == 0 && pretended_uid && level == SOL_SOCKET && option == SO_PEERCRED)
		((struct ucred *)value)->uid = pretended_uid;
	return r;
}

int refusing_setsockopt(int fd, int level, int option, const void *value, socklen_t length)
{
	if (old_kernel && level == SOL_SOCKET && option == SO_PASSRIGHTS) {
		errno = ENOPROTOOPT;
		return -1;
	}
	return (int)syscall(SYS_setsockopt, fd, level, option, value, length);
}

int counted_epoll_wait(int fd, void *events, int count, int timeout)
{
	calls.epoll_wait++;
	return (int)syscall(SYS_epoll_pwait, fd, events, count, timeout, NULL, 8);
}

int counted_epoll_ctl(int fd, int operation, int target, void *event)
{
	calls.epoll_ctl++;
	return (int)syscall(SYS_epoll_ctl, fd, operation, target, event);
}

#if !SANITIZED
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *p, size_t size);
void *counted_malloc(size_t size) __asm__("malloc");
void *counted_calloc(size_t count, size_t size) __asm__("calloc");
void *counted_realloc(void *p, size_t size) __asm__("realloc");

void *counted_malloc(size_t size)
{
	calls.allocations++;
	return __libc_malloc(size);
}

void *counted_calloc(size_t count, size_t size)
{
	calls.allocations++;
	return __libc_calloc(count, size);
}

void *counted_realloc(void *p, size_t size)
{
	calls.allocations++;
	return __libc_realloc(p, size);
}
#endif

static struct event_base *base;
static struct event *guard; /* ends a turn in which nothing happens */
static struct front *front;
static char directory[64], path[80];

/* The handler's world. */
static struct connection *held[HELD_MOST];
static unsigned held_count, abandoned_count, asked_count, refused_count;
static char last_query[256];
static const char filling[4096] = "what a large answer is made of";

static int answer_with(struct reply *r, const char *text)
{
	reply_begin(r, 200, REPLY_TEXT, "");
	buffer_put_text(r->out, text);
	reply_end(r);
	return 200;
}

/* Answers the oldest of the held ones. */
static void release_one(const char *text)
{
	struct connection *c = held[0];
	struct reply reply;

	connection_reply_begin(c, &reply);
	assert_ptr_equal(connection_hold(c), c);
	memmove(held, held + 1, --held_count * sizeof(*held));
	connection_reply_end(c, answer_with(&reply, text));
}

static void put_peer(struct reply *r, const struct peer *p)
{
	reply_begin(r, 200, REPLY_TEXT, "");
	buffer_printf(r->out, "uid %ld gid %ld groups", p->uid == (uid_t)-1 ? -1L : (long)p->uid,
		p->gid == (gid_t)-1 ? -1L : (long)p->gid);
	for (size_t i = 0; i < p->group_count; i++)
		buffer_printf(r->out, " %u", p->groups[i]);
	reply_end(r);
}

static bool path_is(const struct http_request *q, const char *text)
{
	return q->path.length == strlen(text) && !memcmp(q->path.at, text, q->path.length);
}

static int test_request(
	void *context, struct connection *c, const struct http_request *q, struct reply *r)
{
	assert_ptr_equal(context, &front);
	asked_count++;
	snprintf(last_query, sizeof(last_query), "%.*s", (int)q->query.length, q->query.at);
	if (path_is(q, "/hold")) {
		assert_true(held_count < HELD_MOST);
		assert_null(connection_hold(c));
		connection_set_hold(c, c);
		held[held_count++] = c;
		return FRONT_HELD;
	}
	if (path_is(q, "/release")) {
		/* answers others from within a request */
		while (held_count)
			release_one("released");
	} else if (path_is(q, "/break")) {
		event_base_loopbreak(base);
	} else if (path_is(q, "/big")) {
		reply_begin(r, 200, REPLY_TEXT, "");
		for (size_t n = strtoul(last_query, NULL, 10), part; n; n -= part) {
			part = n < sizeof(filling) ? n : sizeof(filling);
			buffer_put(r->out, filling, part);
		}
		reply_end(r);
		return 200;
	} else if (path_is(q, "/peer")) {
		put_peer(r, connection_peer_in_groups(c));
		return 200;
	} else if (path_is(q, "/unit")) {
		const char *unit = connection_unit(c);

		/* as where it is about many profiles */
		for (unsigned long n = strtoul(last_query, NULL, 10); n; n--)
			unit = connection_unit(c);
		return answer_with(r, unit ? unit : "none");
	} else if (!path_is(q, "/now")) {
		return reply_error(r, 404, "not_found", "no such route", -1);
	}
	return answer_with(r, last_query);
}

static void test_abandoned(void *context, struct connection *c)
{
	assert_ptr_equal(context, &front);
	assert_ptr_equal(connection_hold(c), c);
	abandoned_count++;
	for (unsigned i = 0; i < held_count; i++) {
		if (held[i] == c) {
			memmove(held + i, held + i + 1, (--held_count - i) * sizeof(*held));
			return;
		}
	}
	fail_msg("abandoned without having been held");
}

/* Who tests the page socket has a function for it. */
#ifndef TEST_PAGE
#define TEST_PAGE NULL
#endif

static void test_descriptor_refused(void *context, const struct connection *c)
{
	assert_ptr_equal(context, &front);
	assert_non_null(connection_peer(c));
	refused_count++;
}

static int page_error; /* the latest that was told */

static void test_page_not_sent(void *context, const struct connection *c, int error)
{
	assert_ptr_equal(context, &front);
	assert_non_null(connection_peer(c));
	page_error = error;
}

/* Whom nobody pretends to be. */
static bool test_privileged(void *context, const struct peer *peer)
{
	assert_ptr_equal(context, &front);
	return peer->uid == getuid();
}

static const struct front_handler handler = {.request = test_request,
	.abandoned = test_abandoned,
	.descriptor_refused = test_descriptor_refused,
	.privileged = test_privileged,
	.page = TEST_PAGE,
	.page_not_sent = test_page_not_sent};

static struct front_limits limits_default(void)
{
	return (struct front_limits){.max_connections = 10000,
		.max_connections_per_user = 10000,
		.max_turned_away = 4096,
		.request_deadline = duration_s(5),
		.idle_timeout = duration_s(600)};
}

static void guard_fired(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	(void)context;
}

static int front_setup(void **state)
{
	struct front_limits limits = limits_default();
	char problem[256];
	int fd, closer_fd;

	(void)state;
	snprintf(directory, sizeof(directory), "/tmp/test_front.XXXXXX");
	if (!mkdtemp(directory) || chmod(directory, 0755) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/s", directory);
	held_count = abandoned_count = asked_count = refused_count = 0;
	accept_error = getsockopt_error = page_error = 0;
	pretended_uid = 0;
	base = event_base_new();
	if (!base)
		return -1;
	guard = event_new(base, -1, 0, guard_fired, NULL);
	if (!guard || closer_start(&closer_fd) < 0 ||
		front_new(&front, base, closer_fd, &handler, &front, &limits) < 0)
		return -1;
	if (listener_bind(path, 0666, (gid_t)-1, &fd, problem, sizeof(problem)) < 0)
		return -1;
	return front_listen(front, fd);
}

static int front_teardown(void **state)
{
	(void)state;
	front_free(front);
	event_free(guard);
	event_base_free(base);
	unlink(path);
	rmdir(directory);
	return held_count ? -1 : 0;
}

static inline uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* One pass of the loop over what is there. */
static inline void turn(void)
{
	event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

/* One pass that waits a moment for something to happen. */
static inline void turn_waiting(unsigned ms)
{
	const struct timeval moment = {.tv_usec = ms * 1000};

	event_add(guard, &moment);
	event_base_loop(base, EVLOOP_ONCE);
	event_del(guard);
}

#define WAIT_UNTIL(condition) \
	do { \
		uint64_t give_up = now_ms() + 10000; \
		while (!(condition)) { \
			if (now_ms() > give_up) \
				fail_msg("never came true: %s", #condition); \
			turn_waiting(2); \
		} \
	} while (0)

static inline void turn_for(unsigned ms)
{
	uint64_t end = now_ms() + ms;

	while (now_ms() < end)
		turn_waiting(1);
}

static inline int client_connect(int fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	memcpy(address.sun_path, path, strlen(path));
	return connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : fd;
}

static inline int client_new(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(client_connect(fd), fd);
	return fd;
}

/* A client that the front has accepted. */
static inline int client_served(void)
{
	uint64_t before = front_counters(front)->accepted;
	int fd = client_new();

	WAIT_UNTIL(front_counters(front)->accepted > before);
	return fd;
}

static inline void client_write(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* What a client has got so far. */
struct got {
	char *bytes;
	size_t length, size;
	size_t answers, answers_end; /* whole ones, and where they end */
	bool ended;
};

static inline void got_free(struct got *g)
{
	free(g->bytes);
	*g = (struct got){0};
}

/* The answer at the front of `bytes`: its length, 0 while it is not whole. */
static inline size_t answer_length(
	const char *bytes, size_t length, int *ret_status, const char **ret_body)
{
	const char *end = memmem(bytes, length, "\r\n\r\n", 4), *field;
	size_t body;

	if (!end)
		return 0;
	assert_int_equal(sscanf(bytes, "HTTP/1.1 %3d", ret_status), 1);
	field = memmem(bytes, (size_t)(end - bytes), "\r\nContent-Length:", 17);
	assert_non_null(field);
	body = strtoul(field + 17, NULL, 10);
	*ret_body = end + 4;
	return (size_t)(end + 4 - bytes) + body > length ? 0 : (size_t)(end + 4 - bytes) + body;
}

static inline void client_pull(int fd, struct got *g)
{
	const char *body = NULL;
	size_t length;
	int status;
	ssize_t n;

	do {
		if (g->size - g->length < 65536) {
			g->size = (g->size + 65536) * 2;
			g->bytes = realloc(g->bytes, g->size);
			assert_non_null(g->bytes);
		}
		n = read(fd, g->bytes + g->length, g->size - g->length - 1);
		if (n > 0)
			g->length += (size_t)n;
	} while (n > 0);
	g->bytes[g->length] = '\0';
	/* a reset is how the kernel says that we had sent what nobody read */
	if (n == 0 || errno != EAGAIN)
		g->ended = true;
	while ((length = answer_length(
			g->bytes + g->answers_end, g->length - g->answers_end, &status, &body))) {
		g->answers_end += length;
		g->answers++;
	}
}

static inline void answers_check(
	const struct got *g, void (*check)(size_t i, int status, const char *body, size_t length))
{
	const char *body = g->bytes;
	int status;

	for (size_t i = 0, at = 0; i < g->answers; i++) {
		at += answer_length(g->bytes + at, g->length - at, &status, &body);
		check(i, status, body, (size_t)(g->bytes + at - body));
	}
}

static inline bool has_answers(int fd, struct got *g, size_t count)
{
	client_pull(fd, g);
	return g->answers >= count;
}

static inline bool has_ended(int fd, struct got *g)
{
	client_pull(fd, g);
	return g->ended;
}

/* The n-th answer's status, its body in `body`. */
static inline int answer_at(const struct got *g, size_t n, char *body, size_t size)
{
	const char *start = g->bytes;
	size_t at = 0, length = 0;
	int status = 0;

	for (size_t i = 0; i <= n; i++) {
		at += length;
		length = answer_length(g->bytes + at, g->length - at, &status, &start);
		assert_true(length > 0);
	}
	snprintf(body, size, "%.*s", (int)(g->bytes + at + length - start), start);
	return status;
}

/* Asks and waits for one answer. */
static inline int ask(int fd, const char *request, char *body, size_t size)
{
	struct got g = {0};
	int status;

	client_write(fd, request);
	WAIT_UNTIL(has_answers(fd, &g, 1));
	status = answer_at(&g, 0, body, size);
	got_free(&g);
	return status;
}

static inline void assert_answers_now(int fd)
{
	char body[64];

	assert_int_equal(ask(fd, REQUEST("/now?still"), body, sizeof(body)), 200);
	assert_string_equal(body, "still");
}

#endif
