/* The result of one HTTP exchange with a login server or the API: plain data that upstream/fetch
 * fills, and that token_response and server_clock judge. What it points to belongs to whoever
 * filled it and lives as long as the call it is passed to. */
#ifndef GCTOKEND_CORE_EXCHANGE_H
#define GCTOKEND_CORE_EXCHANGE_H

#include "times.h"
#include <stdbool.h>
#include <stddef.h>

struct exchange {
	struct clock_reading sent;     /* just before the request left */
	struct clock_reading received; /* at the final status line; equals sent when status is 0 */
	long status;                   /* 0: there was no final response */
	bool unsent;  /* nothing of the request has left: the server cannot have acted on it */
	bool silence; /* for all the time there was, nothing came: no connection, or no response */
	const char
		*failure; /* why there is no complete response, in a phrase; NULL: it is complete */
	bool oversize;    /* a failure by the server's own will: it sends more than is taken, and
			     `body`    is the front of it */
	const char *body;
	size_t body_length;
	/* Header fields of the final response; "" if absent, repeated or too long. */
	char date[40];
	char age[24]; /* "?": present but not readable */
	char retry_after[40];
	char correlation_id[80]; /* ININ-Correlation-Id or Genesys-Correlation-Id, printable ASCII
				  */
	/* What was sent and nobody may be told, in each form it could come back in; ends with
	 * NULL. NULL: nothing. Not filled by the fetch: who asked for it knows. */
	const char *const *secrets;
};

#endif
