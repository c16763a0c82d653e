/* The two documents of the HTTP API name every route that there is, and no other, each with its
 * method, who may use it and its parameters, as the table of routes has them. */
#include "broker/routes.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Without what they do. */
#define ROUTE_ROW(path, method, parameters, right, handle) {path, method, parameters, right, NULL},
static const struct api_route routes[] = {ROUTES(ROUTE_ROW){0}};

static const char *who(enum right right)
{
	switch (right) {
	case RIGHT_NONE:
		return "everybody";
	case RIGHT_TOKEN:
		return "token";
	case RIGHT_SEE:
		return "token, admin";
	case RIGHT_LOGIN:
		return "login, admin";
	case RIGHT_ADMIN:
		return "admin";
	case RIGHT_METRICS:
		break;
	}
	fail_msg("the documents have no word for right %d", (int)right);
	return NULL;
}

static size_t put_parameters(char *to, size_t size, unsigned parameters, char quote)
{
	size_t length = 0;

	*to = '\0';
	for (const struct api_parameter_name *p = api_parameter_names; p->name; p++)
		if (parameters & p->parameter)
			length += (size_t)snprintf(to + length, size - length, "%s%c%s%c",
				length ? ", " : "", quote, p->name, quote);
	assert_true(length < size);
	return length;
}

static char *read_document(const char *name)
{
	const char *folder = getenv("GCTOKEN_DOCS");
	char path[4096];
	size_t length;
	char *text;
	FILE *file;

	assert_non_null(folder);
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "re");
	assert_non_null(file);
	text = malloc(1 << 20);
	assert_non_null(text);
	length = fread(text, 1, (1 << 20) - 1, file);
	assert_in_range(length, 1000, (1 << 20) - 2);
	text[length] = '\0';
	fclose(file);
	return text;
}

static const char *method_word(const struct api_route *route)
{
	switch (route->method) {
	case HTTP_GET:
		return "GET";
	case HTTP_POST:
		return "POST";
	default:
		assert_int_equal(route->method, HTTP_ANY);
		return "ANY";
	}
}

/* What is written behind its path. */
static const char *path_goes_on(const struct api_route *route)
{
	return route->parameters & API_IN_PATH ? "/PROFILE[/...]" : "";
}

/* Wherever a document names a route, behind `quote`, there is one. */
static void check_named(const char *document, const char *text, char quote)
{
	static const char *const words[] = {"GET", "POST", "ANY"};

	for (; (text = strchr(text, quote)) != NULL; text++) {
		for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
			size_t word = strlen(words[i]), length;
			const char *path = text + 1 + word + 1;
			const struct api_route *r = routes;

			if (strncmp(text + 1, words[i], word) || strncmp(path - 1, " /", 2))
				continue;
			length = strspn(path, "abcdefghijklmnopqrstuvwxyz0123456789/_-");
			length -= path[length - 1] == '/'; /* of /PROFILE */
			while (r->path &&
				(strcmp(method_word(r), words[i]) || strlen(r->path) != length ||
					memcmp(r->path, path, length)))
				r++;
			if (!r->path)
				fail_msg("%s: there is no %.40s", document, text + 1);
		}
	}
}

/* Each route has a line in which it stands between `before` and `between`, and that goes on as
 * `put_rest` writes it. */
static void check(const char *document, const char *before, const char *between,
	void (*put_rest)(char *to, size_t size, const struct api_route *route))
{
	char *text = read_document(document);
	char line[512], rest[400];

	check_named(document, text, before[strlen(before) - 1]);
	for (const struct api_route *r = routes; r->path; r++) {
		const char *method = method_word(r), *at, *end;

		snprintf(line, sizeof(line), "\n%s%s %s%s%s", before, method, r->path,
			path_goes_on(r), between);
		at = strstr(text, line);
		if (!at)
			fail_msg("%s has no line of %s %s", document, method, r->path);
		put_rest(rest, sizeof(rest), r);
		end = strchr(at + 1, '\n');
		if (!memmem(at, (size_t)(end - at) + 1, rest, strlen(rest)))
			fail_msg("%s, %s %s: is not followed by: %s", document, method, r->path,
				rest);
	}
	free(text);
}

/* | [`GET /v1/skew`](#the-clocks) | token, admin | `profile` | ... */
static void put_cells(char *to, size_t size, const struct api_route *route)
{
	int length = snprintf(to, size, ") | %s | ", who(route->right));

	if (put_parameters(to + length, size - (size_t)length, route->parameters, '`'))
		strncat(to, " |", size - strlen(to) - 1);
	else
		strncat(to, "|", size - strlen(to) - 1);
}

static void http_api_md(void **state)
{
	(void)state;
	check("http-api.md", "| [`", "`](#", put_cells);
}

/* *GET /v1/skew* (token, admin): *profile* */
static void put_words(char *to, size_t size, const struct api_route *route)
{
	int length = snprintf(to, size, "* (%s)", who(route->right));
	char parameters[256];

	if (put_parameters(parameters, sizeof(parameters), route->parameters, '*'))
		snprintf(to + length, size - (size_t)length, ": %s", parameters);
	strncat(to, "\n", size - strlen(to) - 1);
}

static void gctokend_http_7(void **state)
{
	(void)state;
	check("man/gctokend-http.7.scd", "*", "* (", put_words);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(http_api_md),
		cmocka_unit_test(gctokend_http_7),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
