/* What the query of a redirect says: how a login went at the login server. Pure. */
#ifndef GCTOKEN_CLI_REDIRECT_QUERY_H
#define GCTOKEN_CLI_REDIRECT_QUERY_H

#include <stdbool.h>
#include <stddef.h>

#define REDIRECT_CODE_MAX 2048

struct redirect_span {
	const char *at;
	size_t length;
};

/* Either code or error is a text, the other one "". All but the description are printable ASCII. */
struct redirect_response {
	char code[REDIRECT_CODE_MAX + 1]; /* a secret: see redirect_response_wipe */
	char iss[513];                    /* "" where there is none */
	char error[129];
	char description[513]; /* as it came, not to be printed so; "" where it is too long */
};

enum redirect_verdict {
	REDIRECT_MORE = 1,    /* the request is not whole yet */
	REDIRECT_OTHER,       /* not what is waited for */
	REDIRECT_WRONG_STATE, /* it would be, but for the state: of another login, or forged */
};

/* The bytes behind the question mark. 0: this state, and a code or an error, each once; what else
 * is there is for others. REDIRECT_OTHER or REDIRECT_WRONG_STATE, *ret untouched, otherwise. */
int redirect_query_read(
	struct redirect_span query, const char *state, struct redirect_response *ret);

void redirect_response_wipe(struct redirect_response *r);

#endif
