#include "access.h"

#include "buffer.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* To look through fewer takes no longer. */
#define SORTED_FROM 16

enum verdict {
	GRANTED_ROOT,
	GRANTED_SELF,
	GRANTED_EVERYBODY,
	GRANTED_USER,
	GRANTED_GROUP,
	DENIED_PEER_UNKNOWN,
	DENIED_NO_RULE,
	DENIED_UNIT_UNKNOWN,
	DENIED_UNIT,
};

/* In the order of enum access_list. */
static const char *const list_names[ACCESS_LISTS] = {"allow_users", "allow_groups", "allow_units"};

const char *access_list_name(enum access_list list)
{
	return list_names[list];
}

/* The first of `count` that is not less. */
static size_t sorted_place(const uint32_t *sorted, size_t count, uint32_t id)
{
	size_t first = 0;

	while (count) {
		size_t half = count / 2;

		if (sorted[first + half] < id) {
			first += half + 1;
			count -= half + 1;
		} else {
			count = half;
		}
	}
	return first;
}

/* `count` are there already, and room for one more. */
static void sorted_insert(uint32_t *sorted, size_t count, uint32_t id)
{
	size_t at = sorted_place(sorted, count, id);

	memmove(sorted + at + 1, sorted + at, (count - at) * sizeof(*sorted));
	sorted[at] = id;
}

static void sorted_remove(uint32_t *sorted, size_t count, uint32_t id)
{
	size_t at = sorted_place(sorted, count, id);

	memmove(sorted + at, sorted + at + 1, (count - at - 1) * sizeof(*sorted));
}

/* All of the list in their order, and the new one, which is behind them already. */
static int sort_one_more(struct id_list *list)
{
	uint32_t *sorted;
	size_t first = list->sorted ? list->count : 0;

	if (list->count < SORTED_FROM)
		return 0;
	sorted = reallocarray(list->sorted, list->count + 1, sizeof(*sorted));
	if (!sorted)
		return -ENOMEM;
	list->sorted = sorted;
	for (; first <= list->count; first++)
		sorted_insert(sorted, first, list->ids[first]);
	return 0;
}

int id_list_add(struct id_list *list, const char *name, const uint32_t *id)
{
	char **names = reallocarray(list->names, list->count + 1, sizeof(*names));

	if (!names)
		return -ENOMEM;
	list->names = names;
	names[list->count] = strdup(name);
	if (!names[list->count])
		return -ENOMEM;
	if (id) {
		uint32_t *ids = reallocarray(list->ids, list->count + 1, sizeof(*ids));

		if (ids) {
			list->ids = ids;
			ids[list->count] = *id;
		}
		if (!ids || sort_one_more(list) < 0) {
			free(names[list->count]);
			return -ENOMEM;
		}
	}
	list->count++;
	return 0;
}

void id_list_set(struct id_list *list, size_t at, uint32_t id)
{
	if (list->sorted) {
		sorted_remove(list->sorted, list->count, list->ids[at]);
		sorted_insert(list->sorted, list->count - 1, id);
	}
	list->ids[at] = id;
}

void id_list_fini(struct id_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->names[i]);
	free(list->names);
	free(list->ids);
	free(list->sorted);
	*list = (struct id_list){0};
}

/* *ret_at: the first that it is. `ret_at` may be NULL. Nobody is in no list. */
static bool id_find(const struct id_list *list, uint32_t id, size_t *ret_at)
{
	size_t at;

	if (id == ID_NOBODY)
		return false;
	if (list->sorted) {
		at = sorted_place(list->sorted, list->count, id);
		if (at == list->count || list->sorted[at] != id)
			return false;
		if (!ret_at)
			return true;
	}
	for (at = 0; at < list->count; at++) {
		if (list->ids[at] != id)
			continue;
		if (ret_at)
			*ret_at = at;
		return true;
	}
	return false;
}

static bool user_find(const struct access_rules *rules, const struct peer *peer, size_t *ret_at)
{
	return !peer->unmapped && id_find(&rules->lists[ACCESS_USERS], peer->uid, ret_at);
}

static bool group_find(const struct access_rules *rules, const struct peer *peer, size_t *ret_at)
{
	const struct id_list *groups = &rules->lists[ACCESS_GROUPS];
	size_t first = SIZE_MAX, at = 0;

	if (id_find(groups, peer->gid, ret_at ? &at : NULL))
		first = at;
	/* Where nobody asks which, the first found will do. */
	for (size_t i = 0; i < peer->group_count && (ret_at || first == SIZE_MAX); i++)
		if (id_find(groups, peer->groups[i], ret_at ? &at : NULL) && at < first)
			first = at;
	if (ret_at && first != SIZE_MAX)
		*ret_at = first;
	return first != SIZE_MAX;
}

static bool unit_find(const struct access_rules *rules, const char *unit, size_t *ret_at)
{
	const struct id_list *units = &rules->lists[ACCESS_UNITS];

	for (size_t i = 0; i < units->count; i++) {
		if (!strcmp(units->names[i], unit)) {
			if (ret_at)
				*ret_at = i;
			return true;
		}
	}
	return false;
}

bool access_needs_unit(const struct access_rules *rules)
{
	return rules->lists[ACCESS_UNITS].count > 0;
}

bool access_needs_groups(const struct access_rules *rules)
{
	return rules->lists[ACCESS_GROUPS].count > 0;
}

/* *ret_at: which user or group; *ret_unit_at: which unit, where units are set. Both may be NULL. */
static enum verdict judge(const struct access_rules *rules, const struct peer *peer,
	const char *unit, uid_t daemon_uid, size_t *ret_at, size_t *ret_unit_at)
{
	enum verdict verdict;

	/* first of all, so that -1 matches nothing, whatever the rules or daemon_uid hold */
	if (peer->uid == (uid_t)-1)
		return DENIED_PEER_UNKNOWN;
	if (peer->uid == 0 && !rules->root_needs_rule)
		return GRANTED_ROOT;
	if (peer->uid == daemon_uid && peer->uid != 0 && !peer->unmapped)
		return GRANTED_SELF;
	if (rules->lists[ACCESS_USERS].everybody)
		verdict = GRANTED_EVERYBODY;
	else if (user_find(rules, peer, ret_at))
		verdict = GRANTED_USER;
	else if (group_find(rules, peer, ret_at))
		verdict = GRANTED_GROUP;
	else
		return DENIED_NO_RULE;
	if (!access_needs_unit(rules))
		return verdict;
	if (!unit)
		return DENIED_UNIT_UNKNOWN;
	return unit_find(rules, unit, ret_unit_at) ? verdict : DENIED_UNIT;
}

bool access_granted(const struct access_rules *rules, const struct peer *peer, const char *unit,
	uid_t daemon_uid)
{
	return judge(rules, peer, unit, daemon_uid, NULL, NULL) < DENIED_PEER_UNKNOWN;
}

void access_decide(const struct access_rules *rules, const struct peer *peer, const char *unit,
	uid_t daemon_uid, struct access_decision *ret)
{
	size_t at = 0, unit_at = 0;
	enum verdict verdict = judge(rules, peer, unit, daemon_uid, &at, &unit_at);
	const char *and = "", *named_unit = "", *name = "*";
	enum access_list list = ACCESS_USERS;

	*ret = (struct access_decision){.granted = verdict < DENIED_PEER_UNKNOWN};
	switch (verdict) {
	case GRANTED_ROOT:
		snprintf(ret->rule, sizeof(ret->rule), "root");
		return;
	case GRANTED_SELF:
		snprintf(ret->rule, sizeof(ret->rule), "the daemon's own user");
		return;
	case GRANTED_EVERYBODY:
		break;
	case GRANTED_USER:
		name = rules->lists[list].names[at];
		break;
	case GRANTED_GROUP:
		list = ACCESS_GROUPS;
		name = rules->lists[list].names[at];
		break;
	case DENIED_PEER_UNKNOWN:
		snprintf(ret->rule, sizeof(ret->rule), "the peer's user is not known");
		return;
	case DENIED_NO_RULE:
		snprintf(ret->rule, sizeof(ret->rule), "no rule names uid %lu or its groups",
			(unsigned long)peer->uid);
		return;
	case DENIED_UNIT_UNKNOWN:
		snprintf(ret->rule, sizeof(ret->rule), "the peer's unit is not known");
		return;
	case DENIED_UNIT:
		snprintf(ret->rule, sizeof(ret->rule), "the unit %s is in no allow_units", unit);
		return;
	}
	if (access_needs_unit(rules)) {
		and = " and allow_units: ";
		named_unit = rules->lists[ACCESS_UNITS].names[unit_at];
	}
	snprintf(ret->rule, sizeof(ret->rule), "%s: %s%s%s", list_names[list], name, and,
		named_unit);
}

/* Each list with its length before it, so that no two rules run together to the same bytes. */
static void put_list(struct buffer *b, const struct id_list *list)
{
	buffer_put_char(b, list->everybody ? '*' : '-');
	buffer_put_unsigned(b, list->count);
	buffer_put_char(b, ':');
	for (size_t i = 0; i < list->count; i++) {
		if (list->ids)
			buffer_put(b, (const char *)&list->ids[i], sizeof(list->ids[i]));
		else
			buffer_put(b, list->names[i], strlen(list->names[i]) + 1);
	}
}

int access_rules_digest(const struct access_rules *rules, const char *salt, uint64_t ret[2])
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	char storage[1024];
	struct buffer b;
	int r = 0;

	buffer_init(&b, storage, sizeof(storage));
	buffer_put(&b, salt, strlen(salt) + 1);
	buffer_put_char(&b, rules->root_needs_rule ? 'r' : '-');
	for (size_t i = 0; i < ACCESS_LISTS; i++)
		put_list(&b, &rules->lists[i]);
	if (buffer_failed(&b))
		r = -ENOMEM;
	else if (!EVP_Q_digest(NULL, "SHA256", NULL, b.data, b.length, hash, NULL))
		r = -EIO;
	else
		memcpy(ret, hash, 2 * sizeof(*ret));
	buffer_fini(&b);
	return r;
}
