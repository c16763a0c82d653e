/* Requests of people who log a profile in or out: replies to those that were held. */
#ifndef GCTOKEND_BROKER_CALLS_LOGIN_H
#define GCTOKEND_BROKER_CALLS_LOGIN_H

struct reply;
struct waiter;

/* Write the reply to a waiter whose login, or logout, has ended; the HTTP status. */
int login_answer(struct waiter *w, struct reply *reply);
int logout_answer(struct waiter *w, struct reply *reply);

#endif
