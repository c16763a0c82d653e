/* The threads that ask for users and groups. Questions are appended to a queue under a mutex;
 * threads, made as they are needed, take them one by one, ask with no lock held, append the answers
 * to another list and ring. A name that takes long holds one thread, not the names behind it. For
 * name_table.c alone. */
#ifndef GCTOKEND_HOST_NAME_ASKING_H
#define GCTOKEND_HOST_NAME_ASKING_H

#include "name_lookup.h"
#include <stdbool.h>
#include <time.h>

/* One question, and then its answer. */
struct name_question {
	struct name_question *next;
	enum name_kind kind;
	int error; /* of the answer, as name_look_up; else `id` is it */
	uint32_t id;
	/* What was known when it was asked, likewise; -EINPROGRESS: nothing. */
	int known_error;
	uint32_t known_id;
	char name[];
};

struct name_asking;

/* 0 or -ENOMEM, which stands for whatever it was. */
int name_asking_new(struct name_asking **ret);
/* No answer is wanted any more. Waits for nobody: a thread that is asking ends when it has its
 * answer. NULL is fine. */
void name_asking_end(struct name_asking *a);

/* An eventfd, readable once there are answers. Read it before they are taken, or a later ring could
 * be lost. */
int name_asking_ring(const struct name_asking *a);
/* From now on it rings only for answers that are other than what was known. */
void name_asking_ring_for_news(struct name_asking *a, bool news_only);

/* 0 or -ENOMEM. */
int name_asking_queue(struct name_asking *a, enum name_kind kind, const char *name, int known_error,
	uint32_t known_id);
/* The answers that have come, as a list in no order; each is freed by the caller. */
struct name_question *name_asking_take(struct name_asking *a);
/* Blocks until there is an answer. False: CLOCK_MONOTONIC reached `until` first. */
bool name_asking_wait(struct name_asking *a, const struct timespec *until);

#endif
