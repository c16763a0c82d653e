#include "access.h"

#include "buffer.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static bool user_find(const struct access_rules *rules, uid_t uid, size_t *ret_at)
{
	for (size_t i = 0; i < rules->user_count; i++) {
		if (rules->users[i] == uid) {
			*ret_at = i;
			return true;
		}
	}
	return false;
}

static bool peer_is_in(const struct peer *peer, gid_t gid)
{
	if (gid == (gid_t)-1)
		return false;
	if (peer->gid == gid)
		return true;
	for (size_t i = 0; i < peer->group_count; i++)
		if (peer->groups[i] == gid)
			return true;
	return false;
}

static bool group_find(const struct access_rules *rules, const struct peer *peer, size_t *ret_at)
{
	for (size_t i = 0; i < rules->group_count; i++) {
		if (peer_is_in(peer, rules->groups[i])) {
			*ret_at = i;
			return true;
		}
	}
	return false;
}

static bool unit_find(const struct access_rules *rules, const char *unit, size_t *ret_at)
{
	for (size_t i = 0; i < rules->unit_count; i++) {
		if (!strcmp(rules->units[i], unit)) {
			*ret_at = i;
			return true;
		}
	}
	return false;
}

/* *ret_at: which user or group; *ret_unit_at: which unit, where units are set. */
static enum verdict judge(const struct access_rules *rules, const struct peer *peer,
	const char *unit, uid_t daemon_uid, size_t *ret_at, size_t *ret_unit_at)
{
	enum verdict verdict;

	/* first of all, so that -1 matches nothing, whatever the rules or daemon_uid hold */
	if (peer->uid == (uid_t)-1)
		return DENIED_PEER_UNKNOWN;
	if (peer->uid == 0)
		return GRANTED_ROOT;
	if (peer->uid == daemon_uid)
		return GRANTED_SELF;
	if (rules->everybody)
		verdict = GRANTED_EVERYBODY;
	else if (user_find(rules, peer->uid, ret_at))
		verdict = GRANTED_USER;
	else if (group_find(rules, peer, ret_at))
		verdict = GRANTED_GROUP;
	else
		return DENIED_NO_RULE;
	if (!rules->unit_count)
		return verdict;
	if (!unit)
		return DENIED_UNIT_UNKNOWN;
	return unit_find(rules, unit, ret_unit_at) ? verdict : DENIED_UNIT;
}

bool access_granted(const struct access_rules *rules, const struct peer *peer, const char *unit,
	uid_t daemon_uid)
{
	size_t at, unit_at;

	return judge(rules, peer, unit, daemon_uid, &at, &unit_at) < DENIED_PEER_UNKNOWN;
}

void access_decide(const struct access_rules *rules, const struct peer *peer, const char *unit,
	uid_t daemon_uid, struct access_decision *ret)
{
	size_t at = 0, unit_at = 0;
	enum verdict verdict = judge(rules, peer, unit, daemon_uid, &at, &unit_at);
	const char *and = "", *named_unit = "", *kind = "allow_users", *name = "*";

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
		name = rules->user_names[at];
		break;
	case GRANTED_GROUP:
		kind = "allow_groups";
		name = rules->group_names[at];
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
	if (rules->unit_count) {
		and = " and allow_units: ";
		named_unit = rules->units[unit_at];
	}
	snprintf(ret->rule, sizeof(ret->rule), "%s: %s%s%s", kind, name, and, named_unit);
}

/* Every list with its length before it, so that no two rules run together to the same bytes. */
static void put_ids(struct buffer *b, const void *ids, size_t count, size_t size)
{
	buffer_put_unsigned(b, count);
	buffer_put_char(b, ':');
	if (count)
		buffer_put(b, ids, count * size);
}

int access_rules_digest(const struct access_rules *rules, const char *salt, uint64_t ret[2])
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	char storage[1024];
	struct buffer b;
	int r = 0;

	buffer_init(&b, storage, sizeof(storage));
	buffer_put(&b, salt, strlen(salt) + 1);
	buffer_put_char(&b, rules->everybody ? '*' : '-');
	put_ids(&b, rules->users, rules->user_count, sizeof(*rules->users));
	put_ids(&b, rules->groups, rules->group_count, sizeof(*rules->groups));
	for (size_t i = 0; i < rules->unit_count; i++)
		buffer_put(&b, rules->units[i], strlen(rules->units[i]) + 1);
	if (buffer_failed(&b))
		r = -ENOMEM;
	else if (!EVP_Q_digest(NULL, "SHA256", NULL, b.data, b.length, hash, NULL))
		r = -EIO;
	else
		memcpy(ret, hash, 2 * sizeof(*ret));
	buffer_fini(&b);
	return r;
}

static void names_free(char **names, size_t count)
{
	for (size_t i = 0; names && i < count; i++)
		free(names[i]);
	free(names);
}

void access_rules_fini(struct access_rules *rules)
{
	names_free(rules->user_names, rules->user_count);
	names_free(rules->group_names, rules->group_count);
	names_free(rules->units, rules->unit_count);
	free(rules->users);
	free(rules->groups);
	*rules = (struct access_rules){0};
}
