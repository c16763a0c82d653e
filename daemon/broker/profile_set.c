/* Profiles by their name. Every request looks one up, and what that costs with a thousand of them
 * is what it misses in the processor's caches: a search in an ordered list goes by ten names, a
 * hash table by one. Names come from the configuration alone, so nobody can choose them to collide.
 */
#include "profile_set.h"

#include "broker.h"
#include "profile_type.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static size_t name_hash(const char *name)
{
	uint32_t hash = 2166136261U; /* FNV-1a */

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 16777619U;
	return hash ^ hash >> 15;
}

/* Never more than half full, so that there is always an end to a search. */
int profile_set_init(struct profile_set *ret, size_t count)
{
	size_t size = 2;

	while (size < 2 * count)
		size *= 2;
	ret->slots = calloc(size, sizeof(struct profile *));
	if (!ret->slots)
		return -ENOMEM;
	ret->mask = size - 1;
	return 0;
}

void profile_set_fini(struct profile_set *n)
{
	free(n->slots);
	*n = (struct profile_set){0};
}

void profile_set_add(struct profile_set *n, struct profile *p)
{
	size_t at = name_hash(p->settings->name) & n->mask;

	while (n->slots[at])
		at = (at + 1) & n->mask;
	n->slots[at] = p;
}

struct profile *broker_find_profile(const struct broker *b, const char *name)
{
	const struct profile_set *n = &b->names;
	size_t at;

	if (!n->slots)
		return NULL;
	at = name_hash(name) & n->mask;
	while (n->slots[at] && strcmp(n->slots[at]->settings->name, name))
		at = (at + 1) & n->mask;
	return n->slots[at];
}
