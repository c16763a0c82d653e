/* Which route a request is for and what it asks of it, where the path says more than the route. */
#include "core/api.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct api_route routes[] = {
	{"/v1/token", HTTP_GET, API_PROFILE | API_WAIT, RIGHT_TOKEN, NULL},
	{"/v1/authorization", HTTP_ANY, API_IN_PATH | API_MIN_TTL | API_WAIT, RIGHT_TOKEN, NULL},
	{0},
};

static int parse(enum http_method method, const char *path, const char *query, struct api_call *ret)
{
	struct http_request request = {
		.method = method,
		.path = {path, strlen(path)},
		.query = {query, strlen(query)},
	};

	return api_parse(routes, &request, ret);
}

static void the_profile_is_in_the_path(void **state)
{
	static const struct {
		const char *path, *profile;
	} cases[] = {
		{"/v1/authorization/default", "default"},
		{"/v1/authorization/a-b_9/", "a-b_9"},
		{"/v1/authorization/p/api/v2/users/me", "p"},
		{"/v1/authorization/p//", "p"},
		{"/v1/authorization/p/../q", "p"},
		{"/v1/authorization/abcdefghijklmnopqrstuvwxyz0123456789abcdefghijkl",
			"abcdefghijklmnopqrstuvwxyz0123456789abcdefghijkl"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (enum http_method m = HTTP_GET; m < HTTP_ANY; m++) {
			struct api_call call;

			assert_int_equal(parse(m, cases[i].path, "", &call), 0);
			assert_ptr_equal(call.route, &routes[1]);
			assert_false(call.profile_impossible);
			assert_string_equal(call.profile, cases[i].profile);
			assert_string_equal(call.problem, "");
		}
	}
}

static void no_profile_has_such_a_name(void **state)
{
	static const char *const paths[] = {
		"/v1/authorization/Default",
		"/v1/authorization/%64efault",
		"/v1/authorization/p;q/x",
		"/v1/authorization/-p",
		"/v1/authorization/abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklm",
		"/v1/authorization/abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmn/x",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct api_call call;

		assert_int_equal(parse(HTTP_GET, paths[i], "", &call), 0);
		assert_true(call.profile_impossible);
	}
}

static void other_paths_are_no_route(void **state)
{
	static const char *const paths[] = {
		"/v1/authorization",
		"/v1/authorization/",
		"/v1/authorization//p",
		"/v1/authorizationp",
		"/v1/authorization-/p",
		"/v1/token/",
		"/v1/token/p",
		"/v1/toke",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct api_call call;

		assert_int_equal(parse(HTTP_GET, paths[i], "", &call), 404);
	}
}

static void others_parameters_are_ignored(void **state)
{
	static const char *const queries[] = {
		"wait=7&min_ttl=60",
		"expand=team&wait=7&profile=q&min_ttl=60&generation=x",
		"flag&wait=7&=&min_ttl=60&a=b=c&",
		"%00=1&wait=7&min_ttl=60&pageSize=25",
		"wait=7&min_ttl=60&",
		"min_ttl=60&wait=7&&",
	};
	struct api_call call;

	(void)state;
	for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
		assert_int_equal(parse(HTTP_OTHER, "/v1/authorization/p", queries[i], &call), 0);
		assert_string_equal(call.problem, "");
		assert_string_equal(call.profile, "p");
		assert_true(call.has_wait && call.wait_s == 7);
		assert_true(call.has_min_ttl && call.min_ttl_s == 60);
		assert_false(call.has_generation);
	}
	assert_int_equal(parse(HTTP_GET, "/v1/authorization/p", "wait=soon", &call), 0);
	assert_string_equal(call.problem, "wait: whole seconds are expected");
	assert_int_equal(parse(HTTP_GET, "/v1/authorization/p", "wait=1&wait=1", &call), 0);
	assert_string_equal(call.problem, "wait: given twice");
	/* and of a route without that they are not */
	assert_int_equal(parse(HTTP_GET, "/v1/token", "expand=team", &call), 0);
	assert_string_equal(call.problem, "expand: a parameter that this route does not know");
	assert_int_equal(parse(HTTP_GET, "/v1/token", "flag", &call), 400);
}

/* There the parameters are those of the API. */
static void all_parameters_are_ignored_behind_more_path(void **state)
{
	static const char *const queries[] = {"wait=soon", "min_ttl=1&min_ttl=2", "wait=9", "&&&"};

	(void)state;
	for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
		struct api_call call;

		assert_int_equal(
			parse(HTTP_GET, "/v1/authorization/p/api/v2/users", queries[i], &call), 0);
		assert_string_equal(call.problem, "");
		assert_false(call.has_wait || call.has_min_ttl);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_profile_is_in_the_path),
		cmocka_unit_test(no_profile_has_such_a_name),
		cmocka_unit_test(other_paths_are_no_route),
		cmocka_unit_test(others_parameters_are_ignored),
		cmocka_unit_test(all_parameters_are_ignored_behind_more_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
