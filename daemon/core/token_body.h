/* The members of a token endpoint's JSON, as they stand there; what they mean is judged by
 * token_response.c, which alone uses this. */
#ifndef GCTOKEND_CORE_TOKEN_BODY_H
#define GCTOKEND_CORE_TOKEN_BODY_H

#include "token.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct exchange;

/* What is longer is no code, and might be a token that the server repeats. */
#define TOKEN_BODY_ERROR_MAX 40

/* Those that matter; `has` is about presence, whatever the value is. */
struct token_body {
	struct token token;
	struct token refresh_token;
	int token_error; /* of token_init; 0 where there is none */
	bool bad_refresh_token;
	bool has_token, has_type, has_expires_in;
	bool bearer;
	int64_t expires_in_s; /* -1: not acceptable */
	char expires_in_text[24];
	char error[TOKEN_BODY_ERROR_MAX]; /* "": none, or nothing that can be a code */
	bool rate_limited;
	int words_rank; /* of `words`: the more specific a member, the higher */
	char *words;    /* malloc'd, as the server wrote them */
	size_t words_length;
};

/* Reads the body of `x` into `b`, which is all zero. 0; -EBADMSG: it is refused, and *ret_problem
 * goes on after "the response body"; -ENOMEM, and likewise. What has been read of a body that is
 * refused stays in `b`: a refresh token in it counts. Ended with token_body_fini in any case. */
int token_body_read(const struct exchange *x, struct token_body *b, const char **ret_problem);
/* Wipes and frees. */
void token_body_fini(struct token_body *b);

#endif
