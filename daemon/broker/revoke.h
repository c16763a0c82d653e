/* Tells Genesys that a token is not wanted any more. */
#ifndef GCTOKEND_BROKER_REVOKE_H
#define GCTOKEND_BROKER_REVOKE_H

struct broker;
struct profile;
struct token;
struct waiter;

/* Begins to tell Genesys; takes the token, on failure too. Until that has ended, `w` has one more
 * thing pending; it may be NULL. 0 or negative errno. */
int revoke_token(struct profile *p, struct token *token, struct waiter *w);
/* Why a revocation that `w` waits for has failed or not ended; NULL: none has. */
const char *revoke_problem(const struct waiter *w);
/* `w` is gone; its revocations go on. */
void revoke_forget_waiter(const struct waiter *w);
void revoke_free_all(struct broker *b);

#endif
