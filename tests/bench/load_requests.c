/* Requests as quickly as they are answered: on connections that stay, or each on one of its own. */
#include "histogram.h"
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_MAX 65536

struct client {
	int fd;
	unsigned next;    /* request */
	unsigned missing; /* answers of those that were sent together */
	uint64_t sent;
	size_t length;
	char *bytes; /* of an answer that has not come whole */
};

static struct histogram taken;

static void report(double seconds)
{
	printf("requests %llu\n", (unsigned long long)taken.total);
	printf("rate %.1f\n", (double)taken.total / seconds);
	printf("p50 %llu\n", (unsigned long long)histogram_at(&taken, 0.5));
	printf("p99 %llu\n", (unsigned long long)histogram_at(&taken, 0.99));
	printf("max %llu\n", (unsigned long long)taken.most_ns);
}

static void ask(const struct options *o, struct client *c, const struct request *requests)
{
	const struct request *r = &requests[c->next];

	c->next = (c->next + 1) % o->target_count;
	c->missing = o->pipeline;
	c->sent = load_now();
	load_send(c->fd, r->bytes, r->length);
}

/* Nearly every answer comes whole and alone, and is not copied then. */
static void answered(
	const struct options *o, struct client *c, const struct request *requests, char *bytes)
{
	ssize_t n;
	size_t at = 0, length;

	if (c->length)
		memcpy(bytes, c->bytes, c->length);
	n = recv(c->fd, bytes + c->length, ANSWER_MAX - 1 - c->length, MSG_DONTWAIT);
	if (n == 0)
		errno = ECONNRESET;
	if (n <= 0)
		load_fail("an answer");
	length = c->length + (size_t)n;
	bytes[length] = 0;
	while (at < length) {
		size_t whole = load_answer_length(o->protocol, bytes + at, length - at);

		if (!whole)
			break;
		at += whole;
		c->missing--;
		histogram_add(&taken, load_now() - c->sent);
	}
	c->length = length - at;
	if (c->length) {
		if (!c->bytes)
			c->bytes = malloc(ANSWER_MAX);
		if (!c->bytes)
			load_fail("a part of an answer");
		memcpy(c->bytes, bytes + at, c->length);
	}
	if (!c->missing)
		ask(o, c, requests);
}

int load_keep_alive(const struct options *o)
{
	struct client *clients = calloc(o->connections, sizeof(*clients));
	struct request *requests = load_requests(o);
	static char bytes[ANSWER_MAX];
	struct epoll_event events[64];
	uint64_t begun, end, now;
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	if (!clients || epoll < 0)
		load_fail("keepalive");
	load_descriptors(o->connections + 64);
	for (unsigned i = 0; i < o->connections; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = &clients[i]};

		clients[i].fd = load_connect(o->socket);
		if (clients[i].fd < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, clients[i].fd, &event) < 0)
			load_fail(o->socket);
		clients[i].next = i % o->target_count;
	}
	begun = load_now();
	end = begun + (uint64_t)(o->seconds * 1e9);
	for (unsigned i = 0; i < o->connections; i++)
		ask(o, &clients[i], requests);
	do {
		int count = epoll_wait(epoll, events, 64, 10000);

		if (count == 0)
			errno = ETIMEDOUT;
		if (count <= 0)
			load_fail("no answer");
		for (int i = 0; i < count; i++)
			answered(o, events[i].data.ptr, requests, bytes);
		now = load_now();
	} while (now < end);
	report((double)(now - begun) / 1e9);
	return 0;
}

/* The answer is there: that connection ends, and the next one begins. */
static void connect_anew(
	const struct options *o, struct client *c, const struct request *requests, int epoll)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};

	c->fd = load_connect(o->socket);
	if (c->fd < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event) < 0)
		load_fail(o->socket);
	ask(o, c, requests);
}

int load_new_connections(const struct options *o)
{
	struct client *clients = calloc(o->connections, sizeof(*clients));
	struct request *requests = load_requests(o);
	struct epoll_event events[64];
	uint64_t begun = load_now(), end = begun + (uint64_t)(o->seconds * 1e9), now;
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	if (!clients || epoll < 0)
		load_fail("new");
	for (unsigned i = 0; i < o->connections; i++)
		connect_anew(o, &clients[i], requests, epoll);
	do {
		int count = epoll_wait(epoll, events, 64, 10000);

		if (count == 0)
			errno = ETIMEDOUT;
		if (count <= 0)
			load_fail("no answer");
		for (int i = 0; i < count; i++) {
			struct client *c = events[i].data.ptr;

			if (!load_read_answer(o->protocol, c->fd)) {
				errno = ECONNRESET;
				load_fail("an answer");
			}
			histogram_add(&taken, load_now() - c->sent);
			close(c->fd);
			connect_anew(o, c, requests, epoll);
		}
		now = load_now();
	} while (now < end);
	report((double)(now - begun) / 1e9);
	return 0;
}
