/* Doubly linked lists through the members themselves: an element can leave the list it is in, in
 * constant time and without knowing which list that is. */
#ifndef GCTOKEND_FRONT_LINKS_H
#define GCTOKEND_FRONT_LINKS_H

#include <stdbool.h>
#include <stddef.h>

/* An element in no list, and an empty list, is linked to itself. */
struct link {
	struct link *previous, *next;
};

#define LINK_ELEMENT(link, type, member) ((type *)((char *)(link)-offsetof(type, member)))

static inline void link_init(struct link *l)
{
	l->previous = l->next = l;
}

static inline bool link_alone(const struct link *l)
{
	return l->next == l;
}

static inline void link_remove(struct link *l)
{
	l->previous->next = l->next;
	l->next->previous = l->previous;
	link_init(l);
}

/* At the end of `list`; `l` is in none. */
static inline void link_append(struct link *list, struct link *l)
{
	l->previous = list->previous;
	l->next = list;
	list->previous->next = l;
	list->previous = l;
}

/* All of `from` becomes the empty list `to`. */
static inline void link_move_all(struct link *to, struct link *from)
{
	if (link_alone(from))
		return;
	*to = *from;
	to->next->previous = to->previous->next = to;
	link_init(from);
}

#endif
