/* The edge to the clients: listeners and connections of the HTTP socket. Knows nothing of tokens;
 * whole requests go to a handler, which answers at once or holds the connection and answers later.
 *
 * Steady state: one epoll_wait per loop pass; per keep-alive request one read and one write and no
 * allocation. Connections share one read and one answer buffer; a connection has bytes of its own
 * only while a request is partial, an answer could not be written whole, or requests are pipelined
 * behind a held one. */
#ifndef GCTOKEND_FRONT_FRONT_H
#define GCTOKEND_FRONT_FRONT_H

#include "core/access.h"
#include "core/buffer.h"
#include "core/http_request.h"
#include "core/times.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct front;
struct connection;
struct page;

#define FRONT_HELD 0

struct front_handler {
	/* One whole request of `c`. Either appends its whole answer (head and body) to `out` and
	 * returns the HTTP status, or returns FRONT_HELD, appends nothing, and answers later by
	 * connection_answer_begin and _end: not before it has returned, but other connections may
	 * be answered from here. request->keep_alive is what the answer has to announce. The
	 * request's spans, and `out`, are gone when it returns. */
	int (*request)(void *context, struct connection *c, const struct http_request *request,
		struct buffer *out);
	/* The client of a held connection is gone, or the front is being closed: forget it. A
	 * client that has only stopped sending (half a close) still gets its answer. */
	void (*abandoned)(void *context, struct connection *c);
	/* Descriptors or memory ran out, and accepting pauses for a moment: up to ten times a
	 * second. May be NULL. */
	void (*accept_failed)(void *context);
	/* The client asks on the page socket for the page of `profile`, a string that is not yet
	 * known to be a profile's name. 200 and *ret_page, which is handed over before anything
	 * else happens; or another status of gctoken_page.h. May be NULL: no such socket then. */
	int (*page)(void *context, struct connection *c, const char *profile,
		const struct page **ret_page);
};

struct front_limits {
	uint32_t max_connections;
	uint32_t max_connections_per_user; /* a further one is answered 429 and closed; so are
					      more a second, where others want to be served */
	struct duration request_deadline;  /* from a request's first byte to its last: 408; also how
					      long a client may take to read its answers, and to
					      close after it was refused. Late by 1/16, at most
					      half a second */
	struct duration idle_timeout;      /* between requests: closed silently. Late by 1/16, at
					      most 20 s */
};

struct front_counters {
	uint64_t accepted;
	uint64_t refused_total_limit, refused_user_limit, refused_user_rate;
	uint64_t accept_failures; /* descriptors or memory ran out */
	uint64_t deadline_cut;    /* 408, or answers not read in time */
	uint64_t bad_requests;    /* refused by the parser */
	uint64_t requests[600];   /* answered, by status; not those turned away at accept */
	uint32_t connections;     /* now */
	uint32_t held;            /* now */
};

/* `base` and `handler` must outlive the front. 0 or -ENOMEM. */
int front_new(struct front **ret, struct event_base *base, const struct front_handler *handler,
	void *context, const struct front_limits *limits);
/* A reload: applies to what comes; nobody already connected is cut at once, though a shorter time
 * limit counts from now for them too. */
void front_set_limits(struct front *f, const struct front_limits *limits);
/* `fd` is a listening Unix stream socket; the front owns it after success. -EINVAL: it is none. */
int front_listen(struct front *f, int fd);
/* The same for the page socket, whose connections count for the same limits. Once it has its page a
 * connection stays, silent, until the client or we end: so each notices that the other is gone. */
int front_listen_pages(struct front *f, int fd);
/* Stop, first half: no more accepts; what has been read is still answered, with Connection: close.
 */
void front_stop(struct front *f);
/* Stop, second half: every connection is closed, held ones by way of `abandoned`; listeners too.
 * NULL is fine. Neither half may be called from within the handler. */
void front_free(struct front *f);
const struct front_counters *front_counters(const struct front *f);

/* Set by accept from SO_PEERCRED and SO_PEERGROUPS; lives as long as the connection. */
const struct peer *connection_peer(const struct connection *c);
/* The systemd unit the peer runs in, NULL when that cannot be told for sure: no unit, the process
 * that connected has ended, or a shortage of descriptors or memory (then the next call tries
 * again). Found out at the first call and kept; a pidfd guards against a recycled pid. Reads /proc:
 * for profiles with allow_units only. */
const char *connection_unit(struct connection *c);

/* For the handler's own record of a held request; NULL at first. */
void connection_set_hold(struct connection *c, void *hold);
void *connection_hold(const struct connection *c);
/* What the answer to the held request has to announce. */
bool connection_keep_alive(const struct connection *c);
/* Answers the held request: append the whole answer to the returned buffer, then end with its
 * status, before the next is begun. `_end` writes it; `c` may be freed when it returns. Requests
 * pipelined behind it are served in the loop's next pass, so a handler is never called from here.
 */
struct buffer *connection_answer_begin(struct connection *c);
void connection_answer_end(struct connection *c, int status);

#endif
