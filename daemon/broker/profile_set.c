/* Every request looks a profile up by its name, and what that costs with a thousand of them is what
 * it misses in the processor's caches: a search in an ordered list goes by ten names, a hash table
 * by one. Names come from the configuration alone, so nobody can choose them to collide. */
#include "profile_set.h"

#include "profile_type.h"

#include "core/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The table is never more than half full, so that there is always an end to a search. */
int profile_set_init(struct profile_set *ret, size_t capacity)
{
	struct profile_set s = {0};
	size_t size = 2;

	while (size < 2 * capacity)
		size *= 2;
	s.items = calloc(capacity ? capacity : 1, sizeof(struct profile *));
	s.slots = calloc(size, sizeof(struct profile *));
	if (!s.items || !s.slots) {
		profile_set_fini(&s);
		return -ENOMEM;
	}
	s.mask = size - 1;
	*ret = s;
	return 0;
}

void profile_set_fini(struct profile_set *s)
{
	free(s->items);
	free(s->slots);
	*s = (struct profile_set){0};
}

void profile_set_add(struct profile_set *s, struct profile *p)
{
	size_t at = profile_name_hash(p->settings->name) & s->mask;

	while (s->slots[at])
		at = (at + 1) & s->mask;
	s->slots[at] = p;
	s->items[s->count++] = p;
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(struct profile *const *)a)->settings->name,
		(*(struct profile *const *)b)->settings->name);
}

void profile_set_sort(struct profile_set *s)
{
	qsort(s->items, s->count, sizeof(struct profile *), by_name);
}

struct profile *profile_set_find(const struct profile_set *s, const char *name)
{
	return profile_set_find_hashed(s, name, profile_name_hash(name));
}

struct profile *profile_set_find_hashed(
	const struct profile_set *s, const char *name, uint32_t hash)
{
	size_t at;

	if (!s->slots)
		return NULL;
	at = hash & s->mask;
	while (s->slots[at] && strcmp(s->slots[at]->settings->name, name))
		at = (at + 1) & s->mask;
	return s->slots[at];
}

struct profile *profile_set_find_client(
	const struct profile_set *s, const struct oauth_client *client)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->items[i]->client == client)
			return s->items[i];
	return NULL;
}
