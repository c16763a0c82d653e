/* A grant as the bytes of an OAuth token request (RFC 6749, and RFC 7636 for the code verifier). */
#ifndef GCTOKEND_CORE_TOKEN_REQUEST_H
#define GCTOKEND_CORE_TOKEN_REQUEST_H

#include <stddef.h>

/* The client's secret, a code or a refresh token, a verifier; each also form-encoded; and Basic. */
#define TOKEN_REQUEST_SECRETS 8

/* All wiped and freed by token_request_fini. */
struct token_request {
	char *body; /* application/x-www-form-urlencoded */
	size_t body_length;
	char *authorization; /* value of the Authorization header, "Basic ..."; NULL: a public
				client's request, which has none */
	char *secrets[TOKEN_REQUEST_SECRETS]; /* to recognise them in a response; NULL behind the
						 last */
};

#define TOKEN_REQUEST_NONE ((struct token_request){0})

/* Who asks. The id and the secret are form-encoded before Basic (RFC 6749 section 2.3.1). A client
 * without a secret ("") is a public one: its id goes into the body. */
struct token_request_client {
	const char *id;
	const char *secret;
	const char *extra_params; /* NULL or "": none; name=value pairs as the configuration has
				     them, already form-encoded and joined by '&' */
};

/* `scope` may be NULL (no scope is sent). 0; -ENOMEM, *ret untouched; so for all of them. */
int token_request_client_credentials(
	struct token_request *ret, const struct token_request_client *client, const char *scope);
/* `redirect_uri` as the authorization request had it. */
int token_request_authorization_code(struct token_request *ret,
	const struct token_request_client *client, const char *code, const char *verifier,
	const char *redirect_uri);
int token_request_refresh_token(struct token_request *ret,
	const struct token_request_client *client, const char *refresh_token);
/* The secrets in it as struct exchange wants them; they stay the request's. */
void token_request_secrets(
	const struct token_request *r, const char *ret_secrets[TOKEN_REQUEST_SECRETS]);
void token_request_fini(struct token_request *r);

#endif
