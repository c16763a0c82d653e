#include "name_table.h"

#include "log.h"
#include "name_asking.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

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
	struct name_asking *asking;
	struct event *rung;
	struct entry *entries;
	size_t pending;
	name_answered *answered;
	void *context;
};

static const char *const kind_names[] = {[NAME_USER] = "user", [NAME_GROUP] = "group"};

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
	if (e->pending) {
		e->once_more = true;
		return;
	}
	if (name_asking_queue(t->asking, e->kind, e->name, known_error(e), e->id)) {
		e->failure = -ENOMEM;
		return;
	}
	e->pending = true;
	t->pending++;
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
static void tell(const struct entry *e, const struct name_question *q)
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

static void take_answer(struct name_table *t, const struct name_question *q)
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
	struct name_question *done = name_asking_take(t->asking), *q;

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

int name_table_new(struct name_table **ret, struct event_base *base)
{
	struct name_table *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	if (!name_asking_new(&t->asking))
		t->rung =
			event_new(base, name_asking_ring(t->asking), EV_READ | EV_PERSIST, rung, t);
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
	name_asking_end(t->asking);
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
	/* Whoever waits for the rest goes on waiting for all of it. */
	if (!news_only || !t->pending)
		name_asking_ring_for_news(t->asking, news_only);
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
	struct timespec until;
	bool in_time = true;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += patience.ns % NS_PER_S;
	until.tv_sec += patience.ns / NS_PER_S + until.tv_nsec / NS_PER_S;
	until.tv_nsec %= NS_PER_S;
	take_answers(t);
	while (t->pending && in_time) {
		in_time = name_asking_wait(t->asking, &until);
		take_answers(t);
	}
}
