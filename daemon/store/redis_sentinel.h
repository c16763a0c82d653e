/* Which server is the primary now, as the first Sentinel says that answers. */
#ifndef GCTOKEND_STORE_REDIS_SENTINEL_H
#define GCTOKEND_STORE_REDIS_SENTINEL_H

#include "redis_link.h"
#include "store.h"

struct redis_sentinel;

#define REDIS_SENTINEL_S 5 /* for each of them to be connected to and to answer */
#define REDIS_NAME_MAX 255

/* Called once from the loop, never from within redis_sentinel_start; the question ends with it.
 * `name` and `port` are the primary's; or `name` is NULL, and `why` says why none is known. */
typedef void redis_sentinel_done(void *context, const char *name, uint16_t port, const char *why);

/* Asks them in turn, `first` the first. A Sentinel is told user and password only if it wants
 * them. The texts are lent until it ends. 0 or -ENOMEM. */
int redis_sentinel_start(struct redis_sentinel **ret, struct event_base *base,
	const struct store_settings *settings, struct ssl_ctx_st *tls, size_t first,
	redis_sentinel_done *done, void *context);
/* NULL is fine. */
void redis_sentinel_cancel(struct redis_sentinel *s);

#endif
