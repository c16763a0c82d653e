/* Requests that look: clock, status, history, metrics, health. Each replies, or holds the
 * connection: the HTTP status or FRONT_HELD. */
#ifndef GCTOKEND_BROKER_CALLS_VIEW_H
#define GCTOKEND_BROKER_CALLS_VIEW_H

struct call;
struct profile;
struct reply;

int call_skew(struct call *c);
int call_probe(struct call *c);
int call_status(struct call *c);
int call_metrics(struct call *c);
int call_history(struct call *c);
int call_healthz(struct call *c);
int call_readyz(struct call *c);
int call_answer_skew(struct profile *p, struct reply *reply);

#endif
