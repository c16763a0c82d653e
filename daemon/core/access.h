/* (peer, rules) -> decision and the rule that matched. Default deny: empty rules grant nobody. */
#ifndef GCTOKEND_CORE_ACCESS_H
#define GCTOKEND_CORE_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Who is at the other end, as the kernel said at accept. What could not be found out is -1 or
 * absent, and matches nothing. */
struct peer {
	uid_t uid;           /* (uid_t)-1: unknown */
	gid_t gid;           /* (gid_t)-1: unknown */
	pid_t pid;           /* 0: unknown */
	const gid_t *groups; /* supplementary groups; gid is not repeated here */
	size_t group_count;
};

/* One name list of the configuration, resolved. The names are kept for messages. */
struct access_rules {
	bool everybody; /* users = "*" */
	uid_t *users;
	char **user_names;
	size_t user_count;
	gid_t *groups;
	char **group_names;
	size_t group_count;
	char **units; /* systemd units; where any is set, one must match too */
	size_t unit_count;
};

struct access_decision {
	bool granted;
	char rule[128]; /* "root", "the daemon's own user", "allow_users: alice", "no rule names uid
			   1001", ... */
};

/* `daemon_uid` and root are always granted. `unit`: the peer's systemd unit, NULL when unknown
 * (then rules with units deny); it is looked at only where rules->unit_count > 0. Constant time is
 * not a goal; no allocation. */
void access_decide(const struct access_rules *rules, const struct peer *peer, const char *unit,
	uid_t daemon_uid, struct access_decision *ret);
/* The same without the words: for the serving path. */
bool access_granted(const struct access_rules *rules, const struct peer *peer, const char *unit,
	uid_t daemon_uid);
/* A number for what the rules say, the same in every run: half of a SHA-256 of `salt` and of the
 * ids and units in them. 0; -ENOMEM; -EIO. */
int access_rules_digest(const struct access_rules *rules, const char *salt, uint64_t ret[2]);
void access_rules_fini(struct access_rules *rules);

#endif
