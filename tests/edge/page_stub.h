/* A broker that is only its two sockets: it hands over a page of the real writer's, which the test
 * writes, and answers every token request with the same token. In a thread of its own, so that what
 * is tested can be the library as programs call it. */
#ifndef TESTS_EDGE_PAGE_STUB_H
#define TESTS_EDGE_PAGE_STUB_H

#include "core/token_page.h"
#include "front/page.h"
#include "host/clock.h"
#include "host/memfd.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define STUB_CONNECTIONS 512
#define STUB_SOCKET_GENERATION 1000000

struct stub {
	char directory[32], socket[64], page_socket[64];
	int listening[2]; /* HTTP, page */
	int stop[2];
	pthread_t thread;
	pthread_mutex_t lock; /* of what follows */
	struct page *page;
	int other_fd;            /* handed over in the page's place; -1: the page is */
	_Atomic int page_status; /* 200, or how to refuse */
	_Atomic int http_status;
	_Atomic bool silent; /* says nothing on the page socket */
	int fds[STUB_CONNECTIONS];
	bool pages[STUB_CONNECTIONS];
	unsigned count;
	_Atomic unsigned asked, page_asked; /* requests on each */
};

static inline int stub_listen(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		listen(fd, 1024) < 0)
		abort();
	return fd;
}

static inline void stub_send_fd(int socket, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = {0};
	char text[] = "200\n";
	struct iovec io = {text, 4};
	struct msghdr m = {.msg_iov = &io,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};

	CMSG_FIRSTHDR(&m)->cmsg_level = SOL_SOCKET;
	CMSG_FIRSTHDR(&m)->cmsg_type = SCM_RIGHTS;
	CMSG_FIRSTHDR(&m)->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), &fd, sizeof(fd));
	if (sendmsg(socket, &m, MSG_NOSIGNAL) != 4)
		abort();
}

/* False: the connection is over. */
static inline bool stub_serve(struct stub *s, int fd, bool page)
{
	char bytes[2048];
	ssize_t n = recv(fd, bytes, sizeof(bytes) - 1, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0)
		return false;
	bytes[n] = '\0';
	if (page) {
		s->page_asked++;
		if (strcmp(bytes, "page 1 default\n") != 0)
			abort();
		if (s->silent)
			return true;
		if (s->page_status != 200)
			return dprintf(fd, "%03d\n", (int)s->page_status) < 0;
		if (s->other_fd >= 0)
			stub_send_fd(fd, s->other_fd);
		else if (page_send(s->page, fd) < 0)
			abort();
		return true;
	}
	s->asked++;
	if (s->http_status != 200)
		return dprintf(fd, "HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n",
			       (int)s->http_status) > 0;
	return dprintf(fd,
		       "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nGctoken-Generation: %d\r\n"
		       "Gctoken-Expires-In-Ms: 60000\r\nGctoken-Fingerprint: 0123456789abcdef\r\n"
		       "Gctoken-State: fresh\r\n\r\nsocket\n",
		       STUB_SOCKET_GENERATION) > 0;
}

static inline void stub_accept(struct stub *s, unsigned which)
{
	int fd = accept4(s->listening[which], NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	if (s->count == STUB_CONNECTIONS)
		abort();
	s->fds[s->count] = fd;
	s->pages[s->count++] = which == 1;
}

static inline void stub_close(struct stub *s, unsigned i)
{
	close(s->fds[i]);
	s->fds[i] = s->fds[--s->count];
	s->pages[i] = s->pages[s->count];
}

static inline void *stub_run(void *context)
{
	struct pollfd p[STUB_CONNECTIONS + 3];
	struct stub *s = context;
	unsigned count;

	for (;;) {
		p[0] = (struct pollfd){.fd = s->stop[0], .events = POLLIN};
		p[1] = (struct pollfd){.fd = s->listening[0], .events = POLLIN};
		p[2] = (struct pollfd){.fd = s->listening[1], .events = POLLIN};
		pthread_mutex_lock(&s->lock);
		count = s->count;
		for (unsigned i = 0; i < count; i++)
			p[3 + i] = (struct pollfd){.fd = s->fds[i], .events = POLLIN};
		pthread_mutex_unlock(&s->lock);
		poll(p, 3 + count, 5);
		if (p[0].revents)
			return NULL;
		pthread_mutex_lock(&s->lock);
		for (unsigned i = s->count; i-- > 0;)
			if (!stub_serve(s, s->fds[i], s->pages[i]))
				stub_close(s, i);
		for (unsigned which = 0; which < 2; which++)
			if (p[1 + which].revents)
				stub_accept(s, which);
		pthread_mutex_unlock(&s->lock);
	}
}

/* As if the broker had died, and another were there at once. */
static inline void stub_hang_up(struct stub *s)
{
	pthread_mutex_lock(&s->lock);
	while (s->count)
		stub_close(s, 0);
	pthread_mutex_unlock(&s->lock);
}

static inline struct boot_time stub_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (struct boot_time){(int64_t)t.tv_sec * NS_PER_S + t.tv_nsec};
}

/* The text of a generation's token: that of no other, in every part of it. */
static inline void stub_token(uint64_t generation, size_t length, char *ret)
{
	for (size_t i = 0; i < length; i++)
		ret[i] = (char)('A' + (generation * 7 + i / 8 * 3 + i % 8) % 26);
	ret[length] = '\0';
}

/* What the page is to say, good for `life_s`. */
static inline void stub_publish(
	struct page *page, uint64_t generation, size_t length, int64_t life_s)
{
	static _Thread_local char text[TOKEN_MAX + 1];
	struct token_slot slot = {
		.generation = generation, .token = {.text = text, .length = length}};
	struct source_page content = {.slot = &slot,
		.dead = boot_add(stub_now(), duration_s(life_s)),
		.stale_from = BOOT_TIME_NEVER,
		.min_ttl_limit_s = life_s / 2};

	content.until = boot_sub(content.dead, duration_s(1));
	snprintf(slot.token.fingerprint, sizeof(slot.token.fingerprint), "%016llx",
		(unsigned long long)generation);
	stub_token(generation, length, text);
	page_publish(page, &content);
}

static inline uint64_t stub_time_namespace(void)
{
	uint64_t time_namespace;

	if (clock_time_namespace(&time_namespace) < 0)
		abort();
	return time_namespace;
}

static inline struct page *stub_page_new(void)
{
	static const uint64_t rules[PAGE_RULES_WORDS] = {1, 2};
	int fd = memfd_new("page", PAGE_MEMORY_SIZE, PAGE_MEMORY_MODE);
	struct page *page;

	if (fd < 0 || page_new(&page, fd, stub_time_namespace(), stub_now(), rules) < 0)
		abort();
	return page;
}

/* From now on the page that is handed over; the former one is retired. */
static inline void stub_replace_page(struct stub *s, struct page *page)
{
	pthread_mutex_lock(&s->lock);
	if (s->page) {
		page_retire(s->page);
		page_free(s->page);
	}
	s->page = page;
	pthread_mutex_unlock(&s->lock);
}

static inline struct stub *stub_new(void)
{
	struct stub *s = calloc(1, sizeof(*s));

	strcpy(s->directory, "/tmp/gct-page.XXXXXX");
	if (!mkdtemp(s->directory) || pipe(s->stop) < 0)
		abort();
	snprintf(s->socket, sizeof(s->socket), "%s/gctokend.sock", s->directory);
	snprintf(s->page_socket, sizeof(s->page_socket), "%s/page.sock", s->directory);
	s->listening[0] = stub_listen(s->socket);
	s->listening[1] = stub_listen(s->page_socket);
	s->page = stub_page_new();
	s->other_fd = -1;
	s->page_status = s->http_status = 200;
	pthread_mutex_init(&s->lock, NULL);
	if (pthread_create(&s->thread, NULL, stub_run, s) != 0)
		abort();
	return s;
}

static inline void stub_free(struct stub *s)
{
	close(s->stop[1]);
	pthread_join(s->thread, NULL);
	while (s->count)
		stub_close(s, 0);
	close(s->stop[0]);
	close(s->listening[0]);
	close(s->listening[1]);
	unlink(s->socket);
	unlink(s->page_socket);
	rmdir(s->directory);
	page_free(s->page);
	free(s);
}

#endif
