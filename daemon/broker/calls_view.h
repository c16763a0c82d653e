/* Requests that look at clock, status, history, metrics and health: a reply to one that was held.
 */
#ifndef GCTOKEND_BROKER_CALLS_VIEW_H
#define GCTOKEND_BROKER_CALLS_VIEW_H

struct profile;
struct reply;

int call_answer_skew(struct profile *p, struct reply *reply);

#endif
