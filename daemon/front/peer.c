#include "peer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define GROUPS_AT_FIRST 64
/* No real account is in more; a Kerberos ticket carries about a thousand. The kernel allows 65,536,
 * which whoever has subordinate ids can set, and each such list would cost 256 KiB and the time to
 * read it at every connection. */
#define GROUPS_AT_MOST 4096
/* more users than that without a connection are not remembered */
#define IDLE_AT_MOST 256
#define OVERFLOW_DEFAULT 65534

struct group_set {
	struct group_set *next;
	uint32_t references;
	uint32_t hash;
	size_t count;
	gid_t groups[];
};

static const struct peer nobody = {.uid = (uid_t)-1, .gid = (gid_t)-1};

/* What the kernel says in place of an id that has no number in our user namespace; ID_NOBODY where
 * every id has one, and the number is a user's like another. A process has one namespace. */
static struct {
	bool known;
	uint32_t uid, gid;
} overflow;

/* `map`: a file of lines "first here, first outside, how many". */
static bool all_mapped(const char *map)
{
	FILE *file = fopen(map, "re");
	unsigned long long count, mapped = 0;

	if (!file)
		return false;
	while (fscanf(file, "%*u %*u %llu", &count) == 1)
		mapped += count;
	fclose(file);
	return mapped >= ID_NOBODY;
}

static uint32_t overflow_read(const char *map, const char *path)
{
	FILE *file;
	uint32_t id;

	if (all_mapped(map))
		return ID_NOBODY;
	file = fopen(path, "re");
	if (!file || fscanf(file, "%" SCNu32, &id) != 1)
		id = OVERFLOW_DEFAULT;
	if (file)
		fclose(file);
	return id;
}

static void overflow_find_out(void)
{
	if (overflow.known)
		return;
	overflow.uid = overflow_read("/proc/self/uid_map", "/proc/sys/kernel/overflowuid");
	overflow.gid = overflow_read("/proc/self/gid_map", "/proc/sys/kernel/overflowgid");
	overflow.known = true;
}

void peer_read_credentials(int fd, struct peer *ret)
{
	struct ucred credentials = {.uid = (uid_t)-1, .gid = (gid_t)-1};
	socklen_t length = sizeof(credentials);

	*ret = nobody;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0 ||
		length != sizeof(credentials))
		return;
	overflow_find_out();
	ret->uid = credentials.uid;
	ret->unmapped = credentials.uid == overflow.uid;
	ret->gid = credentials.gid == overflow.gid ? (gid_t)-1 : credentials.gid;
	ret->pid = credentials.pid > 0 ? credentials.pid : 0;
}

/* `first` is for the common case; *ret_heap for the rest, to free in any case. Too many are read as
 * none: the user is still known, and no rule denies anybody for being in a group. */
static int groups_read(int fd, gid_t first[GROUPS_AT_FIRST], gid_t **ret_heap, size_t *ret_count)
{
	socklen_t length = GROUPS_AT_FIRST * sizeof(gid_t);
	gid_t *groups = first;

	while (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &length) < 0) {
		/* ERANGE: `length` now tells what is needed. Twice would be a kernel gone mad. */
		if (errno != ERANGE || groups != first)
			return -errno;
		if (length > GROUPS_AT_MOST * sizeof(gid_t)) {
			*ret_count = 0;
			return 0;
		}
		groups = malloc(length);
		if (!groups)
			return -ENOMEM;
		*ret_heap = groups;
	}
	*ret_count = length / sizeof(gid_t);
	return 0;
}

static uint32_t groups_hash(const gid_t *groups, size_t count)
{
	uint32_t hash = 2166136261U;

	for (size_t i = 0; i < count; i++)
		hash = (hash ^ groups[i]) * 16777619U;
	return hash ^ hash >> 16;
}

static struct group_set *set_take(struct peer_table *t, const gid_t *groups, size_t count)
{
	uint32_t hash = groups_hash(groups, count);
	struct group_set **bucket = &t->sets[hash % PEER_BUCKETS], *set;

	for (set = *bucket; set; set = set->next) {
		if (set->hash == hash && set->count == count &&
			!memcmp(set->groups, groups, count * sizeof(*groups))) {
			set->references++;
			return set;
		}
	}
	set = malloc(sizeof(*set) + count * sizeof(*groups));
	if (!set)
		return NULL;
	*set = (struct group_set){.next = *bucket, .references = 1, .hash = hash, .count = count};
	memcpy(set->groups, groups, count * sizeof(*groups));
	*bucket = set;
	return set;
}

static size_t without(gid_t *groups, size_t count, gid_t gid)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		if (groups[i] != gid)
			groups[kept++] = groups[i];
	return kept;
}

void peer_read_groups(struct peer_table *t, int fd, struct peer *peer)
{
	gid_t first[GROUPS_AT_FIRST], *heap = NULL, *groups;
	struct group_set *set;
	size_t count = 0;

	if (peer->uid == (uid_t)-1)
		return;
	if (groups_read(fd, first, &heap, &count) < 0) {
		*peer = nobody;
		goto out;
	}
	groups = heap ? heap : first;
	count = without(groups, count, peer->gid);
	count = without(groups, count, overflow.gid);
	if (!count)
		goto out;
	set = set_take(t, groups, count);
	if (set) {
		peer->groups = set->groups;
		peer->group_count = (uint32_t)set->count & INT32_MAX;
	} else {
		*peer = nobody;
	}
out:
	free(heap);
}

void peer_release(struct peer_table *t, struct peer *peer)
{
	struct group_set **at;

	if (!peer->group_count)
		return;
	for (at = &t->sets[groups_hash(peer->groups, peer->group_count) % PEER_BUCKETS];
		(*at)->groups != peer->groups;)
		at = &(*at)->next;
	peer->groups = NULL;
	peer->group_count = 0;
	if (!--(*at)->references) {
		struct group_set *last = *at;

		*at = last->next;
		free(last);
	}
}

static size_t user_bucket(uid_t uid)
{
	/* user namespaces hand out uids in steps of 65536 */
	return (uid ^ uid >> 16) % PEER_BUCKETS;
}

struct peer_user *peer_user_find(const struct peer_table *t, uid_t uid)
{
	struct peer_user *user = t->users[user_bucket(uid)];

	while (user && user->share.uid != uid)
		user = user->next;
	return user;
}

struct peer_user *peer_user_enter(struct peer_table *t, uid_t uid)
{
	struct peer_user *user = peer_user_find(t, uid), **bucket;

	if (user) {
		t->idle -= !user->connections;
	} else {
		if (t->idle >= IDLE_AT_MOST)
			peer_table_trim(t);
		user = malloc(sizeof(*user));
		if (!user)
			return NULL;
		bucket = &t->users[user_bucket(uid)];
		*user = (struct peer_user){.next = *bucket};
		share_user_init(&user->share, uid);
		*bucket = user;
	}
	user->connections++;
	return user;
}

void peer_user_leave(struct peer_table *t, struct peer_user *user)
{
	t->idle += !--user->connections;
}

void peer_table_trim(struct peer_table *t)
{
	for (size_t i = 0; i < PEER_BUCKETS; i++) {
		struct peer_user **at = &t->users[i], *user;

		while ((user = *at)) {
			if (user->connections) {
				at = &user->next;
				continue;
			}
			*at = user->next;
			free(user);
		}
	}
	t->idle = 0;
}
