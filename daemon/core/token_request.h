/* A grant as the bytes of an OAuth token request (RFC 6749). */
#ifndef GCTOKEND_CORE_TOKEN_REQUEST_H
#define GCTOKEND_CORE_TOKEN_REQUEST_H

#include <stddef.h>

/* All wiped and freed by token_request_fini. */
struct token_request {
	char *body; /* application/x-www-form-urlencoded */
	size_t body_length;
	char *authorization;  /* value of the Authorization header, "Basic ..." */
	char *secret;         /* the client's, as it is and form-encoded: */
	char *secret_encoded; /* to recognise it in an answer */
};

#define TOKEN_REQUEST_SECRETS 4

#define TOKEN_REQUEST_NONE ((struct token_request){0})

/* client_credentials. `scope` may be NULL (no scope is sent). `extra_params` may be NULL:
 * name=value pairs as the configuration has them, already form-encoded and joined by '&'. The id
 * and the secret are form-encoded before Basic (RFC 6749 section 2.3.1). 0; -ENOMEM. */
int token_request_client_credentials(struct token_request *ret, const char *client_id,
	const char *client_secret, const char *scope, const char *extra_params);
/* The secrets in it as struct exchange wants them; they stay the request's. */
void token_request_secrets(
	const struct token_request *r, const char *ret_secrets[TOKEN_REQUEST_SECRETS]);
void token_request_fini(struct token_request *r);

#endif
