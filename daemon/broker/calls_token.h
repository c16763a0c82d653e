/* Requests for tokens, and about them: replies to those that were held, too. */
#ifndef GCTOKEND_BROKER_CALLS_TOKEN_H
#define GCTOKEND_BROKER_CALLS_TOKEN_H

struct profile;
struct reply;
struct token_ask;
struct token_outcome;

/* Writes the reply to an ask that is not to be held; returns the HTTP status. */
int call_answer_outcome(struct profile *p, struct reply *reply, const struct token_ask *ask,
	const struct token_outcome *outcome);

#endif
