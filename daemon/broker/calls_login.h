/* Requests of people who log a profile in or out. Each replies, or holds the connection: the HTTP
 * status or FRONT_HELD. */
#ifndef GCTOKEND_BROKER_CALLS_LOGIN_H
#define GCTOKEND_BROKER_CALLS_LOGIN_H

#include <stdbool.h>

struct buffer;
struct call;
struct waiter;

int call_login(struct call *c);
int call_login_finish(struct call *c);
int call_logout(struct call *c);
/* Append the reply for a waiter whose login, or logout, has ended; the HTTP status. */
int login_answer(struct waiter *w, struct buffer *out, bool keep_alive);
int logout_answer(struct waiter *w, struct buffer *out, bool keep_alive);

#endif
