/* One connection of a caller, for the handler of its requests. */
#ifndef GCTOKEND_FRONT_CONNECTION_H
#define GCTOKEND_FRONT_CONNECTION_H

struct connection;
struct peer;
struct reply;

/* Set by accept from SO_PEERCRED; lives as long as the connection. Its groups are those it is known
 * to be in, if anybody has asked for them. */
const struct peer *connection_peer(const struct connection *c);
/* The same, with all groups that it was in when it connected (SO_PEERGROUPS). Asks the kernel at
 * the first call: for rules that name groups. Where the kernel does not say, nothing is known of
 * the peer any more. */
const struct peer *connection_peer_in_groups(struct connection *c);
/* The systemd unit that the peer ran in when it was first asked about: at accept, where
 * front_limits.units is set. NULL when that cannot be told for sure: no unit, the process that
 * connected has ended by now, a kernel that cannot say which it was, or a shortage of descriptors
 * or memory (then the next call tries again). Reads /proc at the first call, and asks the kernel
 * at each further one, but for the same connection at the same time of the loop's coarse clock: a
 * request may be about hundreds of profiles. For profiles with allow_units only. */
const char *connection_unit(struct connection *c);

/* For the handler's own record of a held request; NULL at first. */
void connection_set_hold(struct connection *c, void *hold);
void *connection_hold(const struct connection *c);
/* Replies to the held request: write the whole reply to *ret, then end with its status, before the
 * next is begun. `_end` sends it; `c` may be freed when it returns. Requests pipelined behind it
 * are served in the loop's next pass, so a handler is never called from here. */
void connection_reply_begin(struct connection *c, struct reply *ret);
void connection_reply_end(struct connection *c, int status);

#endif
