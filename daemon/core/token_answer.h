/* status + headers + body of a token endpoint's answer -> a token, or a classified failure. */
#ifndef GCTOKEND_CORE_TOKEN_ANSWER_H
#define GCTOKEND_CORE_TOKEN_ANSWER_H

#include "exchange.h"
#include "jwt_claims.h"
#include "times.h"
#include "token.h"
#include <stdbool.h>

enum answer_class {
	ANSWER_TOKEN,           /* a usable token */
	ANSWER_UNAVAILABLE,     /* no answer, TLS, 3xx, 5xx, a gateway's 4xx, an unreadable body */
	ANSWER_THROTTLED,       /* 429, or Genesys' 400 "rate limit exceeded" */
	ANSWER_CLIENT_REJECTED, /* the server refuses these credentials or this request for good */
	ANSWER_LOGIN_REQUIRED,  /* invalid_grant: a person has to log in */
};

#define ANSWER_BODY_MAX (64 * 1024)
#define ANSWER_EXPIRES_IN_MIN_S 10
#define ANSWER_EXPIRES_IN_MAX_S (INT64_C(450) * 86400)

struct token_answer {
	enum answer_class class;
	long status; /* HTTP; 0: there was no answer */
	/* ANSWER_TOKEN only */
	struct token token;
	struct token refresh_token; /* TOKEN_NONE: the answer has none that can be used */
	bool bad_refresh_token;     /* it has one that no request could carry */
	struct duration expires_in;
	struct jwt_claims claims;
	/* every failure */
	bool has_retry_after;
	struct duration retry_after;
	char error[64];          /* the OAuth error code, "" if none */
	char words[256];         /* what went wrong: the server's own words where it had some, made
				    printable ASCII; a token, a secret or a body never gets in here */
	char correlation_id[80]; /* for success and failure, "" if none */
};

#define TOKEN_ANSWER_NONE ((struct token_answer){0})

/* Always fills *ret (end it with token_answer_fini). Out of memory is ANSWER_UNAVAILABLE. */
void token_answer_read(const struct exchange *x, struct token_answer *ret);
void token_answer_fini(struct token_answer *a);
/* "unavailable", "throttled", ...: for logs, metrics and the API. */
const char *answer_class_name(enum answer_class c);

#endif
