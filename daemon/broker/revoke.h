/* Telling Genesys that a token is not wanted any more. */
#ifndef GCTOKEND_BROKER_REVOKE_H
#define GCTOKEND_BROKER_REVOKE_H

struct broker;
struct profile;
struct token;
struct waiter;

/* Begins to tell Genesys; takes the token. Until it has ended it is one thing more that is pending
 * for `w` (may be NULL). 0, -ENOMEM or another error: then the token is forgotten all the same. */
int revoke_token(struct profile *p, struct token *token, struct waiter *w);
/* Why Genesys did not agree to what `w` waits for; NULL: it did. */
const char *revoke_problem(const struct waiter *w);
/* The waiter is gone; its revocations go on. */
void revoke_forget_waiter(const struct waiter *w);
void revoke_free_all(struct broker *b);

#endif
