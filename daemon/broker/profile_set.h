/* The profiles there are: in the order of their names, and by their name. */
#ifndef GCTOKEND_BROKER_PROFILE_SET_H
#define GCTOKEND_BROKER_PROFILE_SET_H

#include <stddef.h>

struct profile;

/* All zero is empty. */
struct profile_set {
	struct profile **items; /* lent */
	size_t count;
	struct profile **slots; /* a hash table of the same */
	size_t mask;
};

/* Room for so many; 0 or -ENOMEM. Adding to it cannot fail. */
int profile_set_init(struct profile_set *ret, size_t capacity);
/* The profiles themselves stay. */
void profile_set_fini(struct profile_set *s);
/* Once all are there, profile_set_sort puts them in order. */
void profile_set_add(struct profile_set *s, struct profile *p);
void profile_set_sort(struct profile_set *s);
/* NULL: there is none of that name. */
struct profile *profile_set_find(const struct profile_set *s, const char *name);

#endif
