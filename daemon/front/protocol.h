/* What is said on a socket, which is all that its connections differ in: a protocol takes requests
 * off the bytes that have come and writes what is to be said to them. Which one it is the listener
 * knows. */
#ifndef GCTOKEND_FRONT_PROTOCOL_H
#define GCTOKEND_FRONT_PROTOCOL_H

#include "core/http_request.h"
#include "core/request_memo.h"
#include "handler.h"
#include "share.h"
#include "stream.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What serving a request takes, whosever it is. */
struct serving {
	const struct front_handler *handler;
	void *context; /* the handler's */
	struct front_counters counters;
	struct sharing sharing;
	struct replies replies; /* to the caller that is being served */
	struct request_memo memo;
	uint32_t idle_s; /* so long a connection may be idle */
	bool stopping;
};

/* Whose requests they are; made for the time in which they are served. */
struct caller {
	struct connection *connection; /* for the handler: nothing here looks into it */
	struct share_user *user;
	int fd;
	struct http_parser *parser;  /* where the parsing of the request stands */
	bool keep_alive, text, head; /* of the request that is held: what its reply has to be */
};

enum served {
	SERVED_PARTIAL, /* nothing was: so far so good, more is needed */
	SERVED_REPLIED,
	SERVED_LAST,     /* replied; to be closed when all is written */
	SERVED_REFUSED,  /* likewise, once the caller has had the time to read why */
	SERVED_HELD,     /* the reply comes later */
	SERVED_ATTACHED, /* all was said: it stays until one of us ends */
};

/* Said to someone who is about to be closed. */
struct refusal {
	int status;
	const char *code, *words;
	int64_t retry_after_s; /* -1: never */
};

struct protocol {
	/* Serves the request at the front of `bytes`. *ret_used: how many of them it took. */
	enum served (*serve)(struct serving *s, struct caller *caller, const char *bytes,
		size_t length, size_t *ret_used);
	/* Said if that goes at once, else not. `head`: to a HEAD. `counters`: it is the reply to a
	 * request, and counted as one; may be NULL. */
	void (*refuse)(
		int fd, const struct refusal *refusal, bool head, struct front_counters *counters);
	/* Nobody has a reason to connect and then be silent. */
	bool speaks_at_once;
};

#endif
