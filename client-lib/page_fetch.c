/* Asks for the page: one line to the page socket, one line and a descriptor back. */
#include "clocks.h"
#include "gctoken_page.h"
#include "page_holder.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct page_reply {
	char text[GCTOKEN_PAGE_REPLY_LENGTH];
	size_t length;
	int page;
};

/* -EAGAIN: more has to come. */
static int receive(int connection, struct page_reply *r)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec io = {r->text + r->length, sizeof(r->text) - r->length};
	struct msghdr message = {.msg_iov = &io,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	struct cmsghdr *c;
	ssize_t n = recvmsg(connection, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	c = CMSG_FIRSTHDR(&message);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
		c->cmsg_len == CMSG_LEN(sizeof(int))) {
		if (r->page >= 0)
			close(r->page);
		memcpy(&r->page, CMSG_DATA(c), sizeof(int));
	}
	if (!n)
		return -ECONNRESET;
	r->length += (size_t)n;
	return r->length < sizeof(r->text) ? -EAGAIN : 0;
}

static int await(int connection, int64_t deadline_ms)
{
	struct pollfd p = {.fd = connection, .events = POLLIN};
	int64_t left = deadline_ms - gctoken_monotonic_ms();
	int n;

	if (left <= 0)
		return -ETIMEDOUT;
	n = poll(&p, 1, left > 1000 ? 1000 : (int)left);
	return n < 0 && errno != EINTR && errno != EAGAIN ? -errno : 0;
}

static int ask(
	const struct page_holder *h, int connection, int64_t deadline_ms, struct page_reply *r)
{
	char line[GCTOKEN_PAGE_REQUEST_MAX];
	int length = snprintf(
		line, sizeof(line), GCTOKEN_PAGE_REQUEST, GCTOKEN_PAGE_VERSION, h->profile);
	int error;

	/* A line goes into an empty socket at once or not at all. A broker that closed before it
	 * was asked has still sent its reply. */
	if (send(connection, line, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT) != length &&
		errno != EPIPE && errno != ECONNRESET)
		return -errno;
	do {
		error = await(connection, deadline_ms);
		if (!error)
			error = receive(connection, r);
	} while (error == -EAGAIN);
	if (error)
		return error;
	return memcmp(r->text, "200\n", sizeof(r->text)) == 0 && r->page >= 0 ? 0 : -EACCES;
}

/* Nobody can shrink what is mapped: reading it could else end in a SIGBUS. */
static int check_page(int page)
{
	struct stat s;
	int seals = fcntl(page, F_GET_SEALS);

	if (seals < 0 || fstat(page, &s) < 0)
		return -errno;
	return seals & F_SEAL_SHRINK && s.st_size >= GCTOKEN_PAGE_SIZE ? 0 : -EPROTO;
}

int gctoken_page_fetch(
	const struct page_holder *h, int64_t deadline_ms, int *ret_connection, int *ret_page)
{
	struct page_reply r = {.page = -1};
	int connection, error;

	if (!h->address_length)
		return -ENOENT;
	connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (connection < 0)
		return -errno;
	error = connect(connection, (const struct sockaddr *)&h->address, h->address_length) < 0
			? -errno
			: ask(h, connection, deadline_ms, &r);
	if (!error)
		error = check_page(r.page);
	if (error) {
		close(connection);
		if (r.page >= 0)
			close(r.page);
		return error;
	}
	*ret_connection = connection;
	*ret_page = r.page;
	return 0;
}

bool gctoken_page_connection_alive(int connection)
{
	char byte;

	return recv(connection, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
	       (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
}
