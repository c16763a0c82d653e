/* What the browser brings back from a login: redirect_uri taken apart, requests and pasted
 * addresses that are the one waited for, and those that are not. Inputs lie in heap blocks of their
 * size. */
#include "cli/redirect.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define STATE "s3cret-State_43"
#define URI "http://127.0.0.1:8090/callback"

static struct redirect_target target_of(const char *uri)
{
	struct redirect_target t;

	assert_int_equal(redirect_target_read(uri, &t), 0);
	return t;
}

static void assert_span(const struct redirect_span *s, const char *text)
{
	assert_int_equal(s->length, strlen(text));
	assert_memory_equal(s->at, text, s->length);
}

struct target_row {
	const char *uri;
	const char *base, *authority, *path, *host;
	unsigned port;
	bool local;
};

static const struct target_row targets[] = {
	{URI, URI, "127.0.0.1:8090", "/callback", "127.0.0.1", 8090, true},
	{"http://localhost:1/", "http://localhost:1/", "localhost:1", "/", "localhost", 1, true},
	{"http://LOCALHOST:1", "http://LOCALHOST:1", "LOCALHOST:1", "/", "LOCALHOST", 1, true},
	{"http://[::1]:65535/a/b", "http://[::1]:65535/a/b", "[::1]:65535", "/a/b", "::1", 65535,
		true},
	{"http://[::1]", "http://[::1]", "[::1]", "/", "::1", 80, true},
	{"http://127.0.0.1:80/c", "http://127.0.0.1:80/c", "127.0.0.1", "/c", "127.0.0.1", 80,
		true},
	{"http://127.0.0.1/c?d=e", "http://127.0.0.1/c", "127.0.0.1", "/c", "127.0.0.1", 80, true},
	{"http://127.0.0.1?d=e", "http://127.0.0.1", "127.0.0.1", "/", "127.0.0.1", 80, true},
	{"https://127.0.0.1/c", "https://127.0.0.1/c", "127.0.0.1", "/c", "127.0.0.1", 443, false},
	{"https://a.example:443/", "https://a.example:443/", "a.example", "/", "a.example", 443,
		false},
	{"http://a.example:81/", "http://a.example:81/", "a.example:81", "/", "a.example", 81,
		false},
};

static void takes_addresses_apart(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH(targets); i++) {
		const struct target_row *row = &targets[i];
		struct redirect_target t = target_of(row->uri);

		assert_span(&t.base, row->base);
		assert_span(&t.authority, row->authority);
		assert_span(&t.path, row->path);
		assert_string_equal(t.host, row->host);
		assert_int_equal(t.port, row->port);
		assert_int_equal(t.local, row->local);
	}
}

static void refuses_what_is_no_address(void **state)
{
	static const char *const wrong[] = {"", "http://", "http:///c", "ftp://127.0.0.1/",
		"127.0.0.1:8090/c", "http://127.0.0.1:0/", "http://127.0.0.1:65536/",
		"http://127.0.0.1:8x/", "http://127.0.0.1:-1/", "http://a@127.0.0.1/",
		"http://127.0.0.1/#f", "http://127.0.0.1/ x", "http://127.0.0.1/\x1b",
		"http://127.0.0.1/\xc3\xa4", "http://[]:1/", "http://[::1/", "http://[::1]x:1/",
		"http://:80/", "http://a:1:2/",
		"http://0123456789012345678901234567890123456789012345678901234567890123/"};
	struct redirect_target t, before;
	size_t i;

	(void)state;
	memset(&t, 7, sizeof(t));
	before = t;
	for (i = 0; i < LENGTH(wrong); i++) {
		assert_int_equal(redirect_target_read(wrong[i], &t), -EINVAL);
		assert_memory_equal(&t, &before, sizeof(t));
	}
}

static int read_request(const char *text, const char *uri, struct redirect_response *ret)
{
	struct redirect_target t = target_of(uri);
	size_t length = strlen(text);
	char *exact = malloc(length ? length : 1);
	int verdict;

	assert_non_null(exact);
	memcpy(exact, text, length);
	verdict = redirect_request_read(exact, length, &t, STATE, ret);
	free(exact);
	return verdict;
}

#define HOST "Host: 127.0.0.1:8090\r\n"
#define GET(query) "GET /callback?" query " HTTP/1.1\r\n" HOST "\r\n"
#define S "state=" STATE

static void hears_the_answer(void **state)
{
	static const char request[] = "GET /callback?x=1&code=a%2Fb+c%7e&" S
				      "&iss=https%3a%2F%2Fi&&error=&flag HTTP/1.0\r\n"
				      "Accept:*/*\r\nHOST:\t127.0.0.1:8090 \r\n\r\nmore";
	struct redirect_response a;

	(void)state;
	assert_int_equal(read_request(request, URI, &a), 0);
	assert_string_equal(a.code, "a/b c~");
	assert_string_equal(a.iss, "https://i");
	assert_string_equal(a.error, "");
	assert_string_equal(a.description, "");
}

static void hears_a_denial(void **state)
{
	struct redirect_response a;

	(void)state;
	assert_int_equal(
		read_request(
			GET("error=access_denied&error_description=No%0Away%C3%A4&" S), URI, &a),
		0);
	assert_string_equal(a.code, "");
	assert_string_equal(a.error, "access_denied");
	assert_string_equal(a.description, "No\nway\xc3\xa4");
	/* The words decide nothing: where they are too long they are missed. */
	assert_int_equal(read_request(GET("error=e&error_description=%zz&" S), URI, &a), 0);
	assert_string_equal(a.description, "");
}

struct request_row {
	const char *text;
	int verdict;
};

static const struct request_row requests[] = {
	{GET("code=x&" S), 0},
	{GET("code=x&state=other"), REDIRECT_WRONG_STATE},
	{GET("code=x&state=" STATE "x"), REDIRECT_WRONG_STATE},
	{GET("code=x"), REDIRECT_WRONG_STATE},
	{GET("error=x&state="), REDIRECT_WRONG_STATE},
	{GET(S), REDIRECT_OTHER},
	{GET("code=&" S), REDIRECT_OTHER},
	{GET("code&" S), REDIRECT_OTHER},
	{GET("code=x&error=y&" S), REDIRECT_OTHER},
	{GET("code=x&code=x&" S), REDIRECT_OTHER},
	{GET("code=x&" S "&" S), REDIRECT_OTHER},
	{GET("code=%0a&" S), REDIRECT_OTHER},
	{GET("code=%7f&" S), REDIRECT_OTHER},
	{GET("code=%00&" S), REDIRECT_OTHER},
	{GET("code=%4&" S), REDIRECT_OTHER},
	{GET("code=x&iss=%80&" S), REDIRECT_OTHER},
	{"", REDIRECT_MORE},
	{"GET /callback?code=x&" S " HTTP/1.1\r\n" HOST "\r", REDIRECT_MORE},
	{"GET /callback HTTP/1.1\r\n" HOST "\r\n", REDIRECT_OTHER},
	{"GET /other?code=x&" S " HTTP/1.1\r\n" HOST "\r\n", REDIRECT_OTHER},
	{"GET /callback/?code=x&" S " HTTP/1.1\r\n" HOST "\r\n", REDIRECT_OTHER},
	{"GET /Callback?code=x&" S " HTTP/1.1\r\n" HOST "\r\n", REDIRECT_OTHER},
	{"GET " URI "?code=x&" S " HTTP/1.1\r\n" HOST "\r\n", REDIRECT_OTHER},
	{"get /callback?code=x&" S " HTTP/1.1\r\n" HOST "\r\n", REDIRECT_OTHER},
	{"POST /callback?code=x&" S " HTTP/1.1\r\n" HOST "\r\n", REDIRECT_OTHER},
	{"HEAD /callback?code=x&" S " HTTP/1.1\r\n" HOST "\r\n", REDIRECT_OTHER},
	{"GET /callback?code=x&" S " HTTP/1.2\r\n" HOST "\r\n", REDIRECT_OTHER},
	{"GET /callback?code=x&" S "\r\n" HOST "\r\n", REDIRECT_OTHER},
	{"GET  /callback?code=x&" S " HTTP/1.1\r\n" HOST "\r\n", REDIRECT_OTHER},
	{"GET /callback?code=x&" S "#f HTTP/1.1\r\n" HOST "\r\n", REDIRECT_OTHER},
	{"GET /callback?code=x y&" S " HTTP/1.1\r\n" HOST "\r\n", REDIRECT_OTHER},
	{"GET /callback?code=x&" S " HTTP/1.1\n" HOST "\r\n\r\n", REDIRECT_OTHER},
	{"GET /callback?code=x&" S " HTTP/1.1\r\n\r\n", REDIRECT_OTHER},
	{"GET /callback?code=x&" S " HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", REDIRECT_OTHER},
	{"GET /callback?code=x&" S " HTTP/1.1\r\nHost: 127.0.0.9:8090\r\n\r\n", REDIRECT_OTHER},
	{"GET /callback?code=x&" S " HTTP/1.1\r\n" HOST HOST "\r\n", REDIRECT_OTHER},
	{"GET /callback?code=x&" S " HTTP/1.1\r\n" HOST "a\r\n\r\n", REDIRECT_OTHER},
	{"GET /callback?code=x&" S " HTTP/1.1\r\n" HOST ": a\r\n\r\n", REDIRECT_OTHER},
	{"GET /callback?code=x&" S " HTTP/1.1\r\n" HOST "a: \x01\r\n\r\n", REDIRECT_OTHER},
	{"GET /callback?code=x&" S " HTTP/1.1\r\n" HOST "a: b\rc\r\n\r\n", REDIRECT_OTHER},
	{"GET /callback?code=x&" S " HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n",
		REDIRECT_OTHER},
	{"GET /callback?code=x&" S " HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n",
		REDIRECT_OTHER},
	{"\r\n\r\n", REDIRECT_OTHER},
};

static void takes_nothing_else(void **state)
{
	struct redirect_response a, before;
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH(requests); i++) {
		memset(&a, 7, sizeof(a));
		before = a;
		assert_int_equal(read_request(requests[i].text, URI, &a), requests[i].verdict);
		if (requests[i].verdict)
			assert_memory_equal(&a, &before, sizeof(a));
	}
}

static void a_head_has_an_end(void **state)
{
	char *endless = malloc(REDIRECT_HEAD_MAX + 1);
	struct redirect_response a;

	(void)state;
	assert_non_null(endless);
	memset(endless, 'x', REDIRECT_HEAD_MAX);
	endless[REDIRECT_HEAD_MAX - 1] = '\0';
	assert_int_equal(read_request(endless, URI, &a), REDIRECT_MORE);
	endless[REDIRECT_HEAD_MAX - 1] = 'x';
	endless[REDIRECT_HEAD_MAX] = '\0';
	assert_int_equal(read_request(endless, URI, &a), REDIRECT_OTHER);
	free(endless);
}

static void long_codes(void **state)
{
	char text[REDIRECT_CODE_MAX + 200], code[REDIRECT_CODE_MAX + 2];
	struct redirect_response a;

	(void)state;
	memset(code, 'c', sizeof(code));
	code[REDIRECT_CODE_MAX] = '\0';
	snprintf(text, sizeof(text), "GET /callback?code=%s&" S " HTTP/1.1\r\n" HOST "\r\n", code);
	assert_int_equal(read_request(text, URI, &a), 0);
	assert_string_equal(a.code, code);
	code[REDIRECT_CODE_MAX] = 'c';
	code[REDIRECT_CODE_MAX + 1] = '\0';
	snprintf(text, sizeof(text), "GET /callback?code=%s&" S " HTTP/1.1\r\n" HOST "\r\n", code);
	assert_int_equal(read_request(text, URI, &a), REDIRECT_OTHER);
}

struct pasted_row {
	const char *uri, *text;
	int verdict;
};

static const struct pasted_row pasted[] = {
	{URI, URI "?code=x&" S, 0},
	{URI, " \t" URI "?code=x&" S "\r\n", 0},
	{URI, "127.0.0.1:8090/callback?code=x&" S "#_=_", 0},
	{URI, "HTTP://127.0.0.1:8090/callback?code=x&" S, 0},
	{"http://localhost:1", "http://localhost:1/?code=x&" S, 0},
	{"http://localhost:1/", "http://localhost:1?code=x&" S, 0},
	{"http://[::1]:80/c?d=e", "http://[::1]/c?d=e&code=x&" S, 0},
	{"https://a.example/c", "https://a.example/c?code=x&" S, 0},
	{URI, URI "?code=x&state=y", REDIRECT_WRONG_STATE},
	{"https://a.example/c", "http://a.example/c?code=x&" S, REDIRECT_OTHER},
	{URI, URI, REDIRECT_OTHER},
	{URI, URI "?", REDIRECT_OTHER},
	{URI, URI "/?code=x&" S, REDIRECT_OTHER},
	{URI, "http://127.0.0.1:8091/callback?code=x&" S, REDIRECT_OTHER},
	{URI, "http://127.0.0.1:80901/callback?code=x&" S, REDIRECT_OTHER},
	{URI, "http://127?code=x&" S, REDIRECT_OTHER},
	{URI, "?code=x&" S, REDIRECT_OTHER},
	{URI, "#?code=x&" S, REDIRECT_OTHER},
	{URI, "x", REDIRECT_OTHER},
	{URI, "", REDIRECT_OTHER},
};

static void reads_what_was_pasted(void **state)
{
	struct redirect_response a;
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH(pasted); i++) {
		struct redirect_target t = target_of(pasted[i].uri);
		size_t length = strlen(pasted[i].text);
		char *exact = malloc(length ? length : 1);

		assert_non_null(exact);
		memcpy(exact, pasted[i].text, length);
		assert_int_equal(
			redirect_pasted_read(exact, length, &t, STATE, &a), pasted[i].verdict);
		free(exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_addresses_apart),
		cmocka_unit_test(refuses_what_is_no_address),
		cmocka_unit_test(hears_the_answer),
		cmocka_unit_test(hears_a_denial),
		cmocka_unit_test(takes_nothing_else),
		cmocka_unit_test(a_head_has_an_end),
		cmocka_unit_test(long_codes),
		cmocka_unit_test(reads_what_was_pasted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
