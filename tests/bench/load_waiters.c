/* Connections that wait: idle ones, clients held for the next token, and one that asks something
 * else meanwhile. Each command prints `ready` when it is, and ends with standard input. */
#include "histogram.h"
#include "load.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void until_told(void)
{
	char byte;

	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
}

static bool is_told(void)
{
	struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};

	return poll(&p, 1, 0) > 0;
}

/* Each is served once: one that never sent a request is something else to most servers. */
int load_idle(const struct options *o)
{
	struct request *requests = load_requests(o);

	load_descriptors(o->connections + 64);
	for (unsigned i = 0; i < o->connections; i++) {
		int fd = load_connect(o->socket);

		if (fd < 0)
			load_fail(o->socket);
		load_send(fd, requests[0].bytes, requests[0].length);
		if (!load_read_answer(o->protocol, fd))
			load_fail("an idle connection was closed");
	}
	puts("ready");
	until_told();
	return 0;
}

/* A subscriber of redis is told that it is one, in lines of which this is the last. */
static void subscribed(int fd)
{
	char bytes[256];
	size_t length = 0;

	while (length < 4 || memcmp(bytes + length - 4, ":1\r\n", 4)) {
		ssize_t n = recv(fd, bytes + length, sizeof(bytes) - length, 0);

		if (n <= 0)
			load_fail("redis did not confirm");
		length += (size_t)n;
	}
}

/* Prints when the first and the last answer came, on CLOCK_MONOTONIC. */
int load_waiters(const struct options *o)
{
	struct request *requests = load_requests(o);
	struct epoll_event events[64];
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	uint64_t first = 0, last = 0;
	unsigned left = o->connections;

	load_descriptors(o->connections + 64);
	for (unsigned i = 0; i < o->connections; i++) {
		int fd = load_connect(o->socket);
		struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

		if (fd < 0)
			load_fail(o->socket);
		load_send(fd, requests[0].bytes, requests[0].length);
		if (o->protocol == REDIS)
			subscribed(fd);
		if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
			load_fail("epoll");
	}
	puts("ready");
	while (left) {
		int count = epoll_wait(epoll, events, 64, 60000);

		if (count == 0)
			errno = ETIMEDOUT;
		if (count <= 0)
			load_fail("not all were answered");
		if (!first)
			first = load_now();
		for (int i = 0; i < count; i++) {
			if (!load_read_answer(o->protocol, events[i].data.fd)) {
				errno = ECONNRESET;
				load_fail("a waiting client");
			}
			epoll_ctl(epoll, EPOLL_CTL_DEL, events[i].data.fd, NULL);
			left--;
		}
		last = load_now();
	}
	printf("first %llu\nlast %llu\n", (unsigned long long)first, (unsigned long long)last);
	return 0;
}

#define PAUSE_NS 500000

/* One request after the other with a pause between them, until told: how long the longest took. It
 * wants the processor at once when its answer is there; else it would measure itself. */
int load_probe(const struct options *o)
{
	static struct histogram taken;
	const struct timespec pause = {.tv_nsec = PAUSE_NS};
	const struct sched_param urgent = {.sched_priority = 1};
	struct request *requests = load_requests(o);
	int fd = load_connect(o->socket);

	if (fd < 0)
		load_fail(o->socket);
	if (sched_setscheduler(0, SCHED_FIFO, &urgent) < 0)
		puts("ordinary 1"); /* not allowed to */
	puts("ready");
	while (!is_told()) {
		uint64_t begun = load_now();

		load_send(fd, requests[0].bytes, requests[0].length);
		if (!load_read_answer(o->protocol, fd))
			load_fail("the probe");
		histogram_add(&taken, load_now() - begun);
		nanosleep(&pause, NULL);
	}
	printf("requests %llu\n", (unsigned long long)taken.total);
	printf("p50 %llu\n", (unsigned long long)histogram_at(&taken, 0.5));
	printf("max %llu\n", (unsigned long long)taken.most_ns);
	return 0;
}
