/* One poll(2) over the listening sockets and some connections. Browsers open connections that they
 * never use, and other users of this machine may connect as often as they can: none of them may
 * keep the one that is waited for from being heard. So each has its own buffer and its own
 * deadline, costs no more than a few reads a pass, and is heard at once when it comes, which is
 * when a browser has asked already; and where there are too many the oldest has to go. */
#include "redirect_listener.h"

#include "../clocks.h"
#include "cli.h"
#include "interrupt.h"
#include "output.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define VISITORS 256
#define NEWCOMERS_A_PASS 64
#define REFUSED_READS 16
#define VISIT_MS 10000
#define REPLY_MS 2000

struct visitor {
	int fd; /* -1: nobody */
	int64_t since_ms;
	uint64_t number;
	size_t length;
	char *head; /* REDIRECT_HEAD_MAX bytes; made at the first visit */
};

struct waiting {
	struct redirect_listener *listener;
	const struct redirect_wait *wait;
	struct visitor visitors[VISITORS];
	uint64_t visits; /* so far */
	bool told_wrong_state;
};

static int listen_at(const struct sockaddr *address, socklen_t length, int *ret)
{
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int one = 1, error;

	if (fd < 0)
		return -errno;
	/* Connections of a login just before do not count; another listener does. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
		(address->sa_family == AF_INET6 &&
			setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one))) ||
		bind(fd, address, length) || listen(fd, SOMAXCONN)) {
		error = -errno;
		close(fd);
		return error;
	}
	*ret = fd;
	return 0;
}

static int listen_ipv4(const char *host, uint16_t port, int *ret)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};

	if (inet_pton(AF_INET, host, &address.sin_addr) != 1 ||
		ntohl(address.sin_addr.s_addr) >> 24 != IN_LOOPBACKNET)
		return -EINVAL;
	return listen_at((const struct sockaddr *)&address, sizeof(address), ret);
}

static int listen_ipv6(uint16_t port, int *ret)
{
	struct sockaddr_in6 address = {
		.sin6_family = AF_INET6,
		.sin6_port = htons(port),
		.sin6_addr = IN6ADDR_LOOPBACK_INIT,
	};

	return listen_at((const struct sockaddr *)&address, sizeof(address), ret);
}

int redirect_listen(const struct redirect_target *target, struct redirect_listener *ret)
{
	struct redirect_listener l = REDIRECT_LISTENER_NONE;
	int error;

	if (!strcmp(target->host, "::1")) {
		error = listen_ipv6(target->port, &l.fds[0]);
	} else if (strcasecmp(target->host, "localhost") != 0) {
		error = listen_ipv4(target->host, target->port, &l.fds[0]);
	} else {
		error = listen_ipv4("127.0.0.1", target->port, &l.fds[0]);
		if (!error)
			error = listen_ipv6(target->port, &l.fds[1]);
		/* A machine without IPv6 has no browser that goes there. */
		if (error == -EAFNOSUPPORT || error == -EADDRNOTAVAIL)
			error = 0;
	}
	if (error)
		redirect_listener_fini(&l);
	else
		*ret = l;
	return error;
}

void redirect_listener_fini(struct redirect_listener *l)
{
	size_t i;

	for (i = 0; i < REDIRECT_LISTENERS; i++) {
		if (l->fds[i] >= 0)
			close(l->fds[i]);
		l->fds[i] = -1;
	}
}

static void visitor_end(struct visitor *v)
{
	if (v->fd >= 0)
		close(v->fd);
	v->fd = -1;
	if (v->head)
		explicit_bzero(v->head, v->length);
	v->length = 0;
}

/* What is sent fits into a socket's buffer; whoever does not take it goes without. */
static void visitor_refuse(struct visitor *v)
{
	char page[REDIRECT_PAGE_SIZE];
	size_t length = redirect_page_write(PAGE_NOT_FOUND, "", page);

	if (send(v->fd, page, length, MSG_NOSIGNAL) == (ssize_t)length)
		shutdown(v->fd, SHUT_WR);
	/* Unread bytes would turn the close into a reset, which can overtake the page. But whoever
	 * sends without end is not read without end. */
	for (int i = 0; i < REFUSED_READS && recv(v->fd, page, sizeof(page), 0) > 0; i++)
		;
	visitor_end(v);
}

/* A free place, else the oldest visitor's; `taken`: the oldest visitor's, if there is any. */
static struct visitor *free_place(struct waiting *w, bool taken)
{
	struct visitor *oldest = NULL;
	size_t i;

	for (i = 0; i < VISITORS; i++) {
		struct visitor *v = &w->visitors[i];

		if (v->fd < 0 && !taken)
			return v;
		if (v->fd >= 0 && (!oldest || v->number < oldest->number))
			oldest = v;
	}
	if (oldest)
		visitor_end(oldest);
	return oldest;
}

/* 0: *ret came; -EAGAIN: nobody else just now; -ENOMEM. */
static int welcome(struct waiting *w, int listener, int64_t now_ms, struct visitor **ret)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct visitor *v;

	if (fd < 0) {
		/* Out of descriptors, say: not at full speed until some are back. */
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED &&
			!free_place(w, true))
			poll(NULL, 0, 20);
		return -EAGAIN;
	}
	v = free_place(w, false);
	if (!v->head)
		v->head = malloc(REDIRECT_HEAD_MAX);
	if (!v->head) {
		close(fd);
		return -ENOMEM;
	}
	v->fd = fd;
	v->since_ms = now_ms;
	v->number = w->visits++;
	*ret = v;
	return 0;
}

/* True: it is the one, and *ret its response. */
static bool hear(struct waiting *w, struct visitor *v, struct redirect_response *ret)
{
	ssize_t n = recv(v->fd, v->head + v->length, REDIRECT_HEAD_MAX - v->length, 0);
	int verdict;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		visitor_end(v);
		return false;
	}
	v->length += (size_t)n;
	verdict = redirect_request_read(v->head, v->length, w->wait->target, w->wait->state, ret);
	if (verdict == REDIRECT_WRONG_STATE && !w->told_wrong_state) {
		complain(
			"login: a browser came back with an answer whose state is not this "
			"login's: it is of an older one, or forged. It was ignored; still waiting");
		w->told_wrong_state = true;
	}
	if (verdict == REDIRECT_OTHER || verdict == REDIRECT_WRONG_STATE)
		visitor_refuse(v);
	return verdict == 0;
}

/* The polled descriptors: the interrupt's, the listeners', the visitors', in this order. */
#define POLLED (1 + REDIRECT_LISTENERS + VISITORS)

static int64_t fill_poll(struct waiting *w, int64_t now_ms, struct pollfd *ret)
{
	int64_t until_ms = w->wait->deadline_ms;
	size_t i;

	ret[0] = (struct pollfd){.fd = w->wait->stop->fd, .events = POLLIN};
	for (i = 0; i < REDIRECT_LISTENERS; i++)
		ret[1 + i] = (struct pollfd){.fd = w->listener->fds[i], .events = POLLIN};
	for (i = 0; i < VISITORS; i++) {
		struct visitor *v = &w->visitors[i];

		if (v->fd >= 0 && v->since_ms + VISIT_MS <= now_ms)
			visitor_end(v);
		if (v->fd >= 0 && v->since_ms + VISIT_MS < until_ms)
			until_ms = v->since_ms + VISIT_MS;
		ret[1 + REDIRECT_LISTENERS + i] = (struct pollfd){.fd = v->fd, .events = POLLIN};
	}
	return until_ms;
}

/* As many as come, up to a number. 0: one of them was the one; -EAGAIN: none; -ENOMEM. */
static int welcome_some(struct waiting *w, int listener, int64_t now_ms,
	struct redirect_response *ret, struct visitor **ret_visitor)
{
	struct visitor *v;
	int i, error;

	for (i = 0; i < NEWCOMERS_A_PASS; i++) {
		error = welcome(w, listener, now_ms, &v);
		if (error)
			return error;
		if (hear(w, v, ret)) {
			*ret_visitor = v;
			return 0;
		}
	}
	return -EAGAIN;
}

/* A pass over what poll has found; likewise. */
static int look(struct waiting *w, const struct pollfd polled[POLLED], int64_t now_ms,
	struct redirect_response *ret, struct visitor **ret_visitor)
{
	size_t i;
	int error = -EAGAIN;

	for (i = 0; i < VISITORS; i++) {
		if (polled[1 + REDIRECT_LISTENERS + i].revents && hear(w, &w->visitors[i], ret)) {
			*ret_visitor = &w->visitors[i];
			return 0;
		}
	}
	/* Newcomers may take an old one's place: not before those have been heard. */
	for (i = 0; i < REDIRECT_LISTENERS && error == -EAGAIN; i++)
		if (polled[1 + i].revents)
			error = welcome_some(w, w->listener->fds[i], now_ms, ret, ret_visitor);
	return error;
}

static int wait_in(struct waiting *w, struct redirect_response *ret, int *ret_fd)
{
	for (;;) {
		struct pollfd polled[POLLED];
		int64_t now_ms = gctoken_monotonic_ms(), until_ms;
		struct visitor *visitor;
		int n;

		if (now_ms >= w->wait->deadline_ms)
			return -ETIMEDOUT;
		until_ms = fill_poll(w, now_ms, polled);
		n = poll(polled, POLLED,
			until_ms - now_ms > 60000 ? 60000 : (int)(until_ms - now_ms));
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n <= 0)
			continue;
		if (polled[0].revents)
			return -EINTR;
		n = look(w, polled, now_ms, ret, &visitor);
		if (n == -EAGAIN)
			continue;
		if (!n) {
			*ret_fd = visitor->fd;
			visitor->fd = -1; /* the caller's */
		}
		return n;
	}
}

int redirect_listener_wait(struct redirect_listener *l, const struct redirect_wait *wait,
	struct redirect_response *ret, int *ret_fd)
{
	struct waiting w = {.listener = l, .wait = wait};
	size_t i;
	int error;

	for (i = 0; i < VISITORS; i++)
		w.visitors[i].fd = -1;
	error = wait_in(&w, ret, ret_fd);
	redirect_listener_fini(l);
	for (i = 0; i < VISITORS; i++) {
		visitor_end(&w.visitors[i]);
		free(w.visitors[i].head);
	}
	return error;
}

void redirect_reply(int fd, enum redirect_page page, const char *profile)
{
	char bytes[REDIRECT_PAGE_SIZE];
	size_t length = redirect_page_write(page, profile, bytes);
	int64_t until_ms = gctoken_monotonic_ms() + REPLY_MS;
	struct pollfd p = {.fd = fd, .events = POLLIN};

	if (send(fd, bytes, length, MSG_NOSIGNAL) == (ssize_t)length && !shutdown(fd, SHUT_WR)) {
		/* Until the browser has closed as well: the process may end right after this. */
		for (;;) {
			int64_t left_ms = until_ms - gctoken_monotonic_ms();

			if (left_ms <= 0 || poll(&p, 1, (int)left_ms) <= 0)
				break;
			if (recv(fd, bytes, sizeof(bytes), 0) <= 0)
				break;
		}
	}
	close(fd);
}
