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

/* An idle slot: 0 is empty, else the process in the upper half and the descriptor + 1 below. */
static uint64_t slot_of(pid_t owner, int fd)
{
	return (uint64_t)(uint32_t)owner << 32 | ((uint32_t)fd + 1);
}

static int slot_fd(uint64_t slot)
{
	return (int)((uint32_t)slot - 1);
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
		uint64_t slot = atomic_exchange(&c->idle[i], 0);

		if (slot)
			close(slot_fd(slot));
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

/* An idle connection of this process, or -1. What a parent left behind is closed: the stream is the
 * parent's, two processes reading it would each get parts of the other's replies. */
static int take_idle(struct http_client *c)
{
	uint64_t mine = (uint32_t)getpid();
	size_t i;

	for (i = 0; i < HTTP_CLIENT_IDLE_MAX; i++) {
		uint64_t slot;

		if (!atomic_load_explicit(&c->idle[i], memory_order_relaxed))
			continue;
		slot = atomic_exchange(&c->idle[i], 0);
		if (!slot)
			continue;
		if (slot >> 32 == mine && connection_is_idle(slot_fd(slot)))
			return slot_fd(slot);
		close(slot_fd(slot));
	}
	return -1;
}

static void put_idle(struct http_client *c, int fd)
{
	uint64_t slot = slot_of(getpid(), fd);
	size_t i;

	for (i = 0; i < HTTP_CLIENT_IDLE_MAX; i++) {
		uint64_t empty = 0;

		if (atomic_compare_exchange_strong(&c->idle[i], &empty, slot))
			return;
	}
	close(fd);
}

/* 0 and *ret_fd, or negative errno; -EAGAIN: the listener's queue is full. */
static int connect_new(const struct http_client *c, int *ret_fd)
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
	*ret_fd = fd;
	return 0;
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

static int format_request(const struct http_call *call, char *buffer, size_t size)
{
	char wait[32] = "";
	int n;

	if (call->wait_until_ms != HTTP_CALL_NO_WAIT) {
		int64_t left = call->wait_until_ms - gctoken_monotonic_ms();

		snprintf(wait, sizeof(wait), "&wait=%lld",
			(long long)(left > 0 ? (left + 999) / 1000 : 0));
	}
	n = snprintf(buffer, size, "%s %s%s HTTP/1.1\r\nHost: gctokend\r\nAccept: %s\r\n%s\r\n",
		call->method, call->target, wait, call->accept,
		strcmp(call->method, "POST") ? "" : "Content-Length: 0\r\n");
	return n > 0 && (size_t)n < size ? n : -EMSGSIZE;
}

/* Sends and receives on `fd`, which it closes or keeps. */
static int exchange(struct http_client *c, const struct http_call *call, int fd, char *storage,
	size_t size, struct http_result *ret)
{
	char request[REQUEST_MAX];
	struct http_result result;
	int n, error;

	n = format_request(call, request, sizeof(request));
	if (n < 0) {
		close(fd);
		return n;
	}
	result.sent_boot_ms = gctoken_boot_ms();
	error = send_all(fd, request, (size_t)n, call->deadline_ms);
	explicit_bzero(request, (size_t)n); /* it may hold a code, which is a secret */
	/* A daemon that refuses a connection replies and closes without reading: the reply is there
	 * although the request could not be sent. */
	if (!error || error == -EPIPE || error == -ECONNRESET)
		error = receive(fd, storage, size, call->deadline_ms, &result.response);
	if (error || !result.response.keep_alive)
		close(fd);
	else
		put_idle(c, fd);
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

int gctoken_http_call(struct http_client *c, const struct http_call *call, char *storage,
	size_t size, struct http_result *ret)
{
	int pause_ms = PAUSE_FIRST_MS;

	for (;;) {
		int fd = take_idle(c);
		bool was_idle = fd >= 0;
		int error = 0;

		if (!was_idle)
			error = connect_new(c, &fd);
		if (nobody_there(error)) {
			int64_t until = call->patience_ms < call->deadline_ms ? call->patience_ms
									      : call->deadline_ms;

			if (pause_before_retry(&pause_ms, until))
				continue;
			return error == -EAGAIN ? -ECONNREFUSED : error;
		}
		if (error)
			return error;
		error = exchange(c, call, fd, storage, size, ret);
		if (error != -ECONNRESET && error != -EPIPE)
			return error;
		if (!call->repeatable)
			return -ECONNRESET;
		if (!was_idle && !pause_before_retry(&pause_ms, call->deadline_ms))
			return -ECONNRESET;
	}
}
