/* A connection to a server by its name, or by the path of a Unix socket: the name is resolved, and
 * its addresses are tried one by one. */
#ifndef GCTOKEND_STORE_REDIS_DIAL_H
#define GCTOKEND_STORE_REDIS_DIAL_H

#include "redis_link.h"

struct redis_dial;

/* Called once from the loop, never from within redis_dial_start; the dialling ends with it. `link`
 * is ready, and the receiver's to give hooks to and to free; or it is NULL and `why` is lent. */
typedef void redis_dial_done(void *context, struct redis_link *link, const char *why);

/* `path` NULL: by `settings->name` and `port`. `settings->connect` is for the resolver and then for
 * each address. The texts are lent as long as the link lives. 0 or -ENOMEM. */
int redis_dial_start(struct redis_dial **ret, struct event_base *base, const char *path,
	uint16_t port, const struct redis_link_settings *settings, redis_dial_done *done,
	void *context);
/* The callback will not come. Waits for nobody. NULL is fine. */
void redis_dial_cancel(struct redis_dial *d);

#endif
