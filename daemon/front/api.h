/* Routes and parameters: a request -> what is asked for, judged for form only. */
#ifndef GCTOKEND_FRONT_API_H
#define GCTOKEND_FRONT_API_H

#include "core/config.h"
#include "core/http_request.h"
#include "core/text.h"
#include "core/token.h"
#include <stdbool.h>
#include <stdint.h>

enum api_route {
	API_TOKEN,
	API_REJECT,
	API_SKEW,
	API_PROBE,
	API_STATUS,
	API_HISTORY,
	API_REFRESH,
	API_REVOKE,
	API_LOGIN,
	API_LOGIN_FINISH,
	API_LOGOUT,
	API_METRICS,
	API_HEALTHZ,
	API_READYZ,
};

struct api_call {
	enum api_route route;
	char profile[PROFILE_NAME_MAX + 1]; /* "default" unless named */
	bool profile_impossible;            /* no profile can have the name given */
	bool has_min_ttl, has_wait, has_after, has_generation, has_fingerprint;
	uint32_t min_ttl_s;
	uint32_t wait_s;
	uint64_t after;
	uint64_t generation;
	char fingerprint[FINGERPRINT_LENGTH + 1];
	struct http_span query; /* as sent; lives as long as the request */
	const char *allowed;    /* of a 405: the method that the route takes */
	/* What is wrong with the parameters, "" if nothing: told only after access was granted. */
	char problem[160];
};

/* 0; 404: no such route; 405: not with this method (see ret->allowed); 400: the query cannot be
 * read (*ret->problem says why). */
int api_parse(const struct http_request *request, struct api_call *ret);

/* Codes and states of a login are longer than anything else that is asked for. */
#define API_TEXT_SIZE 4096

/* The text of a login's parameter (state, code, iss, error), which api_parse has found readable.
 * It is a secret: the caller wipes it. False: not given, or empty. */
bool api_text(const struct api_call *call, const char *name, char ret[API_TEXT_SIZE]);

#endif
