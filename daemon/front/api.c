#include "api.h"

#include <stdio.h>
#include <string.h>

enum parameter {
	PROFILE = 1 << 0,
	MIN_TTL = 1 << 1,
	WAIT = 1 << 2,
	AFTER = 1 << 3,
	GENERATION = 1 << 4,
	FINGERPRINT = 1 << 5,
	LOGIN = 1 << 6, /* state, code, iss, error: see api_text */
};

static const struct route {
	const char *path;
	enum http_method method;
	enum api_route route;
	unsigned parameters;
} routes[] = {
	{"/v1/token", HTTP_GET, API_TOKEN, PROFILE | MIN_TTL | WAIT | AFTER},
	{"/v1/token/reject", HTTP_POST, API_REJECT, PROFILE | GENERATION | FINGERPRINT | WAIT},
	{"/v1/skew", HTTP_GET, API_SKEW, PROFILE},
	{"/v1/skew/probe", HTTP_POST, API_PROBE, PROFILE},
	{"/v1/status", HTTP_GET, API_STATUS, 0},
	{"/v1/history", HTTP_GET, API_HISTORY, PROFILE},
	{"/v1/refresh", HTTP_POST, API_REFRESH, PROFILE},
	{"/v1/revoke", HTTP_POST, API_REVOKE, PROFILE},
	{"/v1/login", HTTP_POST, API_LOGIN, PROFILE},
	{"/v1/login/finish", HTTP_POST, API_LOGIN_FINISH, PROFILE | LOGIN},
	{"/v1/logout", HTTP_POST, API_LOGOUT, PROFILE},
	{"/metrics", HTTP_GET, API_METRICS, 0},
	{"/healthz", HTTP_GET, API_HEALTHZ, 0},
	{"/readyz", HTTP_GET, API_READYZ, MIN_TTL},
};

static const struct {
	const char *name;
	enum parameter parameter;
} parameter_names[] = {
	{"profile", PROFILE},
	{"min_ttl", MIN_TTL},
	{"wait", WAIT},
	{"after", AFTER},
	{"generation", GENERATION},
	{"fingerprint", FINGERPRINT},
	{"state", LOGIN},
	{"code", LOGIN},
	{"iss", LOGIN},
	{"error", LOGIN},
};

static bool span_is(struct http_span span, const char *text)
{
	return span.length == strlen(text) && !memcmp(span.at, text, span.length);
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

static void read_parameter(
	struct api_call *call, enum parameter parameter, const char *name, const char *value)
{
	const char *wrong = NULL;
	uint64_t number = 0;

	switch (parameter) {
	case PROFILE:
		call->profile_impossible = !profile_name_valid(value);
		if (!call->profile_impossible)
			memcpy(call->profile, value, strlen(value) + 1);
		break;
	case MIN_TTL:
		call->has_min_ttl = read_number(value, INT32_MAX, &number);
		call->min_ttl_s = (uint32_t)number;
		wrong = call->has_min_ttl ? NULL : "whole seconds are expected";
		break;
	case WAIT:
		call->has_wait = read_number(value, INT32_MAX, &number);
		call->wait_s = (uint32_t)number;
		wrong = call->has_wait ? NULL : "whole seconds are expected";
		break;
	case AFTER:
		call->has_after = read_number(value, UINT64_MAX / 2, &call->after);
		wrong = call->has_after ? NULL : "a generation's number is expected";
		break;
	case GENERATION:
		call->has_generation = read_number(value, UINT64_MAX / 2, &call->generation);
		wrong = call->has_generation ? NULL : "a generation's number is expected";
		break;
	case FINGERPRINT:
		call->has_fingerprint = fingerprint_possible(value);
		if (call->has_fingerprint)
			memcpy(call->fingerprint, value, FINGERPRINT_LENGTH + 1);
		else
			wrong = "16 lower-case hex digits are expected";
		break;
	case LOGIN:
		break;
	}
	if (wrong)
		tell(call, name, wrong);
}

static int read_query(struct http_span query, unsigned allowed, struct api_call *call)
{
	unsigned seen = 0;
	char name[32], value[API_TEXT_SIZE];
	int more;

	while ((more = http_query_next(&query, name, sizeof(name), value, sizeof(value))) > 0) {
		size_t i = 0, count = sizeof(parameter_names) / sizeof(*parameter_names);

		while (i < count && strcmp(parameter_names[i].name, name))
			i++;
		if (i == count || !(allowed & parameter_names[i].parameter)) {
			bool nameable =
				!name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-")];

			tell(call, nameable ? name : "query",
				"a parameter that this route does not know");
			continue;
		}
		if (seen & (1u << i)) {
			tell(call, name, "given twice");
			continue;
		}
		seen |= 1u << i;
		read_parameter(call, parameter_names[i].parameter, name, value);
	}
	if (allowed & LOGIN)
		explicit_bzero(value, sizeof(value));
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

int api_parse(const struct http_request *request, struct api_call *ret)
{
	const struct route *route = NULL;

	/* each path has one method */
	for (size_t i = 0; i < sizeof(routes) / sizeof(*routes) && !route; i++)
		if (span_is(request->path, routes[i].path))
			route = &routes[i];
	if (!route)
		return 404;
	*ret = (struct api_call){.route = route->route, .query = request->query};
	if (route->method != request->method) {
		ret->allowed = route->method == HTTP_GET ? "GET" : "POST";
		return 405;
	}
	memcpy(ret->profile, "default", sizeof("default"));
	if (request->query.length && read_query(request->query, route->parameters, ret) < 0) {
		snprintf(ret->problem, sizeof(ret->problem),
			"the query cannot be read: name=value pairs joined by '&', escapes as "
			"%%XX");
		return 400;
	}
	if (ret->route == API_REJECT && ret->has_generation == ret->has_fingerprint)
		tell(ret, "generation or fingerprint", "exactly one of them is needed");
	return 0;
}
