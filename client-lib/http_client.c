/* A call is one or more attempts: take or make a connection, send, receive. An attempt that ends
 * before a whole reply came is repeated where that is safe, so that a restart of the daemon is a
 * delay and not an error: at once if it was an idle connection that had died, otherwise after a
 * growing pause. Nothing is ever locked, and everything that blocks is a poll(2) up to the call's
 * deadline. */
#include "http_client.h"

#include "clocks.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define REQUEST_MAX 8448 /* the daemon reads a target of 8 KiB: a login's code can be long */
#define PAUSE_FIRST_MS 4
#define PAUSE_MAX_MS 128
#define LAST_TRY_MS 500

/* What an idle place is: empty, or in the upper half the process and in the lower half what that
 * process does with it. A place that another process had claimed when this one was forked is as
 * good as empty: its thread does not exist here. */
enum { PLACE_CLAIMED = 1, PLACE_FULL = 2 };
#define PLACE_EMPTY UINT64_C(0)

static uint64_t place_state(uint64_t what)
{
	return (uint64_t)(uint32_t)getpid() << 32 | what;
}

static bool is_full(uint64_t state)
{
	return (uint32_t)state == PLACE_FULL;
}

/* `state`: what was seen of the place; false: it has changed since. */
static bool claim(struct idle_place *place, uint64_t state)
{
	return atomic_compare_exchange_strong(&place->state, &state, place_state(PLACE_CLAIMED));
}

int gctoken_http_init(struct http_client *c, const char *socket_path)
{
	size_t n = strlen(socket_path);

	if (!n)
		return -EINVAL;
	if (n >= sizeof(c->address.sun_path))
		return -ENAMETOOLONG;
	memset(c, 0, sizeof(*c));
	c->address.sun_family = AF_UNIX;
	memcpy(c->address.sun_path, socket_path, n + 1);
	c->address_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
	return 0;
}

void gctoken_http_fini(struct http_client *c)
{
	size_t i;

	for (i = 0; i < HTTP_CLIENT_IDLE_MAX; i++) {
		if (is_full(atomic_load(&c->idle[i].state)))
			gctoken_own_fd_close(&c->idle[i].connection);
		atomic_store(&c->idle[i].state, PLACE_EMPTY);
	}
}

/* Silent and open. A connection with bytes to read that nobody asked for would give them as the
 * reply. */
static bool connection_is_idle(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
	       (errno == EAGAIN || errno == EWOULDBLOCK);
}

/* An idle connection of this process. What a parent left behind is closed: the stream is the
 * parent's, two processes reading it would each get parts of the other's replies. */
static bool take_idle(struct http_client *c, struct own_fd *ret)
{
	size_t i;

	for (i = 0; i < HTTP_CLIENT_IDLE_MAX; i++) {
		struct idle_place *place = &c->idle[i];
		uint64_t state = atomic_load_explicit(&place->state, memory_order_relaxed);
		struct own_fd connection;

		if (!is_full(state) || !claim(place, state))
			continue;
		connection = place->connection;
		atomic_store(&place->state, PLACE_EMPTY);
		if (state == place_state(PLACE_FULL) && gctoken_own_fd_is_ours(&connection) &&
			connection_is_idle(connection.fd)) {
			*ret = connection;
			return true;
		}
		gctoken_own_fd_close(&connection);
	}
	return false;
}

static void put_idle(struct http_client *c, struct own_fd *connection)
{
	size_t i;

	for (i = 0; i < HTTP_CLIENT_IDLE_MAX; i++) {
		struct idle_place *place = &c->idle[i];
		uint64_t state = atomic_load_explicit(&place->state, memory_order_relaxed);

		if (is_full(state) || state == place_state(PLACE_CLAIMED) || !claim(place, state))
			continue;
		place->connection = *connection;
		atomic_store(&place->state, place_state(PLACE_FULL));
		*connection = OWN_FD_NONE;
		return;
	}
	gctoken_own_fd_close(connection);
}

/* 0 and *ret, or negative errno; -EAGAIN: the listener's queue is full. */
static int connect_new(const struct http_client *c, struct own_fd *ret)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error;

	if (fd < 0)
		return -errno;
	/* A Unix stream connects at once or not at all: EINPROGRESS does not exist here. */
	if (connect(fd, (const struct sockaddr *)&c->address, c->address_length) < 0) {
		error = -errno;
		close(fd);
		return error;
	}
	return gctoken_own_fd(fd, ret);
}

/* 0 when ready; -ETIMEDOUT; other negative errno. */
static int wait_for(int fd, short events, int64_t deadline_ms)
{
	struct pollfd p = {.fd = fd, .events = events};

	for (;;) {
		int64_t left = deadline_ms - gctoken_monotonic_ms();
		int n;

		if (left <= 0)
			return -ETIMEDOUT;
		n = poll(&p, 1, left > 60000 ? 60000 : (int)left);
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
	}
}

static int send_all(int fd, const char *bytes, size_t length, int64_t deadline_ms)
{
	while (length) {
		ssize_t n = send(fd, bytes, length, MSG_NOSIGNAL);
		int error;

		if (n >= 0) {
			bytes += n;
			length -= (size_t)n;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN && errno != EWOULDBLOCK)
			return -errno;
		error = wait_for(fd, POLLOUT, deadline_ms);
		if (error)
			return error;
	}
	return 0;
}

/* 0 and *ret; -ECONNRESET: the other end closed before the reply was whole. */
static int receive(int fd, char *storage, size_t size, int64_t deadline_ms, struct response *ret)
{
	size_t length = 0;

	for (;;) {
		int error = wait_for(fd, POLLIN, deadline_ms);
		ssize_t n;

		if (error)
			return error;
		n = recv(fd, storage + length, size - length, 0);
		if (n < 0) {
			if (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK)
				continue;
			return -errno;
		}
		if (!n)
			return -ECONNRESET;
		length += (size_t)n;
		error = gctoken_response_parse(storage, length, ret);
		if (!error && ret->length != length)
			ret->keep_alive = false; /* more than was asked for */
		if (error != -EAGAIN)
			return error;
		if (length == size)
			return -EMSGSIZE;
	}
}

enum wait_named { WAIT_UNNAMED, WAIT_WHOLE, WAIT_LEFT };

/* Rounded up; but when a part of it has passed, only if the reply to that would not come at the
 * deadline itself. */
static int64_t wait_seconds(const struct http_call *call, enum wait_named named)
{
	int64_t now_ms = gctoken_monotonic_ms(), left = call->wait_until_ms - now_ms, s;

	if (left <= 0)
		return 0;
	s = (left + 999) / 1000;
	if (named == WAIT_LEFT && now_ms + s * 1000 + LAST_TRY_MS > call->deadline_ms)
		s = left / 1000;
	return s;
}

static int format_request(
	const struct http_call *call, enum wait_named named, char *buffer, size_t size)
{
	char wait[32] = "";
	int n;

	if (named != WAIT_UNNAMED)
		snprintf(wait, sizeof(wait), "&wait=%lld", (long long)wait_seconds(call, named));
	n = snprintf(buffer, size, "%s %s%s HTTP/1.1\r\nHost: gctokend\r\nAccept: %s\r\n%s\r\n",
		call->method, call->target, wait, call->accept,
		strcmp(call->method, "POST") ? "" : "Content-Length: 0\r\n");
	return n > 0 && (size_t)n < size ? n : -EMSGSIZE;
}

/* Sends and receives. */
static int exchange(const struct http_call *call, enum wait_named named, int fd, char *storage,
	size_t size, struct http_result *ret)
{
	char request[REQUEST_MAX];
	struct http_result result = {0};
	int n, error;

	n = format_request(call, named, request, sizeof(request));
	if (n < 0)
		return n;
	result.sent_boot_ms = gctoken_boot_ms();
	error = send_all(fd, request, (size_t)n, call->deadline_ms);
	explicit_bzero(request, (size_t)n); /* it may hold a code, which is a secret */
	/* A daemon that refuses a connection replies and closes without reading: the reply is there
	 * although the request could not be sent. */
	if (!error || error == -EPIPE || error == -ECONNRESET)
		error = receive(fd, storage, size, call->deadline_ms, &result.response);
	if (!error)
		*ret = result;
	return error;
}

/* Sleeps a little longer each time, never past `until_ms`; false if that is past already. The low
 * bits of the clock spread out clients that lost the same daemon at the same moment. */
static bool pause_before_retry(int *pause_ms, int64_t until_ms)
{
	struct timespec t;
	int64_t left;
	int ms;

	clock_gettime(CLOCK_MONOTONIC, &t);
	left = until_ms - gctoken_monotonic_ms();
	if (left <= 0)
		return false;
	ms = *pause_ms + (int)(t.tv_nsec / 1000 % *pause_ms);
	*pause_ms = *pause_ms * 2 > PAUSE_MAX_MS ? PAUSE_MAX_MS : *pause_ms * 2;
	poll(NULL, 0, left < ms ? (int)left : ms);
	return true;
}

static bool nobody_there(int error)
{
	return error == -ENOENT || error == -ECONNREFUSED || error == -EAGAIN;
}

/* A daemon that stops replies at once to whom it has held, and lets it be known by closing: the
 * next one may be there in a moment. So does one that has no room for a connection. */
static bool comes_too_soon(const struct response *r)
{
	return !r->keep_alive && (r->status == 304 || r->status == 503);
}

/* Not so late that what it said would be lost to the deadline. */
static bool may_ask_again(const struct http_call *call, int *pause_ms)
{
	return call->repeatable && call->deadline_ms - gctoken_monotonic_ms() > LAST_TRY_MS &&
	       pause_before_retry(pause_ms, call->deadline_ms);
}

static enum wait_named wait_named_first(const struct http_call *call)
{
	if (call->wait_until_ms == HTTP_CALL_NO_WAIT || call->wait_is_default)
		return WAIT_UNNAMED;
	return WAIT_WHOLE;
}

/* It was there, and will be again. */
static int64_t gone_until(const struct http_call *call)
{
	int64_t bound_ms = gctoken_monotonic_ms() + call->gone_max_ms;

	return call->gone_max_ms && bound_ms < call->deadline_ms ? bound_ms : call->deadline_ms;
}

int gctoken_http_call(struct http_client *c, const struct http_call *call, char *storage,
	size_t size, struct http_result *ret)
{
	int64_t absent_until_ms =
		call->patience_ms < call->deadline_ms ? call->patience_ms : call->deadline_ms;
	enum wait_named named = wait_named_first(call);
	int pause_ms = PAUSE_FIRST_MS;
	bool unnamed_for_good = call->wait_until_ms == HTTP_CALL_NO_WAIT;

	for (;; named = unnamed_for_good ? WAIT_UNNAMED : WAIT_LEFT) {
		struct own_fd connection = OWN_FD_NONE;
		bool was_idle = take_idle(c, &connection);
		int error = 0;

		if (!was_idle)
			error = connect_new(c, &connection);
		if (nobody_there(error)) {
			if (pause_before_retry(&pause_ms, absent_until_ms))
				continue;
			return error == -EAGAIN ? -ECONNREFUSED : error;
		}
		if (error)
			return error;
		error = exchange(call, named, connection.fd, storage, size, ret);
		absent_until_ms = gone_until(call);
		if (error || !ret->response.keep_alive)
			gctoken_own_fd_close(&connection);
		else
			put_idle(c, &connection);
		if (!error && ret->response.status == 400 && named == WAIT_LEFT &&
			call->wait_is_default) {
			unnamed_for_good = true; /* that was more than its max_wait */
			continue;
		}
		if (!error && comes_too_soon(&ret->response) && may_ask_again(call, &pause_ms))
			continue;
		if (error != -ECONNRESET && error != -EPIPE)
			return error;
		if (!call->repeatable)
			return -ECONNRESET;
		if (!was_idle && !pause_before_retry(&pause_ms, call->deadline_ms))
			return -ECONNRESET;
	}
}
