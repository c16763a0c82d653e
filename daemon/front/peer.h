/* Who is at the other end of a connection, and what is known about each user at once. */
#ifndef GCTOKEND_FRONT_PEER_H
#define GCTOKEND_FRONT_PEER_H

#include "core/access.h"
#include "share.h"
#include <stdint.h>

#define PEER_BUCKETS 1024

struct peer_user {
	struct peer_user *next;
	uint32_t connections;
	uint32_t untaken; /* of those, see untaken.h */
	size_t kept;      /* bytes, by those */
	struct share_user share;
};

struct group_set;

/* All zero is empty. */
struct peer_table {
	struct peer_user *users[PEER_BUCKETS];
	/* Equal lists of groups are kept once: a service's 4,000 connections have one between them.
	 */
	struct group_set *sets[PEER_BUCKETS];
	unsigned idle; /* users without a connection */
};

/* The kernel's overflow ids name nobody: such a gid is left out, such a uid is marked.
 *
 * Neither fails: what cannot be found out makes the whole peer unknown, which every rule denies.
 * peer_read_groups keeps a reference in `peer` that peer_release gives back. */
void peer_read_credentials(int fd, struct peer *ret);
void peer_read_groups(struct peer_table *t, int fd, struct peer *peer);
void peer_release(struct peer_table *t, struct peer *peer);

/* The record of a user who has a connection, or had one of late; else NULL. */
struct peer_user *peer_user_find(const struct peer_table *t, uid_t uid);
/* Counts one connection more. NULL: out of memory. */
struct peer_user *peer_user_enter(struct peer_table *t, uid_t uid);
/* Counts one less. The record stays for a while: what it tells of a user who comes and goes would
 * be lost with each connection otherwise. */
void peer_user_leave(struct peer_table *t, struct peer_user *user);
/* Forgets the users without a connection. */
void peer_table_trim(struct peer_table *t);

#endif
