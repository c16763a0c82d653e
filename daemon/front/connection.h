/* One connection of a caller, from its first byte to its last. */
#ifndef GCTOKEND_FRONT_CONNECTION_H
#define GCTOKEND_FRONT_CONNECTION_H

#include <stdbool.h>

struct connection;
struct connections;
struct peer;
struct protocol;
struct refusal;
struct replies;
struct stream;

/* `fd` has been accepted and counts for `peer` from here on. Consumes it and the reference in
 * `peer`, whatever the result. Serves what has come already, after which it may be closed again. 0
 * or -ENOMEM. */
int connection_open(struct connections *all, int fd, bool guarded, bool reserved, struct peer *peer,
	bool groups_known, const struct protocol *protocol);
/* Closes it at once, a held one by way of the handler's `abandoned`. */
void connection_free(struct connection *c);
/* Said at once or not at all, and then it is to be closed. */
void connection_refuse(struct connection *c, const struct refusal *refusal);

/* What follows may free `c`. */

/* The reply to a request that was held, behind what it was answered in this pass. Resets it. */
void connection_send(struct connection *c, struct replies *reply);
/* A reply that waited went out in part, or not at all (a negative errno). */
void connection_sent(struct stream *s, int result);
/* There is something to read, to write or to serve. */
void connection_ready(struct connection *c);
/* It is one of all->newcomers, and none any more: it is looked at once more, and then watched; or
 * watched at once. */
void connection_see_newcomer(struct connection *c);
void connection_watch(struct connection *c);
/* Its backlog is served, unless it has to stand behind others. */
void connection_resume_or_wait(struct connection *c);
/* Its deadline has passed. */
void connection_expired(struct connection *c);
/* It is idle, and closed after the reply to what has just come, if that is whole. */
void connection_read_last(struct connection *c);

#endif
