/* All profiles, in the order of their names, and found by name. */
#ifndef GCTOKEND_BROKER_PROFILE_SET_H
#define GCTOKEND_BROKER_PROFILE_SET_H

#include <stddef.h>
#include <stdint.h>

struct oauth_client;
struct profile;

/* All zero is empty. */
struct profile_set {
	struct profile **items; /* not owned */
	size_t count;
	struct profile **slots; /* a hash table of the same */
	size_t mask;
};

/* Has room for so many, so that adding cannot fail. 0 or -ENOMEM. */
int profile_set_init(struct profile_set *ret, size_t capacity);
/* Frees the set, not the profiles. */
void profile_set_fini(struct profile_set *s);
/* Once all have been added, profile_set_sort puts them in order. */
void profile_set_add(struct profile_set *s, struct profile *p);
void profile_set_sort(struct profile_set *s);
/* NULL: there is none of that name. */
struct profile *profile_set_find(const struct profile_set *s, const char *name);
/* The same for who has the name's hash already: profile_name_hash. */
struct profile *profile_set_find_hashed(
	const struct profile_set *s, const char *name, uint32_t hash);
/* The first that uses the client; NULL: none does. */
struct profile *profile_set_find_client(
	const struct profile_set *s, const struct oauth_client *client);

#endif
