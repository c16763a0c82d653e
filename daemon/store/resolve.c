#include "resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static atomic_int threads;

/* What the thread and the loop share; whoever is the last to leave frees it. */
struct question {
	atomic_int users;
	int ring; /* eventfd */
	int error;
	size_t count;
	struct resolve_address addresses[RESOLVE_ADDRESSES_MAX];
	char port[6];
	char name[];
};

struct resolve {
	struct question *question;
	struct event *rung;
	resolve_done *done;
	void *context;
};

static void leave(struct question *q)
{
	if (atomic_fetch_sub(&q->users, 1) > 1)
		return;
	close(q->ring);
	free(q);
}

static void look_up(struct question *q, int flags)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags};
	struct addrinfo *list = NULL;

	q->error = getaddrinfo(q->name, q->port, &hints, &list);
	if (q->error)
		return;
	for (const struct addrinfo *a = list; a && q->count < RESOLVE_ADDRESSES_MAX;
		a = a->ai_next) {
		struct resolve_address *to = &q->addresses[q->count++];

		memcpy(&to->address, a->ai_addr, a->ai_addrlen);
		to->length = a->ai_addrlen;
	}
	freeaddrinfo(list);
}

static void *ask(void *context)
{
	struct question *q = context;

	look_up(q, AI_NUMERICSERV);
	eventfd_write(q->ring, 1);
	leave(q);
	atomic_fetch_sub(&threads, 1);
	return NULL;
}

/* Signals are the loop's: none is handled in the thread. Nobody joins it, since nobody can wait for
 * it. */
static int start_thread(struct question *q)
{
	sigset_t all, before;
	pthread_t thread;
	int r;

	if (atomic_fetch_add(&threads, 1) >= RESOLVE_THREADS_MAX) {
		atomic_fetch_sub(&threads, 1);
		return -EAGAIN;
	}
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	atomic_fetch_add(&q->users, 1);
	r = pthread_create(&thread, NULL, ask, q);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r) {
		leave(q);
		atomic_fetch_sub(&threads, 1);
		return -ENOMEM;
	}
	pthread_setname_np(thread, "resolve");
	pthread_detach(thread);
	return 0;
}

static void rung(evutil_socket_t fd, short what, void *context)
{
	struct resolve *r = context;
	struct question *q = r->question;
	resolve_done *done = r->done;
	const char *failure = NULL;

	(void)fd, (void)what;
	context = r->context;
	if (q->error)
		failure = gai_strerror(q->error);
	else if (!q->count)
		failure = "it has no address";
	/* The addresses are kept until they are read, and the callback may start another. */
	event_free(r->rung);
	free(r);
	done(context, failure, q->addresses, q->count);
	leave(q);
}

static bool is_numeric(const char *name)
{
	unsigned char bytes[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, name, bytes) == 1 || inet_pton(AF_INET6, name, bytes) == 1;
}

static struct question *question_new(const char *name, uint16_t port)
{
	size_t size = strlen(name) + 1;
	struct question *q = calloc(1, sizeof(*q) + size);

	if (!q)
		return NULL;
	q->ring = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (q->ring < 0) {
		free(q);
		return NULL;
	}
	q->users = 1;
	memcpy(q->name, name, size);
	snprintf(q->port, sizeof(q->port), "%u", port);
	return q;
}

int resolve_start(struct resolve **ret, struct event_base *base, const char *name, uint16_t port,
	resolve_done *done, void *context)
{
	struct question *q = question_new(name, port);
	struct resolve *r = q ? malloc(sizeof(*r)) : NULL;
	int error = -ENOMEM;

	if (!r) {
		if (q)
			leave(q);
		return -ENOMEM;
	}
	*r = (struct resolve){.question = q, .done = done, .context = context};
	r->rung = event_new(base, q->ring, EV_READ, rung, r);
	if (r->rung && event_add(r->rung, NULL) == 0) {
		if (is_numeric(name)) {
			look_up(q, AI_NUMERICHOST | AI_NUMERICSERV);
			error = eventfd_write(q->ring, 1) ? -ENOMEM : 0;
		} else {
			error = start_thread(q);
		}
	}
	if (error) {
		resolve_cancel(r);
		return error;
	}
	*ret = r;
	return 0;
}

void resolve_cancel(struct resolve *r)
{
	if (!r)
		return;
	if (r->rung)
		event_free(r->rung);
	leave(r->question);
	free(r);
}
