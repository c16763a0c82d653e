/* How the model keeps values that are more than their bytes: on its way in, for the comparison of a
 * reload, and when it is freed. Named by the types, in config_keys.c. */
#ifndef GCTOKEND_CORE_CONFIG_STORAGE_H
#define GCTOKEND_CORE_CONFIG_STORAGE_H

#include "config_problems.h"
#include <stdbool.h>
#include <stddef.h>

struct config_key;
struct config_lookup;
union config_value;

/* Where a value that is stored comes from, and what it means on this system. */
struct config_origin {
	const struct config_lookup *lookup;
	struct config_problems *problems;
	struct config_place place;
};

/* The users and groups of rules to whom nothing is granted, since there are none of these names or
 * none are known yet. */
struct config_unknown {
	size_t count;
	char text[400]; /* user "bob", group "ops": each once, as many as there is room for */
};

/* NULL where there is nothing to do. */
struct config_storage {
	/* `text` is good by its type, or "". What it says that does not hold on this system is a
	 * problem. 0 or -ENOMEM. */
	int (*store)(const struct config_origin *from, const char *text, void *member);
	bool (*same)(const void *a, const void *b);
	void (*fini)(void *member);
	/* Names are looked up again. True if one of them has become another id. */
	bool (*look_again)(
		const struct config_lookup *lookup, void *member, struct config_unknown *unknown);
};

extern const struct config_storage keep_text;    /* char *, NULL: none */
extern const struct config_storage keep_group;   /* gid_t, (gid_t)-1: none */
extern const struct config_storage keep_users;   /* struct id_list */
extern const struct config_storage keep_groups;  /* struct id_list */
extern const struct config_storage keep_units;   /* struct id_list */
extern const struct config_storage keep_nothing; /* the member is filled in by other means */

/* For a key whose section begins at `base` in the model. `value` is what was read of `text`, which
 * is "" where nothing is set: then the member stays as it is. 0 or -ENOMEM. */
int config_member_store(const struct config_key *key, const struct config_origin *from,
	const char *text, const union config_value *value, void *base);
bool config_member_same(const struct config_key *key, const void *base_a, const void *base_b);
void config_member_fini(const struct config_key *key, void *base);
bool config_member_look_again(const struct config_key *key, const struct config_lookup *lookup,
	void *base, struct config_unknown *unknown);

#endif
