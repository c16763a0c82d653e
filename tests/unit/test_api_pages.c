/* Lists in pages: what counts as an item, and which page comes next. */
#include "cli/api_pages.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HOST "https://api.example.invalid"

static void assert_items(const char *json, const char *expected)
{
	struct api_page page;
	char joined[512] = "";
	size_t i;

	/* A copy of just that size: a sanitizer sees a step beyond it. */
	size_t length = strlen(json);
	char *exact = malloc(length ? length : 1);

	assert_non_null(exact);
	memcpy(exact, json, length);
	assert_int_equal(api_page_read(exact, length, &page), 0);
	for (i = 0; i < page.count; i++) {
		strncat(joined, page.items[i].at, page.items[i].length);
		strcat(joined, ";");
	}
	assert_string_equal(joined, expected);
	api_page_fini(&page);
	free(exact);
}

static void test_items(void **state)
{
	(void)state;
	assert_items("{}", "");
	assert_items("{\"entities\":[]}", "");
	assert_items("{\"entities\":[1]}", "1;");
	assert_items("{\"entities\": [ 1 , -2.5e10,\n\t\"a,b\\\"\" , true,null,false ] }",
		"1;-2.5e10;\"a,b\\\"\";true;null;false;");
	assert_items("{\"entities\":[{\"a\":[1,2,{\"b\":\"]}\"}]} , {} ,[[3]]]}",
		"{\"a\":[1,2,{\"b\":\"]}\"}]};{};[[3]];");
	assert_items("{\"resources\":[{\"entities\":[9]}]}", "{\"entities\":[9]};");
	assert_items("{\"conversations\":[{ }],\"total\":5}", "{ };");
	assert_items("{\"results\":[\"\xc3\xbc\"]}", "\"\xc3\xbc\";");
	/* No blanks of JSON's, but the parser takes them for some. */
	assert_items("{\"results\":[\v[] \f\v, {}\f]}", "[];{};");
	/* Not of the outermost object; no array; another name. */
	assert_items("{\"a\":{\"entities\":[1]}}", "");
	assert_items("{\"entities\":{\"x\":[1]}}", "");
	assert_items("{\"names\":[1]}", "");
	/* The first that has something in it. */
	assert_items("{\"entities\":[],\"resources\":[7],\"results\":[8]}", "7;");
}

static void test_what_is_no_page(void **state)
{
	static const char *const texts[] = {"", " ", "[]", "[{\"entities\":[1]}]", "{",
		"{\"a\":1}x", "{\"entities\":[1,2", "{\"entities\":[1 2]}",
		"{\"entities\":[\"\xff\"]}", "nonsense"};
	char deep[512];
	struct api_page page;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(api_page_read(texts[i], strlen(texts[i]), &page), -EBADMSG);
		api_page_fini(&page);
	}
	memset(deep, '[', sizeof(deep));
	memcpy(deep, "{\"entities\":", 12);
	assert_int_equal(api_page_read(deep, sizeof(deep), &page), -EBADMSG);
	api_page_fini(&page);
}

static void test_many_items(void **state)
{
	static char json[200000];
	struct api_page page;
	size_t n = (size_t)sprintf(json, "{\"entities\":[0"), i;

	(void)state;
	for (i = 1; i < 10000; i++)
		n += (size_t)sprintf(json + n, ",%zu", i);
	n += (size_t)sprintf(json + n, "]}");
	assert_int_equal(api_page_read(json, n, &page), 0);
	assert_int_equal(page.count, 10000);
	for (i = 0; i < page.count; i++)
		assert_int_equal(strtoul(page.items[i].at, NULL, 10), i);
	api_page_fini(&page);
}

static void test_paths(void **state)
{
	static const char *const good[] = {
		"/", "/api/v2/users/me", "/a?b=%20&c=d/e//f", "/~!$'()*+"};
	static const char *const bad[] = {
		"", "a", "//a", "/a b", "/a#b", "/a\n", "/a\x7f", "/\xc3\xbc", "https://a/", "?a"};
	char longest[API_PATH_MAX + 1];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(api_path_is_valid(good[i]));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(api_path_is_valid(bad[i]));
	memset(longest, 'a', sizeof(longest));
	longest[0] = '/';
	longest[API_PATH_MAX - 1] = '\0';
	assert_true(api_path_is_valid(longest));
	longest[API_PATH_MAX - 1] = 'a';
	longest[API_PATH_MAX] = '\0';
	assert_false(api_path_is_valid(longest));
}

/* `expected`: the next path, NULL: there is none, "odd": it is no path of this API. */
static void assert_next(const char *json, const char *path, const char *expected)
{
	struct api_page page;
	char next[API_PATH_MAX] = "";
	enum api_next result;

	assert_int_equal(api_page_read(json, strlen(json), &page), 0);
	result = api_page_next(&page, HOST, path, next);
	api_page_fini(&page);
	if (!expected) {
		assert_int_equal(result, API_NEXT_NONE);
	} else if (!strcmp(expected, "odd")) {
		assert_int_equal(result, API_NEXT_ODD);
	} else {
		assert_int_equal(result, API_NEXT_PAGE);
		assert_string_equal(next, expected);
	}
}

static void test_next_by_number(void **state)
{
	(void)state;
	assert_next("{\"entities\":[1],\"pageNumber\":1,\"pageCount\":3}", "/q", "/q?pageNumber=2");
	assert_next("{\"entities\":[1],\"pageNumber\":2,\"pageCount\":3}",
		"/q?a=b&pageNumber=2&c=d", "/q?a=b&pageNumber=3&c=d");
	assert_next("{\"entities\":[1],\"pageNumber\":9,\"pageCount\":11}", "/q?pageNumber=9",
		"/q?pageNumber=10");
	/* Another parameter whose name ends or begins so is not it. */
	assert_next("{\"entities\":[1],\"pageNumber\":1,\"pageCount\":2}",
		"/q?xpageNumber=1&pageNumbers=4", "/q?xpageNumber=1&pageNumbers=4&pageNumber=2");
	/* The query that was asked counts, not nextUri's. */
	assert_next("{\"entities\":[1],\"pageNumber\":1,\"pageCount\":2,\"nextUri\":\"/"
		    "q?pageNumber=2\"}",
		"/q?name=a*", "/q?name=a*&pageNumber=2");
	assert_next("{\"entities\":[1],\"pageNumber\":3,\"pageCount\":3}", "/q", NULL);
	assert_next("{\"entities\":[],\"pageNumber\":1,\"pageCount\":3}", "/q", NULL);
	assert_next("{\"entities\":[],\"pageNumber\":1,\"pageCount\":0}", "/q", NULL);
	assert_next("{\"entities\":[1]}", "/q", NULL);
}

static void test_next_by_cursor(void **state)
{
	(void)state;
	assert_next("{\"entities\":[1],\"nextUri\":\"/q?after=x%3D\"}", "/q", "/q?after=x%3D");
	assert_next("{\"entities\":[1],\"nextUri\":\"" HOST "/q?cursor=x\"}", "/q", "/q?cursor=x");
	assert_next(
		"{\"entities\":[1],\"cursor\":\"a b=/\"}", "/q?n=1", "/q?n=1&cursor=a%20b%3D%2F");
	assert_next("{\"entities\":[1],\"cursors\":{\"before\":\"x\",\"after\":\"y&z\"}}",
		"/q?after=old&n=1", "/q?after=y%26z&n=1");
	assert_next("{\"entities\":[1],\"cursors\":{\"before\":\"x\"}}", "/q", NULL);
	assert_next("{\"entities\":[1],\"other\":{\"after\":\"y\"}}", "/q", NULL);
	assert_next("{\"entities\":[1],\"nextUri\":\"/next\"}", "/q", "/next");
}

static void test_next_leads_nowhere_else(void **state)
{
	(void)state;
	assert_next(
		"{\"entities\":[1],\"nextUri\":\"https://evil.invalid/q?after=1\"}", "/q", "odd");
	assert_next("{\"entities\":[1],\"nextUri\":\"" HOST ".evil.invalid/q\"}", "/q", "odd");
	assert_next("{\"entities\":[1],\"nextUri\":\"" HOST "@evil.invalid/q\"}", "/q", "odd");
	assert_next("{\"entities\":[1],\"nextUri\":\"//evil.invalid/q\"}", "/q", "odd");
	assert_next("{\"entities\":[1],\"nextUri\":\"/q\\r\\nHost: evil\"}", "/q", "odd");
	assert_next("{\"entities\":[1],\"nextUri\":\"" HOST "\"}", "/q", "odd");
	/* With a NUL in it, it is none. */
	assert_next("{\"entities\":[1],\"nextUri\":\"/q\\u0000\"}", "/q", NULL);
}

static void test_a_cursor_of_any_length(void **state)
{
	char path[API_PATH_MAX], json[4096];
	int n;

	(void)state;
	memset(path, 'p', sizeof(path));
	path[0] = '/';
	for (n = API_PATH_MAX - 40; n < API_PATH_MAX - 1; n++) {
		struct api_page page;
		char *next = malloc(API_PATH_MAX);
		enum api_next result;

		assert_non_null(next);
		path[n] = '\0';
		strcpy(json, "{\"cursor\":\"=====\"}");
		assert_int_equal(api_page_read(json, strlen(json), &page), 0);
		result = api_page_next(&page, HOST, path, next);
		if (result == API_NEXT_PAGE)
			assert_true(strlen(next) < API_PATH_MAX && next[strlen(next) - 1] == 'D');
		else
			assert_int_equal(result, API_NEXT_ODD);
		api_page_fini(&page);
		free(next);
		path[n] = 'p';
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_items),
		cmocka_unit_test(test_what_is_no_page),
		cmocka_unit_test(test_many_items),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_next_by_number),
		cmocka_unit_test(test_next_by_cursor),
		cmocka_unit_test(test_next_leads_nowhere_else),
		cmocka_unit_test(test_a_cursor_of_any_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
