/* The profiles by name. */
#ifndef GCTOKEND_BROKER_PROFILE_SET_H
#define GCTOKEND_BROKER_PROFILE_SET_H

#include <stddef.h>

struct broker;
struct profile;

struct profile_set {
	struct profile **slots; /* lent; NULL: none yet */
	size_t mask;
};

/* Room for so many; 0 or -ENOMEM. Adding to it cannot fail. */
int profile_set_init(struct profile_set *ret, size_t count);
void profile_set_fini(struct profile_set *s);
void profile_set_add(struct profile_set *s, struct profile *p);
/* NULL: there is none of that name. */
struct profile *broker_find_profile(const struct broker *b, const char *name);

#endif
