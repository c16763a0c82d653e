#include "config.h"
#include "config_keys.h"
#include "config_storage.h"
#include <stdlib.h>

/* What no key of its own stands for. */
static void profile_fini(struct profile_settings *p)
{
	free(p->name);
	free(p->region);
}

void config_free(struct config *c)
{
	size_t count;
	const struct config_key *keys = config_keys(&count);

	if (!c)
		return;
	for (const struct config_key *key = keys; key < keys + count; key++) {
		if (key->section == CONFIG_SECTION_BROKER)
			config_member_fini(key, &c->broker);
		for (size_t i = 0; key->section == CONFIG_SECTION_PROFILE && i < c->profile_count;
			i++)
			config_member_fini(key, &c->profiles[i]);
	}
	for (size_t i = 0; i < c->profile_count; i++)
		profile_fini(&c->profiles[i]);
	free(c->profiles);
	free(c);
}

bool config_look_up_names(
	struct config *c, const struct config_lookup *lookup, struct config_unknown *ret)
{
	size_t count;
	const struct config_key *keys = config_keys(&count);
	bool changed = false;

	*ret = (struct config_unknown){0};
	for (const struct config_key *key = keys; key < keys + count; key++) {
		if (key->section == CONFIG_SECTION_BROKER)
			changed |= config_member_look_again(key, lookup, &c->broker, ret);
		for (size_t i = 0; key->section == CONFIG_SECTION_PROFILE && i < c->profile_count;
			i++)
			changed |= config_member_look_again(key, lookup, &c->profiles[i], ret);
	}
	return changed;
}

const char *grant_name(enum grant grant)
{
	const struct config_word *w = config_key_find(CONFIG_SECTION_PROFILE, "grant")->type->words;

	while (w->value != (int)grant)
		w++;
	return w->word;
}

size_t config_restart_keys(
	const struct config *before, const struct config *after, const char **ret_names, size_t max)
{
	size_t count, found = 0;
	const struct config_key *keys = config_keys(&count);

	for (size_t i = 0; i < count; i++) {
		if (!(keys[i].flags & CONFIG_RESTART) ||
			config_member_same(&keys[i], &before->broker, &after->broker))
			continue;
		if (found < max)
			ret_names[found] = keys[i].name;
		found++;
	}
	return found;
}

bool config_needs_units(const struct config *c)
{
	for (size_t i = 0; i < c->profile_count; i++)
		if (access_needs_unit(&c->profiles[i].allow))
			return true;
	return false;
}
