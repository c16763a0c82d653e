/* HTTP exchanges with login servers: libcurl's multi interface on the event loop, never blocking.
 */
#ifndef GCTOKEND_UPSTREAM_FETCH_H
#define GCTOKEND_UPSTREAM_FETCH_H

#include "core/exchange.h"
#include <stddef.h>

struct event_base;
struct fetcher; /* one for the daemon */
struct fetch;   /* one exchange under way */

enum fetch_method {
	FETCH_POST, /* always on a fresh connection: libcurl repeats a POST when a reused one dies
		     */
	FETCH_HEAD, /* on the connection of an earlier exchange where it still lives */
	FETCH_DELETE,
};

/* Strings are copied where libcurl needs them longer than the call. */
struct fetch_request {
	enum fetch_method method;
	const char *url;           /* https only; anything else fails without a byte sent */
	const char *authorization; /* value of that header, NULL: none */
	const char *body;          /* POST: application/x-www-form-urlencoded */
	size_t body_length;
	const char *ca_file;     /* NULL: the system's store */
	const char *proxy;       /* NULL: none, whatever the environment says */
	struct duration timeout; /* the whole exchange, name resolution included */
};

/* Called once from the loop, never from within fetch_start; the exchange's pointers end with the
 * call. */
typedef void fetch_done(void *context, const struct exchange *x);

int fetcher_new(struct fetcher **ret, struct event_base *base);
/* Ends every exchange under way without calling back. */
void fetcher_free(struct fetcher *f);
/* 0 and *ret (may be NULL when the caller will never cancel); -ENOMEM, -EINVAL (url), -EAGAIN (too
 * many under way: the caller tries again later). */
int fetch_start(struct fetcher *f, const struct fetch_request *request, fetch_done *done,
	void *context, struct fetch **ret);
/* The callback will not come. */
void fetch_cancel(struct fetch *fetch);

#endif
