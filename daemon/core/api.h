/* Routes and parameters: a request -> what is asked for, judged for form only. */
#ifndef GCTOKEND_CORE_API_H
#define GCTOKEND_CORE_API_H

#include "http_request.h"
#include "right.h"
#include "text.h"
#include "token.h"
#include <stdbool.h>
#include <stdint.h>

struct call;

enum api_parameter {
	API_PROFILE = 1 << 0,
	API_MIN_TTL = 1 << 1,
	API_WAIT = 1 << 2,
	API_AFTER = 1 << 3,
	API_GENERATION = 1 << 4,
	API_FINGERPRINT = 1 << 5, /* where a route takes both of these it needs exactly one */
	API_LOGIN = 1 << 6,       /* state, code, iss, error: see api_text */
	/* The profile's name follows the route's path, and whatever a proxy was asked for may
	 * follow that: PATH/PROFILE[/...]. Others' parameters are ignored, and all of them behind
	 * more path: there the query is a part of what the proxy was asked for. */
	API_IN_PATH = 1 << 7,
};

/* What they are called in a query; ends with a NULL. */
struct api_parameter_name {
	const char *name;
	enum api_parameter parameter;
};
extern const struct api_parameter_name api_parameter_names[];

struct api_route {
	const char *path;
	enum http_method method; /* HTTP_GET, and HTTP_HEAD with it, HTTP_POST, or HTTP_ANY */
	unsigned parameters; /* those that it takes; API_PROFILE, API_IN_PATH: it is about one */
	enum right right;    /* that a caller needs for it */
	/* What it does. Nothing here calls it. */
	int (*handle)(struct call *c);
};

struct api_call {
	const struct api_route *route;
	char profile[PROFILE_NAME_MAX + 1]; /* "default" unless named */
	bool profile_impossible;            /* no profile can have the name given */
	uint32_t profile_hash;              /* of a name that is kept in a note; else 0 */
	bool has_min_ttl, has_wait, has_after, has_generation, has_fingerprint;
	uint32_t min_ttl_s;
	uint32_t wait_s;
	uint64_t after;
	uint64_t generation;
	char fingerprint[FINGERPRINT_LENGTH + 1];
	struct http_span query; /* as sent; lives as long as the request */
	const char *allowed;    /* of 204 and 405: the methods that the route takes */
	/* What is wrong with the parameters, "" if nothing: told only after access was granted. */
	char problem[160];
};

/* What a request asks for, kept with the request by whoever keeps that: empty at first. */
struct api_note {
	bool made;
	struct api_call call;
};

/* `routes` ends with one without a path. 0; 404: no such route; 405: not with this method, 204: it
 * only asks which ones there are (see ret->allowed); 400: the query cannot be read (*ret->problem
 * says why). */
int api_parse(
	const struct api_route *routes, const struct http_request *request, struct api_call *ret);
/* The same, and kept in the request's note, if it has one, unless something is wrong with what is
 * asked for, or may be secret: a login's parameters, what a proxy was asked for. */
int api_parse_noting(
	const struct api_route *routes, const struct http_request *request, struct api_call *ret);
/* What was kept; NULL: nothing. */
static inline const struct api_call *api_noted(const struct http_request *request)
{
	return request->note && request->note->made ? &request->note->call : NULL;
}

/* Codes and states of a login are longer than anything else that is asked for. */
#define API_TEXT_SIZE 4096

/* The text of a login's parameter (state, code, iss, error), which api_parse has found readable.
 * It is a secret: the caller wipes it. False: not given, or empty. */
bool api_text(const struct api_call *call, const char *name, char ret[API_TEXT_SIZE]);

#endif
