/* The edge to the callers: the HTTP socket, the page socket and their connections. Knows nothing of
 * tokens; whole requests go to a handler, which replies at once or holds the connection and replies
 * later.
 *
 * Steady state: one epoll_wait per loop pass; per keep-alive request one read and one write and no
 * allocation. Connections share one read and one reply buffer; a connection has bytes of its own
 * only while a request is partial, a reply could not be written whole, or requests are pipelined
 * behind a held one. */
#ifndef GCTOKEND_FRONT_FRONT_H
#define GCTOKEND_FRONT_FRONT_H

#include "handler.h"

struct event_base;
struct front;

/* `base` and `handler` must outlive the front; `closer_fd` comes from closer_start (closer.h), or
 * is -1, and is consumed in any case. 0 or a negative errno. */
int front_new(struct front **ret, struct event_base *base, int closer_fd,
	const struct front_handler *handler, void *context, const struct front_limits *limits);
/* A reload: applies to what comes; nobody already connected is cut at once, though a shorter time
 * limit counts from now for them too. */
void front_set_limits(struct front *f, const struct front_limits *limits);
/* `fd` is a listening Unix stream socket; the front owns it after success. -EINVAL: it is none. */
int front_listen(struct front *f, int fd);
/* The same for the page socket, whose connections count for the same limits. Once it has its page a
 * connection stays, silent, until the caller or we end: so each notices that the other is gone. */
int front_listen_pages(struct front *f, int fd);
/* Stop, first half: no more accepts; what has been read still gets its reply, with Connection:
 * close, and so do held requests, which the owner may answer before the second half.
 */
void front_stop(struct front *f);
/* Stop, second half: every connection is closed, held ones by way of `abandoned`; listeners too.
 * NULL is fine. Neither half may be called from within the handler. */
void front_free(struct front *f);
const struct front_counters *front_counters(const struct front *f);

#endif
