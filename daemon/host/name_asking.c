#include "name_asking.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define THREADS_MAX 8

/* What loop and threads share; whoever is the last to leave frees it. */
struct name_asking {
	pthread_mutex_t mutex;
	pthread_cond_t answered;
	struct name_question *queued, **queued_end;
	struct name_question *done;
	unsigned threads;
	unsigned users; /* the threads and the table */
	bool stop;
	bool news_only; /* it rings for nothing else */
	int ring;       /* eventfd */
};

/* With the mutex held, which is given up. */
static void leave(struct name_asking *a)
{
	bool last = --a->users == 0;
	struct name_question *q;

	pthread_mutex_unlock(&a->mutex);
	if (!last)
		return;
	while ((q = a->queued)) {
		a->queued = q->next;
		free(q);
	}
	while ((q = a->done)) {
		a->done = q->next;
		free(q);
	}
	close(a->ring);
	pthread_cond_destroy(&a->answered);
	pthread_mutex_destroy(&a->mutex);
	free(a);
}

static struct name_question *take(struct name_asking *a)
{
	struct name_question *q = a->stop ? NULL : a->queued;

	if (q) {
		a->queued = q->next;
		if (!a->queued)
			a->queued_end = &a->queued;
	}
	return q;
}

static bool is_news(const struct name_question *q)
{
	return q->error != q->known_error || (!q->error && q->id != q->known_id);
}

static void answer(struct name_asking *a, struct name_question *q)
{
	q->next = a->done;
	a->done = q;
	if (!a->news_only || is_news(q))
		eventfd_write(a->ring, 1);
	pthread_cond_signal(&a->answered);
}

static void *ask(void *context)
{
	struct name_asking *a = context;
	struct name_question *q;

	pthread_mutex_lock(&a->mutex);
	while ((q = take(a))) {
		pthread_mutex_unlock(&a->mutex);
		q->error = name_look_up(q->kind, q->name, &q->id);
		pthread_mutex_lock(&a->mutex);
		answer(a, q);
	}
	a->threads--;
	leave(a);
	return NULL;
}

/* With the mutex held. Signals are the loop's: none is handled in the thread. Nobody joins it,
 * since nobody can wait for it. */
static int start_thread(struct name_asking *a)
{
	sigset_t all, before;
	pthread_t thread;
	int r;

	sigfillset(&all);
	r = pthread_sigmask(SIG_SETMASK, &all, &before);
	if (r)
		return -r;
	r = pthread_create(&thread, NULL, ask, a);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r)
		return -r;
	pthread_setname_np(thread, "name-lookup");
	pthread_detach(thread);
	a->threads++;
	a->users++;
	return 0;
}

/* With the mutex held: where no thread can be made and none is there, nobody would ever answer. */
static void see_to_threads(struct name_asking *a)
{
	struct name_question *q;
	int r = a->threads < THREADS_MAX ? start_thread(a) : 0;

	if (!r || a->threads)
		return;
	while ((q = take(a))) {
		q->error = r;
		answer(a, q);
	}
}

int name_asking_new(struct name_asking **ret)
{
	struct name_asking *a = calloc(1, sizeof(*a));
	pthread_condattr_t attributes;

	if (!a)
		return -ENOMEM;
	a->queued_end = &a->queued;
	a->users = 1;
	a->ring = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (a->ring < 0) {
		free(a);
		return -ENOMEM;
	}
	pthread_mutex_init(&a->mutex, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&a->answered, &attributes);
	pthread_condattr_destroy(&attributes);
	*ret = a;
	return 0;
}

void name_asking_end(struct name_asking *a)
{
	if (!a)
		return;
	pthread_mutex_lock(&a->mutex);
	a->stop = true;
	leave(a);
}

int name_asking_ring(const struct name_asking *a)
{
	return a->ring;
}

void name_asking_ring_for_news(struct name_asking *a, bool news_only)
{
	pthread_mutex_lock(&a->mutex);
	a->news_only = news_only;
	pthread_mutex_unlock(&a->mutex);
}

int name_asking_queue(struct name_asking *a, enum name_kind kind, const char *name, int known_error,
	uint32_t known_id)
{
	size_t size = strlen(name) + 1;
	struct name_question *q = malloc(sizeof(*q) + size);

	if (!q)
		return -ENOMEM;
	*q = (struct name_question){.kind = kind, .known_error = known_error, .known_id = known_id};
	memcpy(q->name, name, size);
	pthread_mutex_lock(&a->mutex);
	*a->queued_end = q;
	a->queued_end = &q->next;
	see_to_threads(a);
	pthread_mutex_unlock(&a->mutex);
	return 0;
}

struct name_question *name_asking_take(struct name_asking *a)
{
	struct name_question *done;

	pthread_mutex_lock(&a->mutex);
	done = a->done;
	a->done = NULL;
	pthread_mutex_unlock(&a->mutex);
	return done;
}

bool name_asking_wait(struct name_asking *a, const struct timespec *until)
{
	int r = 0;

	pthread_mutex_lock(&a->mutex);
	while (!a->done && !r)
		r = pthread_cond_timedwait(&a->answered, &a->mutex, until);
	pthread_mutex_unlock(&a->mutex);
	return !r;
}
