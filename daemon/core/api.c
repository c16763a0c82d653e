#include "api.h"

#include "http_query.h"
#include "secret.h"

#include <stdio.h>
#include <string.h>

const struct api_parameter_name api_parameter_names[] = {
	{"profile", API_PROFILE},
	{"min_ttl", API_MIN_TTL},
	{"wait", API_WAIT},
	{"after", API_AFTER},
	{"generation", API_GENERATION},
	{"fingerprint", API_FINGERPRINT},
	{"state", API_LOGIN},
	{"code", API_LOGIN},
	{"iss", API_LOGIN},
	{"error", API_LOGIN},
	{NULL, 0},
};

/* Whether that is the route's path. *ret_rest: what follows, of a route with API_IN_PATH. */
static bool is_path_of(
	const struct api_route *route, struct http_span path, struct http_span *ret_rest)
{
	size_t length = strlen(route->path);

	if (path.length < length || memcmp(path.at, route->path, length))
		return false;
	*ret_rest = (struct http_span){path.at + length, path.length - length};
	return route->parameters & API_IN_PATH
		       ? ret_rest->length > 1 && ret_rest->at[0] == '/' && ret_rest->at[1] != '/'
		       : !ret_rest->length;
}

/* Decimal digits only, at most `most`. */
static bool read_number(const char *text, uint64_t most, uint64_t *ret)
{
	uint64_t value = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9' || value > most / 10)
			return false;
		value = value * 10 + (uint64_t)(*text - '0');
		if (value > most)
			return false;
	}
	*ret = value;
	return true;
}

static bool fingerprint_possible(const char *text)
{
	return strlen(text) == FINGERPRINT_LENGTH &&
	       strspn(text, "0123456789abcdef") == FINGERPRINT_LENGTH;
}

static void tell(struct api_call *call, const char *name, const char *what)
{
	if (!call->problem[0])
		snprintf(call->problem, sizeof(call->problem), "%s: %s", name, what);
}

static void take_profile(struct api_call *call, const char *name)
{
	call->profile_impossible = !profile_name_valid(name);
	if (!call->profile_impossible)
		memcpy(call->profile, name, strlen(name) + 1);
}

/* "/PROFILE[/...]". Returns whether more follows. */
static bool take_path(struct api_call *call, struct http_span path)
{
	const char *name = path.at + 1, *slash = memchr(name, '/', path.length - 1);
	size_t length = slash ? (size_t)(slash - name) : path.length - 1;
	char text[PROFILE_NAME_MAX + 2];

	if (length >= sizeof(text))
		length = sizeof(text) - 1; /* too long as well */
	memcpy(text, name, length);
	text[length] = '\0';
	take_profile(call, text);
	return slash;
}

static void read_parameter(
	struct api_call *call, enum api_parameter parameter, const char *name, const char *value)
{
	const char *wrong = NULL;
	uint64_t number = 0;

	switch (parameter) {
	case API_PROFILE:
		take_profile(call, value);
		break;
	case API_MIN_TTL:
		call->has_min_ttl = read_number(value, INT32_MAX, &number);
		call->min_ttl_s = (uint32_t)number;
		wrong = call->has_min_ttl ? NULL : "whole seconds are expected";
		break;
	case API_WAIT:
		call->has_wait = read_number(value, INT32_MAX, &number);
		call->wait_s = (uint32_t)number;
		wrong = call->has_wait ? NULL : "whole seconds are expected";
		break;
	case API_AFTER:
		call->has_after = read_number(value, UINT64_MAX / 2, &call->after);
		wrong = call->has_after ? NULL : "a generation's number is expected";
		break;
	case API_GENERATION:
		call->has_generation = read_number(value, UINT64_MAX / 2, &call->generation);
		wrong = call->has_generation ? NULL : "a generation's number is expected";
		break;
	case API_FINGERPRINT:
		call->has_fingerprint = fingerprint_possible(value);
		if (call->has_fingerprint)
			memcpy(call->fingerprint, value, FINGERPRINT_LENGTH + 1);
		else
			wrong = "16 lower-case hex digits are expected";
		break;
	case API_LOGIN:
	case API_IN_PATH:
		break;
	}
	if (wrong)
		tell(call, name, wrong);
}

/* One that cannot be read, of a query that has not ended. */
static void skip_pair(struct http_span *query)
{
	const char *ampersand = memchr(query->at, '&', query->length);
	size_t length = ampersand ? (size_t)(ampersand - query->at) + 1 : query->length;

	query->at += length;
	query->length -= length;
}

static int read_query(struct http_span query, unsigned allowed, struct api_call *call)
{
	unsigned seen = 0;
	char name[32], value[API_TEXT_SIZE];
	int more;

	/* Else the last pair could not be read for what is not even in it. */
	while (allowed & API_IN_PATH && query.length && query.at[query.length - 1] == '&')
		query.length--;
	while ((more = http_query_next(&query, name, sizeof(name), value, sizeof(value))) != 0) {
		const struct api_parameter_name *p = api_parameter_names;
		unsigned bit;

		if (more < 0) {
			if (!(allowed & API_IN_PATH))
				break;
			skip_pair(&query);
			continue;
		}
		while (p->name && strcmp(p->name, name))
			p++;
		if (!(allowed & p->parameter)) {
			if (allowed & API_IN_PATH)
				continue;
			bool nameable =
				!name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-")];

			tell(call, nameable ? name : "query",
				"a parameter that this route does not know");
			continue;
		}
		bit = 1u << (p - api_parameter_names);
		if (seen & bit) {
			tell(call, name, "given twice");
			continue;
		}
		seen |= bit;
		read_parameter(call, p->parameter, name, value);
	}
	if (allowed & API_LOGIN)
		secret_wipe(value, sizeof(value));
	return more;
}

bool api_text(const struct api_call *call, const char *wanted, char ret[API_TEXT_SIZE])
{
	struct http_span query = call->query;
	char name[32];

	while (http_query_next(&query, name, sizeof(name), ret, API_TEXT_SIZE) > 0)
		if (!strcmp(name, wanted))
			return *ret;
	return false;
}

int api_parse(
	const struct api_route *routes, const struct http_request *request, struct api_call *ret)
{
	const unsigned which = API_GENERATION | API_FINGERPRINT;
	const struct api_route *route = routes;
	struct http_span query = request->query, rest;

	while (route->path && !is_path_of(route, request->path, &rest))
		route++;
	if (!route->path)
		return 404;
	*ret = (struct api_call){.route = route, .query = request->query};
	if (route->method != HTTP_ANY && route->method != request->method &&
		(route->method != HTTP_GET || request->method != HTTP_HEAD)) {
		ret->allowed = route->method == HTTP_GET ? "GET, HEAD, OPTIONS" : "POST, OPTIONS";
		return request->method == HTTP_OPTIONS ? 204 : 405;
	}
	memcpy(ret->profile, "default", sizeof("default"));
	if (route->parameters & API_IN_PATH && take_path(ret, rest))
		query.length = 0;
	if (query.length && read_query(query, route->parameters, ret) < 0) {
		snprintf(ret->problem, sizeof(ret->problem),
			"the query cannot be read: name=value pairs joined by '&', escapes as "
			"%%XX");
		return 400;
	}
	if ((route->parameters & which) == which && ret->has_generation == ret->has_fingerprint)
		tell(ret, "generation or fingerprint", "exactly one of them is needed");
	return 0;
}

int api_parse_noting(
	const struct api_route *routes, const struct http_request *request, struct api_call *ret)
{
	struct api_note *note = request->note;
	int status = api_parse(routes, request, ret);

	if (note && !status && !ret->problem[0] && !ret->profile_impossible &&
		!(ret->route->parameters & (API_LOGIN | API_IN_PATH))) {
		note->call = *ret;
		note->call.profile_hash = profile_name_hash(ret->profile);
		note->made = true;
	}
	return status;
}
