/* (peer, rules) -> decision and the rule that matched. Default deny: empty rules grant nobody.
 *
 * A rule is a list of its own: one line in enum access_list, one row in the table of access.c, its
 * verdict there, and a key in the table of config_keys.c. */
#ifndef GCTOKEND_CORE_ACCESS_H
#define GCTOKEND_CORE_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Who is at the other end, as the kernel said at accept. What could not be found out is -1 or
 * absent, and matches nothing. */
struct peer {
	uid_t uid; /* (uid_t)-1: unknown */
	gid_t gid; /* (gid_t)-1: unknown */
	pid_t pid; /* 0: unknown */
	uint32_t group_count : 31;
	/* `uid` is the kernel's overflow uid: it stands for all users who have no number in the
	 * daemon's user namespace, so no rule can name one. */
	bool unmapped : 1;
	const gid_t *groups; /* supplementary groups; gid is not repeated here */
};

/* Matches nobody: the kernel's word for "no user" and "no group". */
#define ID_NOBODY ((uint32_t)-1)

/* One list of names as the configuration has it, with what the kernel calls them. {0} is empty. */
struct id_list {
	bool everybody; /* "*", and then no names */
	uint32_t *ids;  /* uids or gids; NULL where the names themselves are compared */
	char **names;
	size_t count;
	uint32_t *sorted; /* the ids in their order; NULL where there are few */
};

/* `id` NULL: a name alone, and then so are all of the list. 0 or -ENOMEM. */
int id_list_add(struct id_list *list, const char *name, const uint32_t *id);
/* Another id for the name that is `at` there. */
void id_list_set(struct id_list *list, size_t at, uint32_t id);
void id_list_fini(struct id_list *list);

enum access_list {
	ACCESS_USERS,
	ACCESS_GROUPS,
	ACCESS_UNITS, /* systemd units; where any is set, one must match too */
	ACCESS_LISTS, /* how many */
};

struct access_rules {
	struct id_list lists[ACCESS_LISTS];
	bool root_needs_rule; /* uid 0 is a user like others, even if the daemon runs as it */
};

/* Of a profile's rules: "allow_users". */
const char *access_list_name(enum access_list list);
/* Whether the decision depends on the peer's unit, which costs a look into /proc. */
bool access_needs_unit(const struct access_rules *rules);

/* Whether it may depend on the groups of the peer, which have to be asked for. */
bool access_needs_groups(const struct access_rules *rules);

struct access_decision {
	bool granted;
	char rule[128]; /* "root", "the daemon's own user", "allow_users: alice", "no rule names uid
			   1001", ... */
};

/* `daemon_uid` and root are always granted, but for root_needs_rule. `unit`: the peer's systemd
 * unit, NULL when unknown (then rules with units deny); it is looked at only where
 * access_needs_unit. Constant time is not a goal; no allocation. */
void access_decide(const struct access_rules *rules, const struct peer *peer, const char *unit,
	uid_t daemon_uid, struct access_decision *ret);
/* The same without the words: for the serving path. */
bool access_granted(const struct access_rules *rules, const struct peer *peer, const char *unit,
	uid_t daemon_uid);
/* A number for what the rules say, the same in every run: half of a SHA-256 of `salt` and of all
 * that is in them. 0; -ENOMEM; -EIO. */
int access_rules_digest(const struct access_rules *rules, const char *salt, uint64_t ret[2]);

#endif
