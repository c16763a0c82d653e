/* The two connections to the primary: found, made, and after a loss made anew, with pauses that are
 * random and grow. */
#ifndef GCTOKEND_STORE_REDIS_PAIR_H
#define GCTOKEND_STORE_REDIS_PAIR_H

#include "redis_link.h"
#include "store.h"

struct redis_pair;

struct redis_pair_hooks {
	/* Both are ready; whoever is called now says redis_pair_settled or redis_pair_drop. */
	void (*ready)(void *context);
	/* What the server sent on the connection for commands, and on that for messages. Lent. */
	void (*answered)(void *context, const struct fleet_element *e);
	void (*told)(void *context, const struct fleet_element *e);
	/* They are closed, or another try to make them failed. */
	void (*down)(void *context, const char *why);
};

/* `settings` and `tls` (NULL: plain) are lent as long as it lives. 0 or -ENOMEM. */
int redis_pair_new(struct redis_pair **ret, struct event_base *base,
	const struct store_settings *settings, struct ssl_ctx_st *tls,
	const struct redis_pair_hooks *hooks, void *context);
/* NULL is fine. */
void redis_pair_free(struct redis_pair *p);

/* NULL while there are none. */
struct redis_link *redis_pair_commands(const struct redis_pair *p);
struct redis_link *redis_pair_messages(const struct redis_pair *p);
/* All is well: after the next loss the pauses begin small again. */
void redis_pair_settled(struct redis_pair *p);
/* Closes both, calls `down` and tries again later. Not while there are none. */
void redis_pair_drop(struct redis_pair *p, const char *why);
/* So many hosts may come back at once. */
void redis_pair_set_hosts(struct redis_pair *p, int64_t hosts);

#endif
