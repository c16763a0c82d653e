/* Requests that are answered later, for their handler. */
#ifndef GCTOKEND_FRONT_CONNECTION_HOLD_H
#define GCTOKEND_FRONT_CONNECTION_HOLD_H

struct connection;
struct reply;

/* For the handler's own record of a held request; NULL at first. */
void connection_set_hold(struct connection *c, void *hold);
void *connection_hold(const struct connection *c);
/* Replies to the held request: write the whole reply to *ret, then end with its status, before the
 * next is begun. `_end` sends it; `c` may be freed when it returns. Requests pipelined behind it
 * are served in the loop's next pass, so a handler is never called from here. */
void connection_reply_begin(struct connection *c, struct reply *ret);
void connection_reply_end(struct connection *c, int status);

#endif
