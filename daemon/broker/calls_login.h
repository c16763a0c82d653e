/* Requests of people who log a profile in or out. Each replies, or holds the connection: the HTTP
 * status or FRONT_HELD. */
#ifndef GCTOKEND_BROKER_CALLS_LOGIN_H
#define GCTOKEND_BROKER_CALLS_LOGIN_H

struct call;
struct reply;
struct waiter;

int call_login(struct call *c);
int call_login_finish(struct call *c);
int call_logout(struct call *c);
/* Write the reply to a waiter whose login, or logout, has ended; the HTTP status. */
int login_answer(struct waiter *w, struct reply *reply);
int logout_answer(struct waiter *w, struct reply *reply);

#endif
