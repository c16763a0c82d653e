/* Requests for tokens, and about them. Each replies, or holds the connection: the HTTP status or
 * FRONT_HELD. */
#ifndef GCTOKEND_BROKER_CALLS_TOKEN_H
#define GCTOKEND_BROKER_CALLS_TOKEN_H

struct call;
struct profile;
struct reply;
struct token_ask;
struct token_outcome;

int call_token(struct call *c);
int call_reject(struct call *c);
int call_refresh(struct call *c);
int call_revoke(struct call *c);
/* Writes the reply to an ask that is not to be held; returns the HTTP status. */
int call_answer_outcome(struct profile *p, struct reply *reply, const struct token_ask *ask,
	const struct token_outcome *outcome);

#endif
