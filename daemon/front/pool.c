#include "pool.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SLAB_SIZE 32768

/* There each is alone, so that what is used after it was given back is seen. */
#if defined(__SANITIZE_ADDRESS__)
#undef SLAB_SIZE
#define SLAB_SIZE 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#undef SLAB_SIZE
#define SLAB_SIZE 1
#endif
#endif

struct slab {
	struct link link; /* in with_room, or alone */
	unsigned taken;
	unsigned begun; /* the cells from here on were never taken */
	struct cell *given_back;
	char cells[];
};

struct cell {
	struct slab *slab;
	struct cell *next; /* of those given back; while it is taken the element begins here */
};

#define ELEMENT_AT offsetof(struct cell, next)

static size_t cell_size(const struct pool *p)
{
	return ELEMENT_AT + p->size;
}

void pool_init(struct pool *p, size_t size)
{
	const size_t step = sizeof(void *);

	*p = (struct pool){.size = (size + step - 1) / step * step};
	p->per_slab = (unsigned)(SLAB_SIZE / cell_size(p));
	if (!p->per_slab)
		p->per_slab = 1;
	link_init(&p->with_room);
}

static struct slab *first_with_room(const struct pool *p)
{
	return LINK_ELEMENT(p->with_room.next, struct slab, link);
}

void pool_fini(struct pool *p)
{
	while (!link_alone(&p->with_room)) {
		struct slab *s = first_with_room(p);

		assert(!s->taken);
		link_remove(&s->link);
		free(s);
	}
}

static struct slab *slab_new(struct pool *p)
{
	struct slab *s = malloc(sizeof(*s) + p->per_slab * cell_size(p));

	if (!s)
		return NULL;
	*s = (struct slab){0};
	link_init(&s->link);
	link_append(&p->with_room, &s->link);
	return s;
}

static struct cell *cell_take(struct pool *p, struct slab *s)
{
	struct cell *c = s->given_back;

	if (c) {
		s->given_back = c->next;
	} else {
		c = (struct cell *)(void *)(s->cells + s->begun++ * cell_size(p));
		c->slab = s;
	}
	if (++s->taken == p->per_slab)
		link_remove(&s->link);
	return c;
}

void *pool_take(struct pool *p)
{
	struct slab *s = link_alone(&p->with_room) ? slab_new(p) : first_with_room(p);

	return s ? memset((char *)cell_take(p, s) + ELEMENT_AT, 0, p->size) : NULL;
}

void pool_give(struct pool *p, void *element)
{
	struct cell *c;
	struct slab *s;

	if (!element)
		return;
	c = (struct cell *)(void *)((char *)element - ELEMENT_AT);
	s = c->slab;
	c->next = s->given_back;
	s->given_back = c;
	if (s->taken-- == p->per_slab)
		link_append(&p->with_room, &s->link);
	/* One stays, for who comes and goes alone. */
	if (s->taken || (p->per_slab > 1 && p->with_room.next == p->with_room.previous))
		return;
	link_remove(&s->link);
	free(s);
}
