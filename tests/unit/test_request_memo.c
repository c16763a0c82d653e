/* Requests that are remembered, beside the parser and the router, which read them each time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/random.h"
#include "core/request_memo.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof(*(a)))
#define H "Host: localhost\r\n"
#define ASK "GET /v1/token?profile=default HTTP/1.1\r\n" H "Accept: */*\r\n\r\n"

static const struct api_route routes[] = {
	{"/v1/token", HTTP_GET, API_PROFILE | API_MIN_TTL | API_AFTER, RIGHT_TOKEN, NULL},
	{"/v1/token/reject", HTTP_POST, API_PROFILE | API_GENERATION | API_FINGERPRINT, RIGHT_TOKEN,
		NULL},
	{"/v1/login/code", HTTP_GET, API_PROFILE | API_LOGIN, RIGHT_LOGIN, NULL},
	{"/v1/proxy", HTTP_ANY, API_PROFILE | API_IN_PATH, RIGHT_TOKEN, NULL},
	{0},
};

static struct request_memo *memo_new(void)
{
	struct request_memo *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	return m;
}

/* Like the daemon: found, or parsed, remembered and handled. True: it was found. */
static bool serve(struct request_memo *m, uid_t who, const char *bytes, size_t length)
{
	struct http_parser parser = {0};
	struct http_request request;
	struct request_memory *known;
	struct api_call call;
	const char *reason;

	if (request_memo_find(m, who, bytes, length))
		return true;
	if (http_parser_run(&parser, bytes, length, &request, &reason))
		return false;
	known = request_memo_add(m, who, bytes, &request);
	api_parse_noting(routes, known ? &known->request : &request, &call);
	if (known && !known->note.made)
		request_memo_drop(m, known);
	return false;
}

static bool serve_text(struct request_memo *m, uid_t who, const char *text)
{
	return serve(m, who, text, strlen(text));
}

static void the_same_again(void **state)
{
	struct request_memo *m = memo_new();
	static const char changed[] = "GET /v1/token?profile=defaulT HTTP/1.1\r\n" H "\r\n";

	(void)state;
	assert_false(serve_text(m, 1000, ASK));
	assert_true(serve_text(m, 1000, ASK));
	assert_true(serve_text(m, 1000, ASK ASK));
	assert_true(serve_text(m, 1000, ASK "GET / HTTP/1.1\r\n" H "Cookie: a\r\n\r\n"));
	/* but not a part of it, nor another */
	for (size_t length = 0; length < sizeof(ASK) - 1; length++)
		assert_null(request_memo_find(m, 1000, ASK, length));
	assert_false(serve_text(m, 1000, changed));
	free(m);
}

/* What others ask for tells nobody anything. */
static void each_user_for_itself(void **state)
{
	struct request_memo *m = memo_new();

	(void)state;
	for (int i = 0; i < 3; i++)
		serve_text(m, 1000, ASK);
	assert_null(request_memo_find(m, 1001, ASK, sizeof(ASK) - 1));
	assert_false(serve_text(m, 1001, ASK));
	assert_true(serve_text(m, 1001, ASK));
	assert_true(serve_text(m, 1000, ASK));
	free(m);
}

/* Whatever may hold a secret, and whatever is refused, leaves no trace. */
static void what_is_not_remembered(void **state)
{
	static const char *const texts[] = {
		"GET /v1/token HTTP/1.1\r\n" H "Authorization: canary\r\n\r\n",
		"GET /v1/token HTTP/1.1\r\n" H "Cookie: canary\r\n\r\n",
		"GET /v1/token HTTP/1.1\r\n" H "X: canary\r\nAccept: */*\r\n\r\n",
		"GET /v1/login/code?profile=a&code=canary&state=canary HTTP/1.1\r\n" H "\r\n",
		"GET /v1/proxy/default/canary HTTP/1.1\r\n" H "\r\n",
		"GET /v1/proxy/default?key=canary HTTP/1.1\r\n" H "\r\n",
		"GET /v1/token?access_token=canary HTTP/1.1\r\n" H "\r\n",
		"GET /v1/token?min_ttl=canary HTTP/1.1\r\n" H "\r\n",
		"GET /v1/token?profile=Canary-canary HTTP/1.1\r\n" H "\r\n",
		"GET /v1/token?canary HTTP/1.1\r\n" H "\r\n",
		"GET /canary HTTP/1.1\r\n" H "\r\n",
		"DELETE /v1/token?profile=canary HTTP/1.1\r\n" H "\r\n",
		"OPTIONS /v1/token?profile=canary HTTP/1.1\r\n" H "\r\n",
		"POST /v1/token/reject?profile=canary HTTP/1.1\r\n" H "\r\n",
	};
	struct request_memo *m = memo_new();

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++)
		for (int times = 0; times < 4; times++)
			assert_false(serve_text(m, 1000, texts[i]));
	assert_null(memmem(m, sizeof(*m), "canary", 6));
	free(m);
}

static void the_longest(void **state)
{
	struct request_memo *m = memo_new();
	char text[REQUEST_MEMO_LONGEST + 2];

	(void)state;
	for (int more = 0; more < 2; more++) {
		int length = REQUEST_MEMO_LONGEST + more;
		int from = snprintf(text, sizeof(text), "GET /v1/token HTTP/1.1\r\n" H "Accept: ");

		memset(text + from, 'x', (size_t)(length - from - 4));
		memcpy(text + length - 4, "\r\n\r\n", 5);
		assert_false(serve_text(m, 1000, text));
		assert_int_equal(serve_text(m, 1000, text), !more);
	}
	free(m);
}

/* As many as a daemon with so many profiles is asked in turn, and more than there is room for. */
static void many_in_turn(void **state)
{
	static const struct {
		unsigned requests, part; /* of a thousand that are found, at least */
	} rows[] = {{100, 1000}, {1000, 900}, {2000, 300}, {10000, 0}};

	(void)state;
	for (size_t r = 0; r < COUNT(rows); r++) {
		struct request_memo *m = memo_new();
		unsigned found = 0;
		char text[200];

		for (unsigned i = 0; i < 6 * rows[r].requests; i++) {
			unsigned length = (unsigned)snprintf(text, sizeof(text),
				"GET /v1/token?profile=p%u HTTP/1.1\r\n" H "\r\n",
				i % rows[r].requests);

			found += serve(m, 1000, text, length) && i >= 3 * rows[r].requests;
		}
		assert_in_range(
			found, 3 * rows[r].requests / 1000 * rows[r].part, 3 * rows[r].requests);
		free(m);
	}
}

/* ---- as the parser and the router have it ---- */

static size_t put(char *text, size_t at, struct random *dice, const char *const *from, size_t count)
{
	const char *chosen = from[random_next(dice) % count];

	memcpy(text + at, chosen, strlen(chosen));
	return at + strlen(chosen);
}

/* Few words, so that the same requests come again, and damage that differs from what came. */
static size_t request_draw(char text[600], struct random *dice)
{
	static const char *const methods[] = {"GET ", "GET ", "GET ", "HEAD ", "POST ", "PUT "};
	static const char *const targets[] = {"/v1/token", "/v1/token?profile=a",
		"/v1/token?profile=b&min_ttl=60", "/v1/token?profile=b&min_ttl=61",
		"/v1/token?after=7", "http://x/v1/token?profile=a", "/v1/token/reject?generation=4",
		"/v1/token?min_ttl=x", "/", "/v1/login/code?code=secret"};
	static const char *const versions[] = {
		" HTTP/1.1\r\n", " HTTP/1.1\r\n", " HTTP/1.1\r\n", " HTTP/1.0\r\n"};
	static const char *const fields[] = {"", "", "Accept: text/plain\r\n", "Accept: */*\r\n",
		"User-Agent: me\r\n", "Connection: close\r\n", "X-Key: k\r\n", "Expect: x\r\n"};
	static const char *const hosts[] = {H, H, H, H H, ""};
	size_t length = put(text, 0, dice, methods, COUNT(methods));

	length = put(text, length, dice, targets, COUNT(targets));
	length = put(text, length, dice, versions, COUNT(versions));
	length = put(text, length, dice, hosts, COUNT(hosts));
	length = put(text, length, dice, fields, COUNT(fields));
	memcpy(text + length, "\r\n", 2);
	length += 2;
	if (random_next(dice) % 8 == 0)
		text[random_next(dice) % length] ^= (char)(1 << random_next(dice) % 8);
	return random_next(dice) % 16 ? length : random_next(dice) % length;
}

static void assert_same(const struct http_request *known, const struct http_request *parsed)
{
	assert_int_equal(known->method, parsed->method);
	assert_int_equal(known->keep_alive, parsed->keep_alive);
	assert_int_equal(known->wants_text, parsed->wants_text);
	assert_int_equal(known->length, parsed->length);
	assert_int_equal(known->path.length, parsed->path.length);
	assert_memory_equal(known->path.at, parsed->path.at, parsed->path.length);
	assert_int_equal(known->query.length, parsed->query.length);
	assert_memory_equal(known->query.at, parsed->query.at, parsed->query.length);
}

static void assert_same_call(const struct api_call *known, const struct api_call *read)
{
	assert_ptr_equal(known->route, read->route);
	assert_string_equal(known->profile, read->profile);
	assert_int_equal(known->profile_impossible, read->profile_impossible);
	assert_int_equal(known->has_min_ttl, read->has_min_ttl);
	assert_int_equal(known->has_wait, read->has_wait);
	assert_int_equal(known->has_after, read->has_after);
	assert_int_equal(known->has_generation, read->has_generation);
	assert_int_equal(known->has_fingerprint, read->has_fingerprint);
	assert_int_equal(known->min_ttl_s, read->min_ttl_s);
	assert_int_equal(known->wait_s, read->wait_s);
	assert_int_equal(known->after, read->after);
	assert_int_equal(known->generation, read->generation);
	assert_string_equal(known->fingerprint, read->fingerprint);
	assert_string_equal(known->problem, read->problem);
}

static void agrees_with_parser_and_router(void **state)
{
	struct request_memo *m = memo_new();
	struct random dice = {20261130};
	unsigned found = 0;
	char text[600];

	(void)state;
	for (int i = 0; i < 200000; i++) {
		uid_t who = (uid_t)(random_next(&dice) % 2);
		size_t length = request_draw(text, &dice);
		const struct http_request *known = request_memo_find(m, who, text, length);
		struct http_parser parser = {0};
		struct http_request parsed;
		struct api_call read;
		const char *reason;

		if (known) {
			found++;
			assert_int_equal(
				http_parser_run(&parser, text, length, &parsed, &reason), 0);
			assert_same(known, &parsed);
			assert_int_equal(api_parse(routes, &parsed, &read), 0);
			assert_non_null(api_noted(known));
			assert_same_call(api_noted(known), &read);
		}
		serve(m, who, text, length);
	}
	assert_in_range(found, 10000, 100000);
	free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_again),
		cmocka_unit_test(each_user_for_itself),
		cmocka_unit_test(what_is_not_remembered),
		cmocka_unit_test(the_longest),
		cmocka_unit_test(many_in_turn),
		cmocka_unit_test(agrees_with_parser_and_router),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
