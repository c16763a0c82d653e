#include "sim.h"

#include <stdio.h>
#include <stdlib.h>

struct sim_event {
	struct true_time at;
	uint64_t order;
	void (*happen)(void *context, uint64_t value);
	void *context;
	uint64_t value;
	enum sim_place place;
};

void *sim_grow(void *array, size_t *room, size_t size)
{
	size_t more = *room ? *room * 2 : 64;
	void *grown = reallocarray(array, more, size);

	if (!grown) {
		fprintf(stderr, "sim: out of memory\n");
		exit(2);
	}
	*room = more;
	return grown;
}

void sim_init(struct sim *s)
{
	*s = (struct sim){0};
}

void sim_fini(struct sim *s)
{
	free(s->heap);
	*s = (struct sim){0};
}

static bool comes_before(const struct sim_event *a, const struct sim_event *b)
{
	return a->at.ns != b->at.ns ? a->at.ns < b->at.ns : a->order < b->order;
}

static void heap_put(struct sim *s, const struct sim_event *e)
{
	size_t i = s->count;

	if (s->count == s->room)
		s->heap = sim_grow(s->heap, &s->room, sizeof(*s->heap));
	s->count++;
	while (i && comes_before(e, &s->heap[(i - 1) / 2])) {
		s->heap[i] = s->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	s->heap[i] = *e;
}

static struct sim_event heap_take(struct sim *s)
{
	struct sim_event first = s->heap[0], last = s->heap[--s->count];
	size_t i = 0;

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= s->count)
			break;
		if (child + 1 < s->count && comes_before(&s->heap[child + 1], &s->heap[child]))
			child++;
		if (!comes_before(&s->heap[child], &last))
			break;
		s->heap[i] = s->heap[child];
		i = child;
	}
	s->heap[i] = last;
	return first;
}

void sim_at(struct sim *s, struct true_time at, enum sim_place place,
	void (*happen)(void *context, uint64_t value), void *context, uint64_t value)
{
	struct sim_event e = {
		.at = at.ns < s->now.ns ? s->now : at,
		.order = ++s->order,
		.happen = happen,
		.context = context,
		.value = value,
		.place = place,
	};

	heap_put(s, &e);
}

void sim_after(struct sim *s, struct duration delay, enum sim_place place,
	void (*happen)(void *context, uint64_t value), void *context, uint64_t value)
{
	sim_at(s, (struct true_time){ns_add(s->now.ns, delay.ns)}, place, happen, context, value);
}

void sim_run(struct sim *s, struct true_time until)
{
	while (s->count && s->heap[0].at.ns <= until.ns) {
		struct sim_event e = heap_take(s);

		if (e.place == SIM_LOCAL && e.at.ns < s->local_from.ns) {
			/* The machine sleeps. Its waking up was planned before this. */
			e.at = s->local_from;
			e.order = ++s->order;
			heap_put(s, &e);
			continue;
		}
		s->now = e.at;
		e.happen(e.context, e.value);
	}
	s->now = until;
}
