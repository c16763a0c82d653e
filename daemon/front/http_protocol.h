/* HTTP: requests go to the handler, whose replies are counted. */
#ifndef GCTOKEND_FRONT_HTTP_PROTOCOL_H
#define GCTOKEND_FRONT_HTTP_PROTOCOL_H

#include "protocol.h"

extern const struct protocol http_protocol;

/* The reply `r`, which lies in r->out from `at` on, is whole, or the memory for it was lacking:
 * then it becomes one that says so. Counts it. Returns whether the connection goes on. */
bool http_reply_done(struct front_counters *counters, const struct reply *r, size_t at, int status);

#endif
