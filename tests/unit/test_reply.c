/* Heads and error bodies to the byte; Content-Length is always the body's. */
#include "core/random.h"
#include "core/reply.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LENGTH(a) (sizeof(a) / sizeof(*(a)))

#define assert_written(b, text) \
	do { \
		assert_int_equal((b)->length, strlen(text)); \
		assert_memory_equal((b)->data, text, strlen(text)); \
	} while (0)

static void writes_a_whole_answer(void **state)
{
	char storage[512];
	struct buffer b;
	struct reply r = {.out = &b, .keep_alive = true};

	(void)state;
	buffer_init(&b, storage, sizeof(storage));
	reply_begin(&r, 200, REPLY_TEXT, "Gctoken-Generation: 17\r\n");
	buffer_put_text(&b, "hello\n");
	reply_end(&r);
	assert_written(&b, "HTTP/1.1 200 OK\r\n"
			   "Cache-Control: no-store\r\n"
			   "Gctoken-Generation: 17\r\n"
			   "Content-Type: text/plain; charset=utf-8\r\n"
			   "Content-Length:        6\r\n"
			   "\r\n"
			   "hello\n");
}

static void errors_to_the_byte(void **state)
{
	static const struct {
		int status;
		bool keep_alive;
		const char *code, *words;
		int64_t retry_after_s;
		const char *expected;
	} cases[] = {
		{503, true, "temporarily_unavailable", "HTTP 500: \"out\" of\norder", 7,
			"HTTP/1.1 503 Service Unavailable\r\n"
			"Cache-Control: no-store\r\n"
			"Retry-After: 7\r\n"
			"Content-Type: application/json\r\n"
			"Content-Length:      106\r\n"
			"\r\n"
			"{\"error\":\"temporarily_unavailable\",\"error_description\":"
			"\"HTTP 500: \\\"out\\\" of\\u000aorder\",\"retry_after\":7}\n"},
		{403, false, "access_denied", "no rule", -1,
			"HTTP/1.1 403 Forbidden\r\n"
			"Cache-Control: no-store\r\n"
			"Connection: close\r\n"
			"Content-Type: application/json\r\n"
			"Content-Length:       56\r\n"
			"\r\n"
			"{\"error\":\"access_denied\",\"error_description\":\"no rule\"}\n"},
		{429, true, "reject_cooldown", "", 0,
			"HTTP/1.1 429 Too Many Requests\r\n"
			"Cache-Control: no-store\r\n"
			"Retry-After: 0\r\n"
			"Content-Type: application/json\r\n"
			"Content-Length:       67\r\n"
			"\r\n"
			"{\"error\":\"reject_cooldown\",\"error_description\":\"\","
			"\"retry_after\":0}\n"},
	};
	char storage[1024];
	struct buffer b;

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct reply r = {.out = &b, .keep_alive = cases[i].keep_alive};

		buffer_init(&b, storage, sizeof(storage));
		assert_int_equal(reply_error(&r, cases[i].status, cases[i].code, cases[i].words,
					 cases[i].retry_after_s),
			cases[i].status);
		assert_written(&b, cases[i].expected);
	}
}

/* RFC 9110 section 15.5.6: what the target supports, not what the server knows. */
static void a_wrong_method_is_told_the_right_one(void **state)
{
	char storage[512];
	struct buffer b;
	struct reply r = {.out = &b, .keep_alive = true};

	(void)state;
	buffer_init(&b, storage, sizeof(storage));
	assert_int_equal(reply_wrong_method(&r, "POST, OPTIONS"), 405);
	assert_written(&b, "HTTP/1.1 405 Method Not Allowed\r\n"
			   "Cache-Control: no-store\r\n"
			   "Allow: POST, OPTIONS\r\n"
			   "Content-Type: application/json\r\n"
			   "Content-Length:       94\r\n"
			   "\r\n"
			   "{\"error\":\"method_not_allowed\",\"error_description\":"
			   "\"the methods of this route: POST, OPTIONS\"}\n");
	buffer_init(&b, storage, sizeof(storage));
	assert_int_equal(reply_options(&r, "GET, HEAD, OPTIONS"), 204);
	assert_written(&b, "HTTP/1.1 204 No Content\r\n"
			   "Cache-Control: no-store\r\n"
			   "Allow: GET, HEAD, OPTIONS\r\n"
			   "\r\n");
}

static void nobody_is_told_to_stay_away_for_long(void **state)
{
	char storage[512];
	struct buffer b;
	struct reply r = {.out = &b, .keep_alive = true};

	(void)state;
	for (int64_t s = 59; s <= 3600; s = s < 61 ? s + 1 : 3600 + (s == 3600)) {
		char field[40], member[40];

		buffer_init(&b, storage, sizeof(storage));
		reply_error(&r, 503, "e", "w", s);
		snprintf(field, sizeof(field), "\r\nRetry-After: %d\r\n", s < 60 ? (int)s : 60);
		snprintf(member, sizeof(member), ",\"retry_after\":%d}", s < 60 ? (int)s : 60);
		assert_non_null(memmem(b.data, b.length, field, strlen(field)));
		assert_non_null(memmem(b.data, b.length, member, strlen(member)));
	}
}

/* How long a connection may be idle is told where it goes on, by fields that belong together. */
static void keep_alive_says_for_how_long(void **state)
{
	char storage[512];
	struct buffer b;
	struct reply r = {.out = &b, .keep_alive = true, .idle_s = 600};

	(void)state;
	buffer_init(&b, storage, sizeof(storage));
	reply_not_modified(&r);
	assert_written(&b, "HTTP/1.1 304 Not Modified\r\n"
			   "Cache-Control: no-store\r\n"
			   "Connection: keep-alive\r\n"
			   "Keep-Alive: timeout=600\r\n"
			   "\r\n");
	r.keep_alive = false;
	buffer_init(&b, storage, sizeof(storage));
	reply_not_modified(&r);
	assert_null(memmem(b.data, b.length, "Keep-Alive", 10));
}

/* What was there before stays, and nothing of the body does, not even in memory. */
static void of_a_reply_to_head_only_the_header_is_left(void **state)
{
	char storage[512];
	struct buffer b;
	struct reply r = {.out = &b, .keep_alive = true, .head = true};
	size_t at, whole;

	(void)state;
	buffer_init(&b, storage, sizeof(storage));
	reply_error(&r, 404, "first", "w", -1);
	at = b.length;
	reply_begin(&r, 200, REPLY_TEXT, "");
	buffer_put_text(&b, "secret\r\n\r\nsecret\n");
	reply_end(&r);
	whole = b.length;
	reply_cut_body(&b, at);
	assert_int_equal(b.length, whole - 17);
	assert_memory_equal(b.data + b.length - 4, "\r\n\r\n", 4);
	assert_non_null(memmem(b.data + at, b.length - at, "Content-Length:       17\r\n", 26));
	assert_null(memmem(storage, sizeof(storage), "secret", 6));
	assert_non_null(memmem(b.data, at, "{\"error\":\"first\"", 16));
	at = b.length;
	reply_not_modified(&r);
	whole = b.length;
	reply_cut_body(&b, at);
	assert_int_equal(b.length, whole);
}

/* RFC 9110 section 15 */
static void every_status_has_its_phrase(void **state)
{
	static const struct {
		int status;
		const char *line;
	} cases[] = {
		{200, "HTTP/1.1 200 OK\r\n"},
		{204, "HTTP/1.1 204 No Content\r\n"},
		{400, "HTTP/1.1 400 Bad Request\r\n"},
		{403, "HTTP/1.1 403 Forbidden\r\n"},
		{404, "HTTP/1.1 404 Not Found\r\n"},
		{408, "HTTP/1.1 408 Request Timeout\r\n"},
		{414, "HTTP/1.1 414 URI Too Long\r\n"},
		{429, "HTTP/1.1 429 Too Many Requests\r\n"},
		{431, "HTTP/1.1 431 Request Header Fields Too Large\r\n"},
		{500, "HTTP/1.1 500 Internal Server Error\r\n"},
		{503, "HTTP/1.1 503 Service Unavailable\r\n"},
		{504, "HTTP/1.1 504 Gateway Timeout\r\n"},
		{505, "HTTP/1.1 505 HTTP Version Not Supported\r\n"},
	};
	char storage[512];
	struct buffer b;

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct reply r = {.out = &b, .keep_alive = true};

		buffer_init(&b, storage, sizeof(storage));
		reply_error(&r, cases[i].status, "e", "w", -1);
		assert_memory_equal(b.data, cases[i].line, strlen(cases[i].line));
		assert_null(memmem(b.data, b.length, "Retry-After", 11));
		assert_null(memmem(b.data, b.length, "retry_after", 11));
		assert_null(memmem(b.data, b.length, "Allow:", 6));
	}
}

static void not_modified_has_no_body(void **state)
{
	char storage[128];
	struct buffer b;
	struct reply r = {.out = &b, .keep_alive = true};

	(void)state;
	buffer_init(&b, storage, sizeof(storage));
	reply_not_modified(&r);
	assert_written(&b, "HTTP/1.1 304 Not Modified\r\nCache-Control: no-store\r\n\r\n");
	buffer_init(&b, storage, sizeof(storage));
	r.keep_alive = false;
	reply_not_modified(&r);
	assert_written(&b, "HTTP/1.1 304 Not Modified\r\nCache-Control: no-store\r\n"
			   "Connection: close\r\n\r\n");
}

/* The length's place is remembered while the bytes move to the heap, and several pipelined answers
 * stand behind one another in one buffer. */
static void length_is_right_wherever_the_bytes_are(void **state)
{
	struct random random = {11};

	(void)state;
	for (int round = 0; round < 150; round++) {
		char storage[300];
		struct buffer b;
		size_t at = 0, bodies[4];

		buffer_init(&b, storage, random_next(&random) % sizeof(storage));
		for (size_t i = 0; i < LENGTH(bodies); i++) {
			struct reply r = {.out = &b, .keep_alive = true};

			bodies[i] = random_next(&random) % (round % 10 ? 200 : 200000);
			reply_begin(&r, 200, REPLY_METRICS, "");
			for (size_t n = 0; n < bodies[i]; n++)
				buffer_put_char(&b, 'x');
			reply_end(&r);
		}
		assert_false(buffer_failed(&b));
		for (size_t i = 0; i < LENGTH(bodies); i++) {
			const char *head = b.data + at, *field, *body;

			field = memmem(head, b.length - at, "\r\nContent-Length:", 17);
			assert_non_null(field);
			assert_int_equal(strtoul(field + 17, NULL, 10), bodies[i]);
			body = memmem(head, b.length - at, "\r\n\r\n", 4);
			assert_non_null(body);
			at = (size_t)(body + 4 - b.data) + bodies[i];
			assert_true(at <= b.length);
		}
		assert_int_equal(at, b.length);
		buffer_fini(&b);
	}
}

/* Out of memory on the way: nobody reads a length that was never written, nothing is touched. */
static void failed_buffer_ends_quietly(void **state)
{
	volatile size_t too_much = SIZE_MAX / 2;
	char storage[200];
	struct buffer b;
	struct reply r = {.out = &b, .keep_alive = true};

	(void)state;
	buffer_init(&b, storage, sizeof(storage));
	reply_begin(&r, 200, REPLY_JSON, "");
	buffer_put(&b, "x", too_much);
	reply_end(&r);
	assert_true(buffer_failed(&b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_a_whole_answer),
		cmocka_unit_test(errors_to_the_byte),
		cmocka_unit_test(a_wrong_method_is_told_the_right_one),
		cmocka_unit_test(nobody_is_told_to_stay_away_for_long),
		cmocka_unit_test(keep_alive_says_for_how_long),
		cmocka_unit_test(of_a_reply_to_head_only_the_header_is_left),
		cmocka_unit_test(every_status_has_its_phrase),
		cmocka_unit_test(not_modified_has_no_body),
		cmocka_unit_test(length_is_right_wherever_the_bytes_are),
		cmocka_unit_test(failed_buffer_ends_quietly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
