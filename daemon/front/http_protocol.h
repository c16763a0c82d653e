/* HTTP: requests go to the handler, whose replies are counted. */
#ifndef GCTOKEND_FRONT_HTTP_PROTOCOL_H
#define GCTOKEND_FRONT_HTTP_PROTOCOL_H

#include "protocol.h"

extern const struct protocol http_protocol;

/* The reply that lies in `out` from `at` on is whole, or the memory for it was lacking: then it
 * becomes one that says so. Counts it. `keep_alive` is what it announced; returns what it does. */
bool http_reply_done(struct front_counters *counters, struct buffer *out, size_t at, int status,
	bool keep_alive);

#endif
