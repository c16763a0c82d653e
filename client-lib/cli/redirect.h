/* How a login comes back: the browser is sent to redirect_uri with a query that holds a code and
 * the state, or an error and the state. Read from an HTTP request or from an address that was
 * pasted. Pure: bytes in, texts out. */
#ifndef GCTOKEN_CLI_REDIRECT_H
#define GCTOKEN_CLI_REDIRECT_H

#include "redirect_query.h"
#include <stdint.h>

/* What a browser sends along for this host can be long: cookies know no ports. */
#define REDIRECT_HEAD_MAX 32768
#define REDIRECT_PASTED_MAX 8192

/* A redirect_uri taken apart; the spans point into it. */
struct redirect_target {
	struct redirect_span base;      /* all but its query */
	struct redirect_span authority; /* "127.0.0.1:8090", as the field Host has it */
	struct redirect_span path;      /* "/callback"; "/" where it has none */
	char host[64];                  /* without the brackets of an IPv6 address */
	uint16_t port;
	bool local; /* http to this very machine: a program here can wait for it */
};

/* 0, or -EINVAL where that is no http or https URL a browser could be sent to. */
int redirect_target_read(const char *uri, struct redirect_target *ret);

/* The request at the front of `bytes`; `length` up to REDIRECT_HEAD_MAX. 0: it is the one that is
 * waited for: a GET of the target's path with its Host, this state, and a code or an error, each
 * once. Else a verdict, *ret untouched. */
int redirect_request_read(const char *bytes, size_t length, const struct redirect_target *target,
	const char *state, struct redirect_response *ret);

/* The address a browser ended at, as a person copied it: blanks around it and a missing http:// do
 * no harm. 0, REDIRECT_OTHER or REDIRECT_WRONG_STATE, *ret untouched unless 0. */
int redirect_pasted_read(const char *text, size_t length, const struct redirect_target *target,
	const char *state, struct redirect_response *ret);

#endif
