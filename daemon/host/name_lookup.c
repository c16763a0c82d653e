/* The loop appends names to a queue under a mutex; threads, made as they are needed, take them one
 * by one, ask with no lock held, append the answers to another list and ring an eventfd. A name
 * that takes long holds one thread, not the names behind it. The table itself is the loop's alone.
 */
#include "name_lookup.h"

#include "log.h"

#include <errno.h>
#include <event2/event.h>
#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX 8
#define BUFFER_MAX (1024 * 1024)

/* One question, which a thread has while it asks. */
struct question {
	struct question *next;
	enum name_kind kind;
	int error; /* of the answer; else `id` is it */
	uint32_t id;
	/* What was known when it was asked, likewise; -EINPROGRESS: nothing. */
	int known_error;
	uint32_t known_id;
	char name[];
};

/* What loop and threads share; whoever is the last to leave frees it. */
struct asking {
	pthread_mutex_t mutex;
	pthread_cond_t answered;
	struct question *queued, **queued_end;
	struct question *done;
	unsigned threads;
	unsigned users; /* the threads and the table */
	bool stop;
	bool news_only; /* the loop is woken for nothing else */
	int ring;       /* eventfd */
};

enum answer {
	ANSWER_NONE_YET,
	ANSWER_FOUND,
	ANSWER_UNKNOWN,
};

struct entry {
	struct entry *next;
	enum name_kind kind;
	enum answer answer; /* the last one that was one */
	uint32_t id;        /* where found */
	int failure;        /* of the latest try; 0: it was answered */
	bool pending;
	bool once_more; /* after the question that is under way */
	bool wanted;    /* since name_table_unmark */
	char name[];
};

struct name_table {
	struct asking *asking;
	struct event *rung;
	struct entry *entries;
	size_t pending;
	name_answered *answered;
	void *context;
};

static const char *const kind_names[] = {[NAME_USER] = "user", [NAME_GROUP] = "group"};

/* 0 without an entry is how the *_r functions say that there is none of that name; some errors mean
 * it as well. */
static int lookup_error(int error, bool found)
{
	if (error == 0 && found)
		return 0;
	if (error == 0 || error == ENOENT || error == ESRCH || error == EBADF || error == EPERM)
		return -ENOENT;
	return -error;
}

static int look_up(enum name_kind kind, const char *name, char *buffer, size_t size, uint32_t *ret)
{
	struct passwd user, *found_user = NULL;
	struct group group, *found_group = NULL;
	int error;

	if (kind == NAME_USER) {
		error = getpwnam_r(name, &user, buffer, size, &found_user);
		if (!error && found_user)
			*ret = user.pw_uid;
	} else {
		error = getgrnam_r(name, &group, buffer, size, &found_group);
		if (!error && found_group)
			*ret = group.gr_gid;
	}
	return error == ERANGE ? -ERANGE : lookup_error(error, found_user || found_group);
}

int name_look_up(enum name_kind kind, const char *name, uint32_t *ret)
{
	char *buffer = NULL;
	int error = -ERANGE;

	/* They say ERANGE until the buffer is large enough: a group may have many members. */
	for (size_t size = 1024; error == -ERANGE && size <= BUFFER_MAX; size *= 2) {
		free(buffer);
		buffer = malloc(size);
		error = buffer ? look_up(kind, name, buffer, size, ret) : -ENOMEM;
	}
	free(buffer);
	return error;
}

/* With the mutex held, which is given up. */
static void leave(struct asking *a)
{
	bool last = --a->users == 0;
	struct question *q;

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

static struct question *take(struct asking *a)
{
	struct question *q = a->stop ? NULL : a->queued;

	if (q) {
		a->queued = q->next;
		if (!a->queued)
			a->queued_end = &a->queued;
	}
	return q;
}

static bool is_news(const struct question *q)
{
	return q->error != q->known_error || (!q->error && q->id != q->known_id);
}

static void answer(struct asking *a, struct question *q)
{
	q->next = a->done;
	a->done = q;
	if (!a->news_only || is_news(q))
		eventfd_write(a->ring, 1);
	pthread_cond_signal(&a->answered);
}

static void *ask(void *context)
{
	struct asking *a = context;
	struct question *q;

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
static int start_thread(struct asking *a)
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
static void see_to_threads(struct asking *a)
{
	struct question *q;
	int r = a->threads < THREADS_MAX ? start_thread(a) : 0;

	if (!r || a->threads)
		return;
	while ((q = take(a))) {
		q->error = r;
		answer(a, q);
	}
}

static int known_error(const struct entry *e)
{
	if (e->failure)
		return e->failure;
	if (e->answer == ANSWER_NONE_YET)
		return -EINPROGRESS;
	return e->answer == ANSWER_FOUND ? 0 : -ENOENT;
}

static void queue(struct name_table *t, struct entry *e)
{
	struct asking *a = t->asking;
	size_t size = strlen(e->name) + 1;
	struct question *q;

	if (e->pending) {
		e->once_more = true;
		return;
	}
	q = malloc(sizeof(*q) + size);
	if (!q) {
		e->failure = -ENOMEM;
		return;
	}
	*q = (struct question){.kind = e->kind, .known_error = known_error(e), .known_id = e->id};
	memcpy(q->name, e->name, size);
	e->pending = true;
	t->pending++;
	pthread_mutex_lock(&a->mutex);
	*a->queued_end = q;
	a->queued_end = &q->next;
	see_to_threads(a);
	pthread_mutex_unlock(&a->mutex);
}

static struct entry *find(const struct name_table *t, enum name_kind kind, const char *name)
{
	struct entry *e = t->entries;

	while (e && (e->kind != kind || strcmp(e->name, name) != 0))
		e = e->next;
	return e;
}

/* What changed since an earlier answer; who is not there from the start on is told of by those who
 * read the configuration. */
static void tell(const struct entry *e, const struct question *q)
{
	const char *kind = kind_names[e->kind];
	const char *id = e->kind == NAME_USER ? "uid" : "gid";

	if (q->error && q->error != -ENOENT) {
		if (q->error != e->failure)
			log_line(LOG_WARNING, "the %s \"%s\" could not be looked up: %s%s", kind,
				e->name, strerror(-q->error),
				e->answer == ANSWER_NONE_YET ? "" : "; what was known stays");
	} else if (e->answer == ANSWER_FOUND && q->error) {
		log_line(LOG_WARNING,
			"there is no %s \"%s\" any more, %s %u: nothing is granted to it", kind,
			e->name, id, e->id);
	} else if (e->answer == ANSWER_FOUND && q->id != e->id) {
		log_line(LOG_WARNING, "the %s \"%s\" is %s %u now, not %u any more", kind, e->name,
			id, q->id, e->id);
	} else if (e->answer == ANSWER_UNKNOWN && !q->error) {
		log_line(LOG_NOTICE, "there is a %s \"%s\" now, %s %u", kind, e->name, id, q->id);
	}
}

static void take_answer(struct name_table *t, const struct question *q)
{
	struct entry *e = find(t, q->kind, q->name);

	if (!e || !e->pending) /* swept meanwhile, perhaps here again */
		return;
	tell(e, q);
	e->failure = q->error == -ENOENT ? 0 : q->error;
	if (!q->error) {
		e->answer = ANSWER_FOUND;
		e->id = q->id;
	} else if (q->error == -ENOENT) {
		e->answer = ANSWER_UNKNOWN;
	}
	e->pending = false;
	t->pending--;
	if (e->once_more) {
		e->once_more = false;
		queue(t, e);
	}
}

static void take_answers(struct name_table *t)
{
	struct asking *a = t->asking;
	struct question *done, *q;

	pthread_mutex_lock(&a->mutex);
	done = a->done;
	a->done = NULL;
	pthread_mutex_unlock(&a->mutex);
	while ((q = done)) {
		done = q->next;
		take_answer(t, q);
		free(q);
	}
}

static void rung(evutil_socket_t fd, short what, void *context)
{
	struct name_table *t = context;
	eventfd_t count;

	(void)what;
	eventfd_read(fd, &count); /* before the list is taken, or a later ring could be lost */
	take_answers(t);
	if (t->answered)
		t->answered(t->context);
}

static struct asking *asking_new(void)
{
	struct asking *a = calloc(1, sizeof(*a));
	pthread_condattr_t attributes;

	if (!a)
		return NULL;
	a->queued_end = &a->queued;
	a->users = 1;
	a->ring = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (a->ring < 0) {
		free(a);
		return NULL;
	}
	pthread_mutex_init(&a->mutex, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&a->answered, &attributes);
	pthread_condattr_destroy(&attributes);
	return a;
}

int name_table_new(struct name_table **ret, struct event_base *base)
{
	struct name_table *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->asking = asking_new();
	if (t->asking)
		t->rung = event_new(base, t->asking->ring, EV_READ | EV_PERSIST, rung, t);
	if (!t->rung || event_add(t->rung, NULL)) {
		name_table_free(t);
		return -ENOMEM;
	}
	*ret = t;
	return 0;
}

void name_table_free(struct name_table *t)
{
	struct entry *e;

	if (!t)
		return;
	if (t->rung)
		event_free(t->rung);
	if (t->asking) {
		pthread_mutex_lock(&t->asking->mutex);
		t->asking->stop = true;
		leave(t->asking);
	}
	while ((e = t->entries)) {
		t->entries = e->next;
		free(e);
	}
	free(t);
}

void name_table_set_hook(struct name_table *t, name_answered *answered, void *context)
{
	t->answered = answered;
	t->context = context;
}

static struct entry *enter(struct name_table *t, enum name_kind kind, const char *name)
{
	size_t size = strlen(name) + 1;
	struct entry *e = malloc(sizeof(*e) + size);

	if (!e)
		return NULL;
	*e = (struct entry){.next = t->entries, .kind = kind};
	memcpy(e->name, name, size);
	t->entries = e;
	return e;
}

int name_table_get(struct name_table *t, enum name_kind kind, const char *name, uint32_t *ret)
{
	struct entry *e = find(t, kind, name);

	if (!e) {
		e = enter(t, kind, name);
		if (!e)
			return -ENOMEM;
		queue(t, e);
	}
	e->wanted = true;
	switch (e->answer) {
	case ANSWER_FOUND:
		*ret = e->id;
		return 0;
	case ANSWER_UNKNOWN:
		return -ENOENT;
	case ANSWER_NONE_YET:
		break;
	}
	return e->pending ? -EINPROGRESS : e->failure;
}

static void ask_again(struct name_table *t, bool news_only)
{
	take_answers(t);
	pthread_mutex_lock(&t->asking->mutex);
	/* Whoever waits for the rest goes on waiting for all of it. */
	if (!news_only || !t->pending)
		t->asking->news_only = news_only;
	pthread_mutex_unlock(&t->asking->mutex);
	for (struct entry *e = t->entries; e; e = e->next)
		queue(t, e);
}

void name_table_refresh(struct name_table *t)
{
	ask_again(t, false);
}

void name_table_look(struct name_table *t)
{
	ask_again(t, true);
}

bool name_table_empty(const struct name_table *t)
{
	return !t->entries;
}

void name_table_unmark(struct name_table *t)
{
	for (struct entry *e = t->entries; e; e = e->next)
		e->wanted = false;
}

void name_table_sweep(struct name_table *t)
{
	struct entry **at = &t->entries, *e;

	while ((e = *at)) {
		if (e->wanted) {
			at = &e->next;
			continue;
		}
		*at = e->next;
		t->pending -= e->pending;
		free(e);
	}
}

size_t name_table_pending(const struct name_table *t)
{
	return t->pending;
}

void name_table_wait(struct name_table *t, struct duration patience)
{
	struct asking *a = t->asking;
	struct timespec until;
	int r = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += patience.ns % NS_PER_S;
	until.tv_sec += patience.ns / NS_PER_S + until.tv_nsec / NS_PER_S;
	until.tv_nsec %= NS_PER_S;
	take_answers(t);
	while (t->pending && !r) {
		pthread_mutex_lock(&a->mutex);
		while (!a->done && !r)
			r = pthread_cond_timedwait(&a->answered, &a->mutex, &until);
		pthread_mutex_unlock(&a->mutex);
		take_answers(t);
	}
}
