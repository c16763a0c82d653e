/* The connections of callers: who is let in, and what becomes of each until it is closed. */
#ifndef GCTOKEND_FRONT_CONNECTION_H
#define GCTOKEND_FRONT_CONNECTION_H

#include <stdbool.h>

struct connection;
struct connections;
struct event_base;
struct front_counters;
struct front_handler;
struct front_limits;
struct peer;
struct protocol;
struct reaper;
struct reply;

/* ---- for the handler of requests ---- */

/* Set by accept from SO_PEERCRED and SO_PEERGROUPS; lives as long as the connection. */
const struct peer *connection_peer(const struct connection *c);
/* The systemd unit that the peer ran in when it was first asked about: at accept, where
 * front_limits.units is set. NULL when that cannot be told for sure: no unit, the process that
 * connected has ended by now, a kernel that cannot say which it was, or a shortage of descriptors
 * or memory (then the next call tries again). Asks the kernel at each call, and reads /proc at the
 * first: for profiles with allow_units only. */
const char *connection_unit(struct connection *c);

/* For the handler's own record of a held request; NULL at first. */
void connection_set_hold(struct connection *c, void *hold);
void *connection_hold(const struct connection *c);
/* Replies to the held request: write the whole reply to *ret, then end with its status, before the
 * next is begun. `_end` sends it; `c` may be freed when it returns. Requests pipelined behind it
 * are served in the loop's next pass, so a handler is never called from here. */
void connection_reply_begin(struct connection *c, struct reply *ret);
void connection_reply_end(struct connection *c, int status);

/* ---- for those who let callers in ---- */

enum admission {
	ADMITTED,
	ADMISSION_FAILED, /* out of memory */
	REFUSED_TOTAL_LIMIT,
	REFUSED_USER_LIMIT,
	REFUSED_USER_CLOSING, /* something of theirs is stuck in its close, see reaper.h */
	REFUSED_USER_RATE,
};

/* `base`, `reaper` and `handler` must outlive them. 0 or -ENOMEM. */
int connections_new(struct connections **ret, struct event_base *base, struct reaper *reaper,
	const struct front_handler *handler, void *context, const struct front_limits *limits);
/* Closes every one, held ones by way of the handler's `abandoned`. NULL is fine. */
void connections_free(struct connections *all);
void connections_set_limits(struct connections *all, const struct front_limits *limits);
/* From now on every reply is a connection's last. Idle ones are closed, after the reply to what
 * they have just sent, if that is whole. */
void connections_stop(struct connections *all);
struct front_counters *connections_counters(struct connections *all);

/* `fd` has connected and would speak `protocol`; `guarded`: see passing.h. It is consumed if
 * admitted, or if that failed; those refused are the caller's to tell and to close. */
enum admission connections_admit(
	struct connections *all, int fd, bool guarded, const struct protocol *protocol);

#endif
