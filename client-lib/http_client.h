/* HTTP calls over a Unix socket, with a total deadline, keeping a few idle connections. Used by the
 * library and the command; not part of the public API. */
#ifndef GCTOKEN_HTTP_CLIENT_H
#define GCTOKEN_HTTP_CLIENT_H

#include "own_fd.h"
#include "response_parser.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#define HTTP_CLIENT_IDLE_MAX 16

struct http_client {
	struct sockaddr_un address;
	socklen_t address_length;
	/* Idle connections. Who wants to look into a place claims it by one atomic exchange, and
	 * passes on to the next where that fails: no lock, so that none can be left locked in a
	 * child of fork. */
	struct idle_place {
		_Atomic uint64_t state; /* see http_client.c */
		struct own_fd connection;
	} idle[HTTP_CLIENT_IDLE_MAX];
};

#define HTTP_CALL_NO_WAIT (-1)

struct http_call {
	const char *method; /* GET or POST */
	const char *target; /* origin-form, with a query if wait_until_ms is set */
	const char *accept;
	/* Instants of gctoken_monotonic_ms. */
	int64_t deadline_ms;   /* the call returns by then */
	int64_t patience_ms;   /* until then a socket that is absent or refuses is tried again;
				  once one was there, until the deadline, but for: */
	int64_t gone_max_ms;   /* how long at most after it was there, milliseconds; 0: no bound */
	int64_t wait_until_ms; /* &wait= is appended with the whole seconds left until then;
				  HTTP_CALL_NO_WAIT: it is not */
	bool wait_is_default;  /* what the daemon waits if it is told nothing: nothing is appended
				  unless time has passed that the daemon does not know of, nor where
				  it refuses that */
	bool repeatable;       /* may be sent a second time, if the first got no whole reply, or
				  one that says that the daemon is stopping */
};

struct http_result {
	struct response response;
	int64_t sent_boot_ms; /* CLOCK_BOOTTIME just before the request was sent */
};

/* 0; -EINVAL: empty; -ENAMETOOLONG. Holds no resources until the first call. */
int gctoken_http_init(struct http_client *c, const char *socket_path);
/* Closes the idle connections; no call may be under way. */
void gctoken_http_fini(struct http_client *c);

/* One exchange. The reply is read into `storage`, which `ret->response` points into and which the
 * caller wipes if it held a token. 0: a reply with whatever status. Negative errno:
 *   -ENOENT, -ECONNREFUSED  nobody at the socket, up to patience_ms
 *   -ECONNRESET             connected, but no whole reply came (and it was not repeatable)
 *   -EACCES                 this user may not connect
 *   -ETIMEDOUT              connected, but no reply by the deadline
 *   -EBADMSG                the reply is not HTTP as we know it
 *   -EMSGSIZE               the reply does not fit into `storage`, or the request is too long
 *   others                  as socket(2) and connect(2) have them. */
int gctoken_http_call(struct http_client *c, const struct http_call *call, char *storage,
	size_t size, struct http_result *ret);

#endif
