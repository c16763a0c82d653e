#include "config_storage.h"
#include "access.h"
#include "config_keys.h"
#include "config_lookup.h"
#include "config_value.h"
#include "config_words.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int text_store(const struct config_origin *from, const char *text, void *member)
{
	char **place = member;

	(void)from;
	if (!*text)
		return 0;
	*place = strdup(text);
	return *place ? 0 : -ENOMEM;
}

static bool text_same(const void *a, const void *b)
{
	const char *one = *(char *const *)a, *other = *(char *const *)b;

	return one && other ? strcmp(one, other) == 0 : one == other;
}

static void text_fini(void *member)
{
	free(*(char **)member);
}

/* `what`: "user" or "group". For a rule; at a start one account that is gone must not take all
 * profiles with it. */
static void report_missing(
	const struct config_origin *from, const char *what, const char *name, int error)
{
	char quoted[80];

	config_quote(quoted, sizeof(quoted), name);
	if (error == -ENOENT)
		config_problems_add(from->problems, CONFIG_WARNING, &from->place,
			"there is no %s %s on this system; nothing is granted to it until there is "
			"one",
			what, quoted);
	else
		config_problems_add(from->problems, CONFIG_WARNING, &from->place,
			"the %s %s could not be looked up yet: %s; nothing is granted to it until "
			"it is known",
			what, quoted,
			error == -EINPROGRESS ? "the system's name service is slow"
					      : strerror(-error));
}

/* `what`: "user" or "group". */
static void report_unknown(const struct config_origin *from, const char *what, const char *name,
	int error, const char *advice)
{
	char quoted[80];

	config_quote(quoted, sizeof(quoted), name);
	if (error == -ENOENT)
		config_problems_add(from->problems, CONFIG_ERROR, &from->place,
			"there is no %s %s on this system; create it%s", what, quoted, advice);
	else
		config_problems_add(from->problems, CONFIG_ERROR, &from->place,
			"the %s %s could not be looked up: %s", what, quoted,
			error == -EINPROGRESS ? "the system's name service does not answer"
					      : strerror(-error));
}

static int group_store(const struct config_origin *from, const char *text, void *member)
{
	const struct config_lookup *lookup = from->lookup;
	int error;

	*(gid_t *)member = (gid_t)-1;
	if (!*text || id_is_number(text, member))
		return 0;
	error = lookup->gid_by_name(lookup->context, text, member);
	if (error < 0)
		report_unknown(from, "group", text, error,
			", or leave the group alone with: socket_group =");
	return 0;
}

static bool group_same(const void *a, const void *b)
{
	return *(const gid_t *)a == *(const gid_t *)b;
}

static int ids_store(const struct config_origin *from, const char *text, struct id_list *list,
	const char *what, int (*by_name)(void *context, const char *name, uint32_t *ret))
{
	char name[CONFIG_NAME_MAX + 1];

	while (config_list_next(&text, name, sizeof(name))) {
		uint32_t id;
		int error;

		if (strcmp(name, "*") == 0) {
			list->everybody = true;
			continue;
		}
		error = id_is_number(name, &id) ? 0 : by_name(from->lookup->context, name, &id);
		if (error < 0) {
			id = ID_NOBODY;
			if (from->lookup->names_may_be_missing)
				report_missing(from, what, name, error);
			else
				report_unknown(from, what, name, error, " or take the name out");
		}
		if (id_list_add(list, name, &id) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int users_store(const struct config_origin *from, const char *text, void *member)
{
	return ids_store(from, text, member, "user", from->lookup->uid_by_name);
}

static int groups_store(const struct config_origin *from, const char *text, void *member)
{
	return ids_store(from, text, member, "group", from->lookup->gid_by_name);
}

static void note_unknown(struct config_unknown *unknown, const char *what, const char *name)
{
	size_t length = strlen(unknown->text);
	char quoted[80], one[96];

	config_quote(quoted, sizeof(quoted), name);
	snprintf(one, sizeof(one), "%s %s", what, quoted);
	if (strstr(unknown->text, one))
		return;
	unknown->count++;
	if (length + strlen(one) + strlen(", ") < sizeof(unknown->text))
		snprintf(unknown->text + length, sizeof(unknown->text) - length, "%s%s",
			length ? ", " : "", one);
}

static bool ids_look_again(const struct config_lookup *lookup, struct id_list *list,
	const char *what, int (*by_name)(void *context, const char *name, uint32_t *ret),
	struct config_unknown *unknown)
{
	bool changed = false;

	for (size_t i = 0; i < list->count; i++) {
		uint32_t id;

		if (id_is_number(list->names[i], &id))
			continue;
		if (by_name(lookup->context, list->names[i], &id) < 0) {
			id = ID_NOBODY;
			note_unknown(unknown, what, list->names[i]);
		}
		changed |= list->ids[i] != id;
		id_list_set(list, i, id);
	}
	return changed;
}

static bool users_look_again(
	const struct config_lookup *lookup, void *member, struct config_unknown *unknown)
{
	return ids_look_again(lookup, member, "user", lookup->uid_by_name, unknown);
}

static bool groups_look_again(
	const struct config_lookup *lookup, void *member, struct config_unknown *unknown)
{
	return ids_look_again(lookup, member, "group", lookup->gid_by_name, unknown);
}

static int units_store(const struct config_origin *from, const char *text, void *member)
{
	char name[CONFIG_NAME_MAX + 1];
	int error = 0;

	(void)from;
	while (error == 0 && config_list_next(&text, name, sizeof(name)))
		error = id_list_add(member, name, NULL);
	return error;
}

static bool list_same(const void *a, const void *b)
{
	const struct id_list *one = a, *other = b;
	bool same = one->everybody == other->everybody && one->count == other->count;

	for (size_t i = 0; same && i < one->count; i++)
		same = strcmp(one->names[i], other->names[i]) == 0;
	return same;
}

static void list_fini(void *member)
{
	id_list_fini(member);
}

const struct config_storage keep_text = {text_store, text_same, text_fini, NULL};
const struct config_storage keep_group = {group_store, group_same, NULL, NULL};
const struct config_storage keep_users = {users_store, list_same, list_fini, users_look_again};
const struct config_storage keep_groups = {groups_store, list_same, list_fini, groups_look_again};
const struct config_storage keep_units = {units_store, list_same, list_fini, NULL};
const struct config_storage keep_nothing = {NULL, NULL, NULL, NULL};

int config_member_store(const struct config_key *key, const struct config_origin *from,
	const char *text, const union config_value *value, void *base)
{
	const struct config_storage *kept = key->type->kept;
	void *member = (char *)base + key->offset;

	if (kept)
		return kept->store ? kept->store(from, text, member) : 0;
	if (*text)
		memcpy(member, value, key->size);
	return 0;
}

bool config_member_same(const struct config_key *key, const void *base_a, const void *base_b)
{
	const void *a = (const char *)base_a + key->offset, *b = (const char *)base_b + key->offset;

	if (!key->type->kept)
		return memcmp(a, b, key->size) == 0;
	return !key->type->kept->same || key->type->kept->same(a, b);
}

void config_member_fini(const struct config_key *key, void *base)
{
	if (key->type->kept && key->type->kept->fini)
		key->type->kept->fini((char *)base + key->offset);
}

bool config_member_look_again(const struct config_key *key, const struct config_lookup *lookup,
	void *base, struct config_unknown *unknown)
{
	return key->type->kept && key->type->kept->look_again &&
	       key->type->kept->look_again(lookup, (char *)base + key->offset, unknown);
}
