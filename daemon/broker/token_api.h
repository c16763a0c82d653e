/* What the API of Genesys is asked about a token: /api/v2/tokens/me, with the token itself. It goes
 * to the profile's own api_url and nowhere else, by the profile's own path. */
#ifndef GCTOKEND_BROKER_TOKEN_API_H
#define GCTOKEND_BROKER_TOKEN_API_H

#include "upstream/fetch.h"

struct profile;
struct token;

/* As fetch_start; -EDESTADDRREQ: the profile has no api_url. */
int token_api_ask(struct profile *p, enum fetch_method method, const struct token *token,
	fetch_done *done, void *context, struct fetch **ret);

/* Asks whether the current token is accepted, in the place of an earlier question; the token source
 * gets the verdict. */
void token_api_verify(struct profile *p);
/* Nobody wants to know any more. */
void token_api_verify_cancel(struct profile *p);

#endif
