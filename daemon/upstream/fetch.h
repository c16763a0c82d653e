/* HTTP exchanges with login servers and the API: libcurl's multi interface on the event loop, never
 * blocking. */
#ifndef GCTOKEND_UPSTREAM_FETCH_H
#define GCTOKEND_UPSTREAM_FETCH_H

#include "core/exchange.h"
#include "core/fetch_settings.h"
#include <stddef.h>

struct event_base;
struct fetcher; /* one for the daemon */
struct fetch;   /* one exchange under way */

/* Under way at a time. libcurl resolves each name in a thread of its own, and one whose exchange
 * was given up is counted until its resolver has given up as well. */
#define FETCHES_MAX 64

enum fetch_method {
	FETCH_POST,   /* always on a fresh connection and never sent twice: libcurl would repeat one
			 when a reused connection dies */
	FETCH_HEAD,   /* on the connection of an earlier exchange where it still lives, unless
			 `fresh` */
	FETCH_DELETE, /* like FETCH_POST */
};

/* Strings are copied where they are needed longer than the call; the copies of `authorization` and
 * `body` are wiped when the exchange ends. */
struct fetch_request {
	enum fetch_method method;
	bool fresh;                /* on a connection of its own */
	const char *url;           /* https without user and password; anything else is -EINVAL */
	const char *authorization; /* value of that header, NULL: none */
	const char *body;          /* POST: application/x-www-form-urlencoded */
	size_t body_length;
	struct fetch_settings settings; /* its texts are only lent */
};

/* Called once from the loop, never from within fetch_start; the exchange's pointers end with the
 * call, and its body is wiped then. fetch_start and fetch_cancel (of another fetch; of its own it
 * does nothing) may be called from it, fetcher_free may not. */
typedef void fetch_done(void *context, const struct exchange *x);

/* `clock_read` fills in every clock; it is called when an exchange starts, leaves and is answered.
 * 0; -ENOMEM; -EIO: libcurl would not start, or is one that could not keep the promises here. */
int fetcher_new(struct fetcher **ret, struct event_base *base,
	void (*clock_read)(struct clock_reading *ret));
/* Ends every exchange under way without calling back; never waits for a resolver. The event base
 * must still be there. NULL is fine. */
void fetcher_free(struct fetcher *f);
/* Connections from now on read their CA files again, instead of after a day: for a reload. */
void fetcher_forget_ca(struct fetcher *f);
/* 0 and *ret (may be NULL when the caller will never cancel); -ENOMEM, -EINVAL (url, timeout, a
 * line break in authorization), -EAGAIN (too many under way: the caller tries again later). */
int fetch_start(struct fetcher *f, const struct fetch_request *request, fetch_done *done,
	void *context, struct fetch **ret);
/* Ends it now as its deadline would, for that reason, unless a response has begun to come. The
 * callback comes before this returns. `failure` must outlive it. Not to be called after it came. */
void fetch_end(struct fetch *fetch, const char *failure);
/* The callback will not come. Not to be called after it came. NULL is fine. */
void fetch_cancel(struct fetch *fetch);

#endif
