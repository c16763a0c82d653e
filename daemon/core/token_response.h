/* status + headers + body of a token endpoint's response -> a token, or a classified failure. */
#ifndef GCTOKEND_CORE_TOKEN_RESPONSE_H
#define GCTOKEND_CORE_TOKEN_RESPONSE_H

#include "exchange.h"
#include "jwt_claims.h"
#include "times.h"
#include "token.h"
#include <stdbool.h>

enum response_class {
	RESPONSE_TOKEN,       /* a usable token */
	RESPONSE_UNAVAILABLE, /* no response, TLS, 3xx, 5xx, a gateway's 4xx, an unreadable body, a
				 4xx that says by its error or by a Retry-After that it will pass */
	RESPONSE_THROTTLED,   /* 429, too_many_requests, slow_down, or Genesys' 400 "rate limit
				 exceeded" */
	RESPONSE_CLIENT_REJECTED, /* the server refuses these credentials or this request for good
				   */
	RESPONSE_LOGIN_REQUIRED,  /* invalid_grant: a person has to log in */
};

#define TOKEN_RESPONSE_BODY_MAX (64 * 1024)
#define RESPONSE_EXPIRES_IN_MIN_S 10
#define RESPONSE_EXPIRES_IN_MAX_S (INT64_C(450) * 86400)

struct token_response {
	enum response_class class;
	long status; /* HTTP; 0: there was no response */
	/* every 200, whatever is wrong with the rest of it: the one before it may be void by now */
	struct token refresh_token; /* TOKEN_NONE: the response has none that can be used */
	bool bad_refresh_token;     /* it has one that no request could carry */
	/* RESPONSE_TOKEN only */
	struct token token;
	struct duration expires_in;
	struct jwt_claims claims;
	/* every failure */
	bool minted; /* a token may have been made for it all the same */
	bool unfit;  /* one was, in a form that is refused; the next will be no better */
	char unfit_fingerprint[FINGERPRINT_LENGTH + 1]; /* of one that is refused for its
							   expires_in alone; "" otherwise */
	bool login_replaced; /* set by who keeps the login: the refresh token of a person's code has
				replaced it */
	bool has_retry_after;
	struct duration retry_after;
	char error[64];          /* the OAuth error code, "" if none */
	char words[256];         /* what went wrong: the server's own words where it had some, made
				    printable ASCII; a token, a secret or a body never gets in here */
	char correlation_id[80]; /* for success and failure, "" if none */
};

#define TOKEN_RESPONSE_NONE ((struct token_response){0})

/* Always fills *ret (end it with token_response_fini). Out of memory is RESPONSE_UNAVAILABLE. */
void token_response_read(const struct exchange *x, struct token_response *ret);
void token_response_fini(struct token_response *a);
/* "unavailable", "throttled", ...: for logs, metrics and the API. */
const char *response_class_name(enum response_class c);

#endif
