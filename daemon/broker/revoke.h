/* Telling Genesys that a token is not wanted any more. */
#ifndef GCTOKEND_BROKER_REVOKE_H
#define GCTOKEND_BROKER_REVOKE_H

struct broker;
struct profile;
struct reply;
struct token;
struct waiter;

/* Tells Genesys, then answers `w` (may be NULL). Takes the token. 0, -ENOMEM or another error: then
 * the token is forgotten all the same. */
int revoke_token(struct profile *p, struct token *token, struct waiter *w);
/* Every token of `w` was given to revoke_token; it may have been none at all. */
void revoke_begun(struct waiter *w);
/* The waiter is gone; its revocations go on. */
void revoke_forget_waiter(struct broker *b, const struct waiter *w);
/* Writes the reply to a waiter whose revocations have ended. */
int revoke_answer(struct waiter *w, struct reply *reply);
/* Why Genesys did not agree to what `w` waits for; NULL: it did. */
const char *revoke_problem(const struct waiter *w);
void revoke_free_all(struct broker *b);

#endif
