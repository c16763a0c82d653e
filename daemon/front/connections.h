/* The connections of callers: who is let in, and all of them together. */
#ifndef GCTOKEND_FRONT_CONNECTIONS_H
#define GCTOKEND_FRONT_CONNECTIONS_H

#include <stdbool.h>

struct connections;
struct event_base;
struct front_counters;
struct front_handler;
struct front_limits;
struct protocol;
struct reaper;

/* So many at least that are being closed take nobody's place. */
#define CONNECTIONS_CLOSING_FEW 256

enum admission {
	ADMITTED,
	ADMISSION_FAILED, /* out of memory */
	REFUSED_TOTAL_LIMIT,
	REFUSED_USER_LIMIT,
	REFUSED_USER_CLOSING, /* something of theirs is stuck in its close, see reaper.h */
	REFUSED_USER_RATE,
	REFUSED_USER_HELD_OFF, /* not to be told, see toll.h */
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

/* Around some calls of connections_admit. `more`: others may be waiting to be let in, so that those
 * need not be watched at once who have been answered, see newcomers.h. */
void connections_let_in_begin(struct connections *all);
void connections_let_in_end(struct connections *all, bool more);
/* `fd` has connected and would speak `protocol`; `guarded`: see passing.h. It is consumed if
 * admitted, or if that failed; those refused are the caller's to tell and to close. */
enum admission connections_admit(
	struct connections *all, int fd, bool guarded, const struct protocol *protocol);

#endif
