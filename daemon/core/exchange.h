/* What came back of one HTTP exchange with a login server: plain data, filled by upstream/fetch and
 * judged by token_response and skew. Pointers belong to whoever filled it and live as long as the
 * call it is passed to. */
#ifndef GCTOKEND_CORE_EXCHANGE_H
#define GCTOKEND_CORE_EXCHANGE_H

#include "times.h"
#include <stddef.h>

struct exchange {
	struct clock_reading sent;     /* just before the request left */
	struct clock_reading received; /* at the final status line; equals sent when status is 0 */
	long status;                   /* 0: no final answer came */
	const char
		*failure; /* why there is no complete answer, one plain phrase; NULL: it is whole */
	const char *body;
	size_t body_length;
	/* Header fields of the final answer; "" when absent, repeated or longer than fits. */
	char date[40];
	char age[24]; /* "?" where it is there and cannot be read */
	char retry_after[40];
	char correlation_id[80]; /* ININ-Correlation-Id or Genesys-Correlation-Id, printable ASCII
				  */
	/* What was sent and nobody may be told, in each form it could come back in; ends with
	 * NULL. NULL: nothing. Not filled by the fetch: who asked for it knows. */
	const char *const *secrets;
};

#endif
