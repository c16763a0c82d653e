/* The client's answer parser: a table of what is read and refused, and properties that hold for
 * any bytes. Every input lies in a heap block of exactly its size, so that the sanitizer sees a
 * read past its end. */
#include "response_parser.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define OK_200 "HTTP/1.1 200 OK\r\n"

static int parse(const char *bytes, size_t length, struct response *ret)
{
	char *exact = malloc(length ? length : 1);
	int error;

	assert_non_null(exact);
	if (length)
		memcpy(exact, bytes, length);
	error = gctoken_response_parse(exact, length, ret);
	if (!error) {
		const struct response_span *spans[] = {&ret->generation, &ret->expires_in_ms,
			&ret->fingerprint, &ret->state, &ret->retry_after, &ret->body};
		size_t i;

		assert_true(ret->length <= length);
		for (i = 0; i < LENGTH(spans); i++) {
			if (!spans[i]->at)
				continue;
			assert_true(spans[i]->at >= exact);
			assert_true(spans[i]->at + spans[i]->length <= exact + length);
		}
		assert_true(ret->body.at + ret->body.length == exact + ret->length);
		assert_true(ret->status >= 200 && ret->status <= 599);
	}
	free(exact); /* the spans dangle now; their lengths are still good */
	return error;
}

static const char token_response[] = OK_200 "Cache-Control: no-store\r\n"
					    "Gctoken-Generation: 17\r\n"
					    "Gctoken-Expires-In-Ms: 3412345\r\n"
					    "gctoken-fingerprint: 9f86d081884c7d65\r\n"
					    "GCTOKEN-STATE:fresh \t\r\n"
					    "Content-Type: text/plain; charset=utf-8\r\n"
					    "Content-Length:        6\r\n"
					    "\r\n"
					    "abcde\n";

static void reads_a_token_answer(void **state)
{
	struct response r;
	uint64_t n;

	(void)state;
	assert_int_equal(gctoken_response_parse(token_response, sizeof(token_response) - 1, &r), 0);
	assert_int_equal(r.status, 200);
	assert_true(r.keep_alive);
	assert_true(gctoken_response_number(&r.generation, &n));
	assert_int_equal(n, 17);
	assert_true(gctoken_response_number(&r.expires_in_ms, &n));
	assert_int_equal(n, 3412345);
	assert_int_equal(r.fingerprint.length, 16);
	assert_memory_equal(r.fingerprint.at, "9f86d081884c7d65", 16);
	assert_int_equal(r.state.length, 5);
	assert_memory_equal(r.state.at, "fresh", 5);
	assert_null(r.retry_after.at);
	assert_int_equal(r.body.length, 6);
	assert_memory_equal(r.body.at, "abcde\n", 6);
	assert_int_equal(r.length, sizeof(token_response) - 1);
}

struct case_row {
	const char *what;
	const char *bytes;
	int error;
	int status;
	bool keep_alive;
	size_t body_length;
};

#define LENGTH_0 "Content-Length: 0\r\n"

static const struct case_row table[] = {
	{"an empty body", OK_200 LENGTH_0 "\r\n", 0, 200, true, 0},
	{"no reason phrase", "HTTP/1.1 200 \r\n" LENGTH_0 "\r\n", 0, 200, true, 0},
	{"HTTP/1.0 closes", "HTTP/1.0 200 OK\r\n" LENGTH_0 "\r\n", 0, 200, false, 0},
	{"Connection: close", OK_200 LENGTH_0 "Connection: close\r\n\r\n", 0, 200, false, 0},
	{"close in a list", OK_200 LENGTH_0 "Connection: x, CLOSE ,y\r\n\r\n", 0, 200, false, 0},
	{"keep-alive", OK_200 LENGTH_0 "Connection: keep-alive\r\n\r\n", 0, 200, true, 0},
	{"a strange Connection", OK_200 LENGTH_0 "Connection: a;b\r\n\r\n", 0, 200, false, 0},
	{"304 has no body", "HTTP/1.1 304 Not Modified\r\n\r\n", 0, 304, true, 0},
	{"304 with a length", "HTTP/1.1 304 N\r\nContent-Length: 99\r\n\r\n", 0, 304, true, 0},
	{"204", "HTTP/1.1 204 No Content\r\n\r\n", 0, 204, true, 0},
	{"an empty field", OK_200 LENGTH_0 "X:\r\n\r\n", 0, 200, true, 0},
	{"bytes over 0x7f in a value", OK_200 LENGTH_0 "X: \xc3\xa4\r\n\r\n", 0, 200, true, 0},
	{"what follows is not looked at", OK_200 LENGTH_0 "\r\ngarbage", 0, 200, true, 0},
	{"599", "HTTP/1.1 599 X\r\n" LENGTH_0 "\r\n", 0, 599, true, 0},

	{"nothing yet", "", -EAGAIN, 0, false, 0},
	{"half a body", OK_200 "Content-Length: 4\r\n\r\nabc", -EAGAIN, 0, false, 0},
	{"a body at the limit", OK_200 "Content-Length: 4194304\r\n\r\n", -EAGAIN, 0, false, 0},

	{"not HTTP", "SSH-2.0-OpenSSH_9.2\r\n", -EBADMSG, 0, false, 0},
	{"not HTTP, first byte", "x", -EBADMSG, 0, false, 0},
	{"HTTP/2", "HTTP/2 200\r\n\r\n", -EBADMSG, 0, false, 0},
	{"HTTP/1.2", "HTTP/1.2 200 OK\r\n" LENGTH_0 "\r\n", -EBADMSG, 0, false, 0},
	{"lower case", "http/1.1 200 OK\r\n" LENGTH_0 "\r\n", -EBADMSG, 0, false, 0},
	{"two digits", "HTTP/1.1 20 OKAY\r\n" LENGTH_0 "\r\n", -EBADMSG, 0, false, 0},
	{"four digits", "HTTP/1.1 2000 OK\r\n" LENGTH_0 "\r\n", -EBADMSG, 0, false, 0},
	{"no blank after the status", "HTTP/1.1 200\r\n" LENGTH_0 "\r\n", -EBADMSG, 0, false, 0},
	{"two blanks", "HTTP/1.1  200 OK\r\n" LENGTH_0 "\r\n", -EBADMSG, 0, false, 0},
	{"1xx", "HTTP/1.1 100 Continue\r\n\r\n" OK_200 LENGTH_0 "\r\n", -EBADMSG, 0, false, 0},
	{"600", "HTTP/1.1 600 X\r\n" LENGTH_0 "\r\n", -EBADMSG, 0, false, 0},
	{"a bare LF", "HTTP/1.1 200 OK\n" LENGTH_0 "\r\n", -EBADMSG, 0, false, 0},
	{"a bare CR", "HTTP/1.1 200 O\rK\r\n" LENGTH_0 "\r\n", -EBADMSG, 0, false, 0},
	{"a control character", OK_200 "X: a\x01\r\n" LENGTH_0 "\r\n", -EBADMSG, 0, false, 0},
	{"DEL", OK_200 "X: a\x7f\r\n" LENGTH_0 "\r\n", -EBADMSG, 0, false, 0},
	{"folding", OK_200 "X: a\r\n b\r\n" LENGTH_0 "\r\n", -EBADMSG, 0, false, 0},
	{"a blank before the colon", OK_200 "Content-Length : 0\r\n\r\n", -EBADMSG, 0, false, 0},
	{"no colon", OK_200 "Content-Length\r\n\r\n", -EBADMSG, 0, false, 0},
	{"no name", OK_200 ": 0\r\n" LENGTH_0 "\r\n", -EBADMSG, 0, false, 0},
	{"a strange name", OK_200 "X\"Y: 0\r\n" LENGTH_0 "\r\n", -EBADMSG, 0, false, 0},
	{"no length", OK_200 "\r\n", -EBADMSG, 0, false, 0},
	{"an empty length", OK_200 "Content-Length:\r\n\r\n", -EBADMSG, 0, false, 0},
	{"a signed length", OK_200 "Content-Length: +0\r\n\r\n", -EBADMSG, 0, false, 0},
	{"a negative length", OK_200 "Content-Length: -1\r\n\r\n", -EBADMSG, 0, false, 0},
	{"a length in hex", OK_200 "Content-Length: 0x0\r\n\r\n", -EBADMSG, 0, false, 0},
	{"a list of lengths", OK_200 "Content-Length: 0, 0\r\n\r\n", -EBADMSG, 0, false, 0},
	{"two lengths", OK_200 LENGTH_0 LENGTH_0 "\r\n", -EBADMSG, 0, false, 0},
	{"a length over the limit", OK_200 "Content-Length: 4194305\r\n\r\n", -EBADMSG, 0, false,
		0},
	{"a length beyond 64 bits", OK_200 "Content-Length: 99999999999999999999\r\n\r\n", -EBADMSG,
		0, false, 0},
	{"chunked", OK_200 "Transfer-Encoding: chunked\r\n\r\n", -EBADMSG, 0, false, 0},
	{"chunked with a length", OK_200 LENGTH_0 "transfer-encoding: x\r\n\r\n", -EBADMSG, 0,
		false, 0},
	{"two generations",
		OK_200 LENGTH_0 "Gctoken-Generation: 1\r\nGctoken-Generation: 1\r\n\r\n", -EBADMSG,
		0, false, 0},
};

static void reads_and_refuses_the_table(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH(table); i++) {
		const struct case_row *row = &table[i];
		struct response r;
		int error = parse(row->bytes, strlen(row->bytes), &r);

		if (error != row->error)
			fail_msg("%s: %d instead of %d", row->what, error, row->error);
		if (error)
			continue;
		if (r.status != row->status || r.keep_alive != row->keep_alive ||
			r.body.length != row->body_length)
			fail_msg("%s: status %d, keep-alive %d, body %zu", row->what, r.status,
				r.keep_alive, r.body.length);
	}
}

static void refuses_nul(void **state)
{
	static const char bytes[] = OK_200 "X: a\0b\r\n" LENGTH_0 "\r\n";
	struct response r;

	(void)state;
	assert_int_equal(parse(bytes, sizeof(bytes) - 1, &r), -EBADMSG);
}

static void limits_the_head(void **state)
{
	static const char end[] = "\r\n" LENGTH_0 "\r\n";
	static char bytes[RESPONSE_HEAD_MAX + 64];
	size_t start = strlen(OK_200 "X: ");
	size_t fits = RESPONSE_HEAD_MAX - start - strlen(end);
	struct response r;

	(void)state;
	memset(bytes, 'a', sizeof(bytes));
	memcpy(bytes, OK_200 "X: ", start);
	memcpy(bytes + start + fits, end, strlen(end));
	assert_int_equal(parse(bytes, RESPONSE_HEAD_MAX - 1, &r), -EAGAIN);
	assert_int_equal(parse(bytes, RESPONSE_HEAD_MAX, &r), 0);

	memset(bytes + start, 'a', sizeof(bytes) - start);
	memcpy(bytes + start + fits + 1, end, strlen(end));
	assert_int_equal(parse(bytes, RESPONSE_HEAD_MAX + 1, &r), -EBADMSG);
	assert_int_equal(parse(bytes, RESPONSE_HEAD_MAX, &r), -EBADMSG);
}

static void reads_numbers(void **state)
{
	static const struct {
		const char *text;
		bool good;
		uint64_t value;
	} rows[] = {
		{"0", true, 0},
		{"007", true, 7},
		{"9007199254740992", true, UINT64_C(9007199254740992)},
		{"9223372036854775807", true, INT64_MAX},
		{"9223372036854775808", false, 0},
		{"9999999999999999999", false, 0},
		{"00000000000000000001", false, 0},
		{"", false, 0},
		{"-1", false, 0},
		{"+1", false, 0},
		{"1 ", false, 0},
		{"1.0", false, 0},
		{"1e3", false, 0},
	};
	struct response_span absent = {NULL, 0};
	uint64_t n = 42;
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH(rows); i++) {
		struct response_span s = {rows[i].text, strlen(rows[i].text)};

		n = 42;
		if (gctoken_response_number(&s, &n) != rows[i].good)
			fail_msg("\"%s\"", rows[i].text);
		assert_int_equal(n, rows[i].good ? rows[i].value : 42);
	}
	assert_false(gctoken_response_number(&absent, &n));
}

static void reads_error_codes(void **state)
{
	static const struct {
		const char *body;
		const char *code;
	} rows[] = {
		{"{\"error\":\"login_required\",\"error_description\":\"x\"}", "login_required"},
		{" {\n\t\"error\" : \"revoked\"}", "revoked"},
		{"{\"error\":\"\"}", NULL},
		{"{\"error\":\"re", NULL},
		{"{\"error\":\"Revoked\"}", NULL},
		{"{\"error\":\"re\\u0076oked\"}", NULL},
		{"{\"error\":null}", NULL},
		{"{\"errors\":\"revoked\"}", NULL},
		{"[\"error\"]", NULL},
		{"{", NULL},
		{"", NULL},
		{"{\"error\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}",
			"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
		{"{\"error\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}",
			NULL},
	};
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH(rows); i++) {
		size_t n = strlen(rows[i].body);
		char *exact = malloc(n ? n : 1);
		struct response r = {.body = {exact, n}};
		char code[64] = "untouched";

		assert_non_null(exact);
		memcpy(exact, rows[i].body, n);
		if (gctoken_response_error(&r, code) != (rows[i].code != NULL))
			fail_msg("%s", rows[i].body);
		assert_string_equal(code, rows[i].code ? rows[i].code : "untouched");
		free(exact);
	}
}

/* A stream cut anywhere only asks for more, and more bytes never change what was read. */
static void any_cut_asks_for_more(void **state)
{
	struct response whole, r;
	char longer[sizeof(token_response) + 32];
	size_t length = sizeof(token_response) - 1, i;

	(void)state;
	for (i = 0; i < length; i++)
		assert_int_equal(parse(token_response, i, &r), -EAGAIN);
	assert_int_equal(parse(token_response, length, &whole), 0);
	memcpy(longer, token_response, length);
	memset(longer + length, 'Z', 32);
	assert_int_equal(parse(longer, length + 32, &r), 0);
	assert_int_equal(r.length, whole.length);
	assert_int_equal(r.body.length, whole.body.length);
}

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* Damage in any place: `parse` asserts that what it still reads stays within the bytes, and if the
 * whole says yes then no prefix of it says that it is broken. */
static void damage_is_survived(void **state)
{
	static const char nasty[] = "\r\n\0\t :,0919aZ\x7f\xff";
	uint64_t seed = UINT64_C(0x9e3779b97f4a7c15);
	unsigned round, accepted = 0, refused = 0;

	(void)state;
	for (round = 0; round < 60000; round++) {
		char bytes[sizeof(token_response)];
		size_t length = sizeof(token_response) - 1, changes = 1 + next_random(&seed) % 4;
		struct response r;
		int error;

		memcpy(bytes, token_response, length);
		while (changes--) {
			size_t at = next_random(&seed) % length;

			bytes[at] = next_random(&seed) % 2
					    ? nasty[next_random(&seed) % (sizeof(nasty) - 1)]
					    : (char)next_random(&seed);
		}
		error = parse(bytes, length, &r);
		assert_true(!error || error == -EAGAIN || error == -EBADMSG);
		if (!error) {
			size_t whole = r.length;

			accepted++;
			assert_int_equal(parse(bytes, next_random(&seed) % whole, &r), -EAGAIN);
		} else if (error == -EBADMSG) {
			refused++;
		}
	}
	assert_true(accepted > 1000); /* the damage is not so great that nothing is tested */
	assert_true(refused > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_a_token_answer),
		cmocka_unit_test(reads_and_refuses_the_table),
		cmocka_unit_test(refuses_nul),
		cmocka_unit_test(limits_the_head),
		cmocka_unit_test(reads_numbers),
		cmocka_unit_test(reads_error_codes),
		cmocka_unit_test(any_cut_asks_for_more),
		cmocka_unit_test(damage_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
