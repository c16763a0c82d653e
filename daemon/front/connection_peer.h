/* Who is at the other end of a connection, for the handler of its requests. */
#ifndef GCTOKEND_FRONT_CONNECTION_PEER_H
#define GCTOKEND_FRONT_CONNECTION_PEER_H

struct connection;
struct peer;

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

#endif
