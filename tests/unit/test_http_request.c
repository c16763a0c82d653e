/* The request parser: tables of good and bad requests, each also byte by byte; any way of cutting a
 * pipeline up; random damage in buffers that end where the bytes end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/http_query.h"
#include "core/http_request.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define H "Host: localhost\r\n"
#define COUNT(a) (sizeof(a) / sizeof(*(a)))

struct good {
	const char *bytes;
	enum http_method method;
	bool keep_alive, wants_text;
	const char *path, *query;
};

static const struct good good_requests[] = {
	{"GET / HTTP/1.1\r\n" H "\r\n", HTTP_GET, true, false, "/", ""},
	{"POST /v1/token/reject?profile=a&generation=3 HTTP/1.1\r\n" H "\r\n", HTTP_POST, true,
		false, "/v1/token/reject", "profile=a&generation=3"},
	{"GET /v1/token?profile=default HTTP/1.1\r\n" H
	 "User-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n",
		HTTP_GET, true, false, "/v1/token", "profile=default"},
	/* methods */
	{"HEAD / HTTP/1.1\r\n" H "\r\n", HTTP_HEAD, true, false, "/", ""},
	{"OPTIONS / HTTP/1.1\r\n" H "\r\n", HTTP_OPTIONS, true, false, "/", ""},
	{"PUT / HTTP/1.1\r\n" H "\r\n", HTTP_WRITING, true, false, "/", ""},
	{"PATCH / HTTP/1.1\r\n" H "\r\n", HTTP_WRITING, true, false, "/", ""},
	{"DELETE / HTTP/1.1\r\n" H "\r\n", HTTP_WRITING, true, false, "/", ""},
	{"PUTS / HTTP/1.1\r\n" H "\r\n", HTTP_OTHER, true, false, "/", ""},
	{"OPTION / HTTP/1.1\r\n" H "\r\n", HTTP_OTHER, true, false, "/", ""},
	{"HEAp / HTTP/1.1\r\n" H "\r\n", HTTP_OTHER, true, false, "/", ""},
	{"get / HTTP/1.1\r\n" H "\r\n", HTTP_OTHER, true, false, "/", ""},
	{"GETT / HTTP/1.1\r\n" H "\r\n", HTTP_OTHER, true, false, "/", ""},
	{"POS / HTTP/1.1\r\n" H "\r\n", HTTP_OTHER, true, false, "/", ""},
	{"!#$%&'*+-.^_`|~9aZ / HTTP/1.1\r\n" H "\r\n", HTTP_OTHER, true, false, "/", ""},
	/* targets */
	{"GET /? HTTP/1.1\r\n" H "\r\n", HTTP_GET, true, false, "/", ""},
	{"GET /a?b?c=/d HTTP/1.1\r\n" H "\r\n", HTTP_GET, true, false, "/a", "b?c=/d"},
	{"GET //x/ HTTP/1.1\r\n" H "\r\n", HTTP_GET, true, false, "//x/", ""},
	{"GET /%41%2f?p=%00%fF HTTP/1.1\r\n" H "\r\n", HTTP_GET, true, false, "/%41%2f",
		"p=%00%fF"},
	{"GET /-._~!$&'()*+,;=:@/?-._~!$&'()*+,;=:@/? HTTP/1.1\r\n" H "\r\n", HTTP_GET, true, false,
		"/-._~!$&'()*+,;=:@/", "-._~!$&'()*+,;=:@/?"},
	/* what others wrote: nothing there is read */
	{"GET /v1/authorization/a/\"<>\\^`{|}[]?q=100%&%4g%%z=\xc3\xa9\"[]{} HTTP/1.1\r\n" H "\r\n",
		HTTP_GET, true, false, "/v1/authorization/a/\"<>\\^`{|}[]",
		"q=100%&%4g%%z=\xc3\xa9\"[]{}"},
	{"GET http://x/v1/authorization/a?b=[] HTTP/1.1\r\n" H "\r\n", HTTP_GET, true, false,
		"/v1/authorization/a", "b=[]"},
	{"GET /v1/authorization/a?% HTTP/1.1\r\n" H "\r\n", HTTP_GET, true, false,
		"/v1/authorization/a", "%"},
	/* versions and what becomes of the connection */
	{"GET / HTTP/1.0\r\n\r\n", HTTP_GET, false, false, "/", ""},
	{"GET / HTTP/1.0\r\n" H "Connection: keep-alive\r\n\r\n", HTTP_GET, false, false, "/", ""},
	{"GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n", HTTP_GET, false, false, "/", ""},
	{"GET / HTTP/1.1\r\n" H "Connection: keep-alive\r\n\r\n", HTTP_GET, true, false, "/", ""},
	{"GET / HTTP/1.1\r\n" H "cOnnEctIon:\t Upgrade , CLOSE\t \r\n\r\n", HTTP_GET, false, false,
		"/", ""},
	{"GET / HTTP/1.1\r\n" H "Connection: keep-alive\r\nConnection: close\r\n\r\n", HTTP_GET,
		false, false, "/", ""},
	{"GET / HTTP/1.1\r\n" H "Connection: closed, xclose, clos\r\n\r\n", HTTP_GET, true, false,
		"/", ""},
	{"GET / HTTP/1.1\r\n" H "Connection: \"a,close\"\r\n\r\n", HTTP_GET, true, false, "/", ""},
	{"GET / HTTP/1.1\r\n" H "Connection:\r\nConnection: ,,\r\n\r\n", HTTP_GET, true, false, "/",
		""},
	/* no body, said in the ways clients say it */
	{"POST / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", HTTP_POST, true, false, "/", ""},
	{"POST / HTTP/1.1\r\n" H "content-LENGTH:0\r\n\r\n", HTTP_POST, true, false, "/", ""},
	{"POST / HTTP/1.1\r\n" H "Content-Length: \t0 \t\r\n\r\n", HTTP_POST, true, false, "/", ""},
	{"POST / HTTP/1.1\r\n" H "Expect: 100-continue\r\n\r\n", HTTP_POST, true, false, "/", ""},
	{"POST / HTTP/1.1\r\n" H "expect: 100-Continue\r\n\r\n", HTTP_POST, true, false, "/", ""},
	/* hosts */
	{"GET / HTTP/1.1\r\nHost:\r\n\r\n", HTTP_GET, true, false, "/", ""},
	{"GET / HTTP/1.1\r\nhOsT: [::1]:80\r\n\r\n", HTTP_GET, true, false, "/", ""},
	{"GET / HTTP/1.1\r\nHost: a-b_c.d~e:8080\r\n\r\n", HTTP_GET, true, false, "/", ""},
	{"GET / HTTP/1.1\r\nHost: %2Frun%2Fgctokend.sock\r\n\r\n", HTTP_GET, true, false, "/", ""},
	{"GET / HTTP/1.0\r\n" H "\r\n", HTTP_GET, false, false, "/", ""},
	{"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", HTTP_GET, true, false, "/", ""},
	{"GET / HTTP/1.1\r\nHost: u@a/run/s.sock?\"\t\r\n\r\n", HTTP_GET, true, false, "/", ""},
	{"GET / HTTP/1.1\r\nHost: b\xc3\xbc"
	 "cher.example\r\n\r\n",
		HTTP_GET, true, false, "/", ""},
	/* URLs: the path is what counts */
	{"GET http://localhost/v1/token?wait=1 HTTP/1.1\r\n" H "\r\n", HTTP_GET, true, false,
		"/v1/token", "wait=1"},
	{"POST hTTp://[::1]:80/a%20b HTTP/1.1\r\n" H "\r\n", HTTP_POST, true, false, "/a%20b", ""},
	{"GET http://%2Frun%2Fs.sock/a HTTP/1.0\r\n\r\n", HTTP_GET, false, false, "/a", ""},
	{"HEAD http://any HTTP/1.1\r\n" H "\r\n", HTTP_HEAD, true, false, "/", ""},
	{"GET http://any?a=b?/c HTTP/1.1\r\n" H "\r\n", HTTP_GET, true, false, "/", "a=b?/c"},
	{"GET http://any? HTTP/1.1\r\n" H "\r\n", HTTP_GET, true, false, "/", ""},
	{"GET http://any//http://b HTTP/1.1\r\n" H "\r\n", HTTP_GET, true, false, "//http://b", ""},
	/* fields we take no interest in */
	{"GET / HTTP/1.1\r\n" H "X:\r\n\r\n", HTTP_GET, true, false, "/", ""},
	{"GET / HTTP/1.1\r\n" H "X_y-z.9: \x80\xff \"()<>@,;:\\/[]?={}\t~\r\n\r\n", HTTP_GET, true,
		false, "/", ""},
	{"GET / HTTP/1.1\r\n" H "Hosts: a\r\nContent-Length2: 7\r\nAcceptt: text/plain\r\n\r\n",
		HTTP_GET, true, false, "/", ""},
	{"GET / HTTP/1.1\r\n" H "TE: trailers\r\nUpgrade: h2c\r\nTrailer: X\r\n\r\n", HTTP_GET,
		true, false, "/", ""},
	/* what the answer should be */
	{"GET / HTTP/1.1\r\n" H "Accept: text/plain\r\n\r\n", HTTP_GET, true, true, "/", ""},
	{"GET / HTTP/1.1\r\n" H "Accept: TEXT/Plain;charset=utf-8\r\n\r\n", HTTP_GET, true, true,
		"/", ""},
	{"GET / HTTP/1.1\r\n" H "Accept: text/plain, */*;q=0.1\r\n\r\n", HTTP_GET, true, true, "/",
		""},
	{"GET / HTTP/1.1\r\n" H "Accept: text/plain;q=0.001\r\n\r\n", HTTP_GET, true, true, "/",
		""},
	{"GET / HTTP/1.1\r\n" H "Accept: text/plain;q=0\r\n\r\n", HTTP_GET, true, false, "/", ""},
	{"GET / HTTP/1.1\r\n" H "Accept: text/plain ; Q=0.000\r\n\r\n", HTTP_GET, true, false, "/",
		""},
	{"GET / HTTP/1.1\r\n" H "Accept: text/plain, application/json\r\n\r\n", HTTP_GET, true,
		false, "/", ""},
	{"GET / HTTP/1.1\r\n" H "Accept: text/plain, application/json;q=0.1\r\n\r\n", HTTP_GET,
		true, false, "/", ""},
	{"GET / HTTP/1.1\r\n" H "Accept: text/plain, application/json;q=0\r\n\r\n", HTTP_GET, true,
		true, "/", ""},
	{"GET / HTTP/1.1\r\n" H "Accept: application/json\r\nAccept: text/plain\r\n\r\n", HTTP_GET,
		true, false, "/", ""},
	{"GET / HTTP/1.1\r\n" H "Accept: a/b;x=\"q, text/plain\"\r\n\r\n", HTTP_GET, true, false,
		"/", ""},
	{"GET / HTTP/1.1\r\n" H "Accept: a/b;x=\"\\\",\", text/plain\r\n\r\n", HTTP_GET, true, true,
		"/", ""},
	{"GET / HTTP/1.1\r\n" H "Accept: text/*, text/plainer, text/plai\r\n\r\n", HTTP_GET, true,
		false, "/", ""},
	{"GET / HTTP/1.1\r\n" H "Accept: */*\r\n\r\n", HTTP_GET, true, false, "/", ""},
	{"GET / HTTP/1.1\r\n" H "Accept: ;;,;q=0,\"\r\n\r\n", HTTP_GET, true, false, "/", ""},
};

struct bad {
	const char *bytes;
	size_t length;
	int status;
};

#define BAD(status, text) \
	{ \
		text, sizeof(text) - 1, status \
	}

/* Hardly any is the whole of a request: each is refused without waiting for more. */
static const struct bad bad_requests[] = {
	/* the request line */
	BAD(400, "\r"),
	BAD(400, "\n"),
	BAD(400, " "),
	BAD(400, "\x16"),
	BAD(400, "GET\t"),
	BAD(400, "GET\r"),
	BAD(400, "GET\n"),
	BAD(400, "G\0"),
	BAD(400, "G\x7f"),
	BAD(400, "G\xc3"),
	BAD(400, "GE(T"),
	BAD(400, "GET:"),
	BAD(400, "GET  "),
	BAD(400, "GET hh"),
	BAD(400, "GET f"),
	BAD(400, "GET https"),
	BAD(400, "GET http\x1a"),
	BAD(400, "GET http:/a"),
	BAD(400, "GET http:///"),
	BAD(400, "GET http://?"),
	BAD(400, "GET http:// "),
	BAD(400, "GET http://u@"),
	BAD(400, "GET http://a\""),
	BAD(400, "GET http://a\\"),
	BAD(400, "GET http://a#"),
	BAD(400, "GET http://a\x80"),
	BAD(400, "GET http://a/#"),
	BAD(400, "GET http://a?%g"),
	BAD(400, "GET *"),
	BAD(400, "OPTIONS *"),
	BAD(400, "CONNECT localhost:443"),
	BAD(400, "GET ?a=b"),
	BAD(400, "GET \r"),
	BAD(400, "GET %2f"),
	BAD(400, "GET /\r"),
	BAD(400, "GET /\n"),
	BAD(400, "GET /\t"),
	BAD(400, "GET /\0"),
	BAD(400, "GET /a\x7f"),
	BAD(400, "GET /a\x80"),
	BAD(400, "GET /a#"),
	BAD(400, "GET /a\""),
	BAD(400, "GET /a<"),
	BAD(400, "GET /a\\"),
	BAD(400, "GET /a^"),
	BAD(400, "GET /a`"),
	BAD(400, "GET /a{"),
	BAD(400, "GET /a|"),
	BAD(400, "GET /a["),
	BAD(400, "GET /a?b=[]"),
	BAD(400, "GET /%g"),
	BAD(400, "GET /%4g"),
	BAD(400, "GET /%%"),
	BAD(400, "GET /% "),
	BAD(400, "GET /%4 "),
	BAD(400, "GET /?a=%zz"),
	BAD(400, "GET /v1/authorization?a=[]"),
	BAD(400, "GET /x/v1/authorization/a?b=[]"),
	BAD(400, "GET /v1/authorization/a#b"),
	BAD(400, "GET /v1/authorization/a\x7f"),
	BAD(400, "GET /v1/authorization/a\x01"),
	BAD(400, "GET /  "),
	BAD(400, "GET / h"),
	BAD(400, "GET / HTTP 1.1"),
	BAD(400, "GET / HTTPS/1.1"),
	BAD(400, "GET / HTTP/x"),
	BAD(400, "GET / HTTP/1,"),
	BAD(400, "GET / HTTP/1.x"),
	BAD(400, "GET / HTTP/11"),
	BAD(400, "GET / HTTP/1.1 "),
	BAD(400, "GET / HTTP/1.10"),
	BAD(400, "GET / HTTP/1.1\n"),
	BAD(400, "GET / HTTP/1.1\rX"),
	BAD(400, "GET / HTTP/1.1\r\r"),
	BAD(400, "GET / x HTTP/1.1"),
	BAD(505, "GET / HTTP/1.2"),
	BAD(505, "GET / HTTP/1.9"),
	BAD(505, "GET / HTTP/2.0"),
	BAD(505, "GET / HTTP/0.9"),
	BAD(505, "GET / HTTP/0.1"),
	BAD(505, "GET / HTTP/3.1"),
	BAD(400, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
	/* framing of the header */
	BAD(400, "GET / HTTP/1.1\r\n "),
	BAD(400, "GET / HTTP/1.1\r\n\t"),
	BAD(400, "GET / HTTP/1.1\r\n" H " "),
	BAD(400, "GET / HTTP/1.1\r\n" H "X: a\r\n\tb"),
	BAD(400, "GET / HTTP/1.1\r\n" H "\n"),
	BAD(400, "GET / HTTP/1.1\r\n" H "\rX"),
	BAD(400, "GET / HTTP/1.1\r\nHost: a\n"),
	BAD(400, "GET / HTTP/1.1\r\nHost: a\rb"),
	BAD(400, "GET / HTTP/1.1\r\nHost: a\r\r"),
	/* field names */
	BAD(400, "GET / HTTP/1.1\r\n:"),
	BAD(400, "GET / HTTP/1.1\r\nHost "),
	BAD(400, "GET / HTTP/1.1\r\nHost\t"),
	BAD(400, "GET / HTTP/1.1\r\nHost\r"),
	BAD(400, "GET / HTTP/1.1\r\nHo(st"),
	BAD(400, "GET / HTTP/1.1\r\nHo\0"),
	BAD(400, "GET / HTTP/1.1\r\nHo\x80"),
	BAD(400, "GET / HTTP/1.1\r\nHo/"),
	BAD(400, "GET / HTTP/1.1\r\nX!"),
	BAD(400, "GET / HTTP/1.1\r\nX|"),
	BAD(400, "GET / HTTP/1.1\r\nX~"),
	BAD(400, "GET / HTTP/1.1\r\n\""),
	/* field values */
	BAD(400, "GET / HTTP/1.1\r\n" H "X: \0"),
	BAD(400, "GET / HTTP/1.1\r\n" H "X: a\x01"),
	BAD(400, "GET / HTTP/1.1\r\n" H "X: a\x1f"),
	BAD(400, "GET / HTTP/1.1\r\n" H "X: a\x7f"),
	BAD(400, "GET / HTTP/1.1\r\n" H "X: a\v"),
	BAD(400, "GET / HTTP/1.1\r\n" H "X: a\x1b"),
	/* hosts */
	BAD(400, "GET / HTTP/1.1\r\n\r\n"),
	BAD(400, "GET / HTTP/1.1\r\nAccept: */*\r\nX-Host: a\r\n\r\n"),
	BAD(400, "GET / HTTP/1.1\r\n" H "Host:"),
	BAD(400, "GET / HTTP/1.0\r\n" H "hOST:"),
	BAD(400, "GET / HTTP/1.1\r\nHost: a\0"),
	BAD(400, "GET / HTTP/1.1\r\nHost: a\x7f"),
	BAD(400, "GET / HTTP/1.1\r\nHost: a\x1b"),
	BAD(400, "GET http://a/ HTTP/1.1\r\n\r\n"),
	/* bodies */
	BAD(400, "POST / HTTP/1.1\r\n" H "Content-Length: 1\r"),
	BAD(400, "POST / HTTP/1.1\r\n" H "Content-Length: 00\r"),
	BAD(400, "POST / HTTP/1.1\r\n" H "Content-Length: +0\r"),
	BAD(400, "POST / HTTP/1.1\r\n" H "Content-Length: -0\r"),
	BAD(400, "POST / HTTP/1.1\r\n" H "Content-Length: 0x0\r"),
	BAD(400, "POST / HTTP/1.1\r\n" H "Content-Length: 0, 0\r"),
	BAD(400, "POST / HTTP/1.1\r\n" H "Content-Length:\r"),
	BAD(400, "POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551616\r"),
	BAD(400, "POST / HTTP/1.1\r\n" H "Content-Length: 0\r\nContent-Length:"),
	BAD(400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding:"),
	BAD(400, "POST / HTTP/1.1\r\n" H "tRANSFER-eNCODING:"),
	BAD(400, "GET / HTTP/1.0\r\nTransfer-Encoding:"),
	BAD(400, "POST / HTTP/1.1\r\n" H "Expect: 200-ok\r"),
	BAD(400, "POST / HTTP/1.1\r\n" H "Expect:\r"),
};

static int parse(const char *bytes, size_t length, struct http_request *ret)
{
	struct http_parser parser = {0};
	const char *reason = NULL;
	/* a copy that ends where the bytes end, for the address sanitizer */
	char *copy = malloc(length ? length : 1);
	int r;

	assert_non_null(copy);
	memcpy(copy, bytes, length);
	r = http_parser_run(&parser, copy, length, ret, &reason);
	if (r > 0) {
		assert_non_null(reason);
		assert_true(strlen(reason) > 0);
	} else {
		assert_null(reason);
	}
	if (!r) {
		/* the spans are put on the caller's bytes */
		ret->path.at = bytes + (ret->path.at - copy);
		ret->query.at = bytes + (ret->query.at - copy);
	}
	free(copy);
	return r;
}

static void assert_span(struct http_span span, const char *expected)
{
	assert_int_equal(span.length, strlen(expected));
	assert_memory_equal(span.at, expected, span.length);
}

static void assert_good(const struct good *g, const struct http_request *q)
{
	assert_int_equal(q->method, g->method);
	assert_int_equal(q->keep_alive, g->keep_alive);
	assert_int_equal(q->wants_text, g->wants_text);
	assert_int_equal(q->length, strlen(g->bytes));
	assert_span(q->path, g->path);
	assert_span(q->query, g->query);
}

static void good_are_parsed(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(good_requests); i++) {
		const struct good *g = &good_requests[i];
		size_t length = strlen(g->bytes);
		struct http_request q;

		if (parse(g->bytes, length, &q))
			fail_msg("refused: %s", g->bytes);
		assert_good(g, &q);
		for (size_t cut = 0; cut < length; cut++)
			assert_int_equal(parse(g->bytes, cut, &q), -EAGAIN);
	}
}

static void good_leave_what_follows(void **state)
{
	static const char two[] = "GET /a HTTP/1.1\r\n" H "\r\n\0\xff\n";
	struct http_request q;

	(void)state;
	assert_int_equal(parse(two, sizeof(two) - 1, &q), 0);
	assert_int_equal(q.length, sizeof(two) - 1 - 3);
}

static void bad_are_refused_early(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(bad_requests); i++) {
		const struct bad *b = &bad_requests[i];
		struct http_request q, before;
		size_t cut;
		int r;

		memset(&q, 0x5a, sizeof(q));
		before = q;
		r = parse(b->bytes, b->length, &q);
		if (r != b->status)
			fail_msg("%d for case %zu: %s", r, i, b->bytes);
		assert_memory_equal(&q, &before, sizeof(q));
		/* the verdict never changes with more bytes */
		for (cut = 0; cut < b->length; cut++) {
			r = parse(b->bytes, cut, &q);
			if (r != -EAGAIN)
				break;
		}
		for (; cut < b->length; cut++)
			assert_int_equal(parse(b->bytes, cut, &q), b->status);
	}
}

static void bad_are_refused_byte_by_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(bad_requests); i++) {
		const struct bad *b = &bad_requests[i];
		struct http_parser parser = {0};
		struct http_request q;
		const char *reason;
		int r = -EAGAIN;

		for (size_t n = 1; n <= b->length && r == -EAGAIN; n++)
			r = http_parser_run(&parser, b->bytes, n, &q, &reason);
		assert_int_equal(r, b->status);
	}
}

static size_t put(char *to, size_t at, const char *text)
{
	memcpy(to + at, text, strlen(text));
	return at + strlen(text);
}

static size_t put_many(char *to, size_t at, char c, size_t count)
{
	memset(to + at, c, count);
	return at + count;
}

/* A request line of `line` bytes in all, then a header of `total` bytes in all if that is more. */
static size_t request_of(char *to, size_t line, size_t total)
{
	size_t at = put(to, 0, "GET /");

	at = put_many(to, at, 'a', line - strlen("GET / HTTP/1.1"));
	at = put(to, at, " HTTP/1.1\r\n" H);
	if (total) {
		at = put(to, at, "X: ");
		at = put_many(to, at, 'b', total - at - 4);
		at = put(to, at, "\r\n");
	}
	return put(to, at, "\r\n");
}

static void limits_are_exact(void **state)
{
	static char bytes[40000];
	struct http_request q;
	size_t n;

	(void)state;
	n = request_of(bytes, HTTP_REQUEST_LINE_MAX, 0);
	assert_int_equal(parse(bytes, n, &q), 0);
	assert_int_equal(q.length, n);
	for (size_t cut = HTTP_REQUEST_LINE_MAX - 10; cut < n; cut++)
		assert_int_equal(parse(bytes, cut, &q), -EAGAIN);
	n = request_of(bytes, HTTP_REQUEST_LINE_MAX + 1, 0);
	assert_int_equal(parse(bytes, n, &q), 414);
	n = request_of(bytes, 30000, 0);
	assert_int_equal(parse(bytes, n, &q), 414);
	/* nothing more is waited for */
	assert_int_equal(parse(bytes, HTTP_REQUEST_LINE_MAX - 1, &q), -EAGAIN);
	assert_int_equal(parse(bytes, HTTP_REQUEST_LINE_MAX, &q), 414);

	n = request_of(bytes, 100, HTTP_REQUEST_HEADER_MAX);
	assert_int_equal(n, HTTP_REQUEST_HEADER_MAX);
	assert_int_equal(parse(bytes, n, &q), 0);
	assert_int_equal(q.length, n);
	assert_int_equal(parse(bytes, n - 1, &q), -EAGAIN);
	n = request_of(bytes, 100, HTTP_REQUEST_HEADER_MAX + 1);
	assert_int_equal(parse(bytes, n, &q), 431);
	assert_int_equal(parse(bytes, HTTP_REQUEST_HEADER_MAX, &q), 431);
	assert_int_equal(parse(bytes, HTTP_REQUEST_HEADER_MAX - 1, &q), -EAGAIN);
	/* an endless name is no different */
	n = put(bytes, 0, "GET / HTTP/1.1\r\n");
	n = put_many(bytes, n, 'n', 20000);
	assert_int_equal(parse(bytes, n, &q), 431);
	/* an endless method */
	n = put_many(bytes, 0, 'M', 20000);
	assert_int_equal(parse(bytes, n, &q), 414);
}

/* xorshift64*: the same cases every time */
static uint64_t random_state;

static uint64_t random_next(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * UINT64_C(2685821657736338717);
}

static size_t random_below(size_t n)
{
	return (size_t)(random_next() % n);
}

static void cutting_up_changes_nothing(void **state)
{
	static char pipeline[8192];

	(void)state;
	random_state = 1;
	for (unsigned round = 0; round < 3000; round++) {
		const struct good *expected[8];
		struct http_parser parser = {0};
		size_t length = 0, begin = 0, have = 0, next = 0, count = 0;

		while (count < 8) {
			expected[count] = &good_requests[random_below(COUNT(good_requests))];
			length = put(pipeline, length, expected[count++]->bytes);
		}
		while (next < count) {
			/* only what has come lies there, somewhere else each time */
			char *here = malloc(have - begin + 1);
			struct http_request q;
			const char *reason;
			int r;

			assert_non_null(here);
			memcpy(here, pipeline + begin, have - begin);
			r = http_parser_run(&parser, here, have - begin, &q, &reason);
			if (r == 0) {
				assert_good(expected[next++], &q);
				begin += q.length;
			} else {
				assert_int_equal(r, -EAGAIN);
				assert_true(have < length);
				have += 1 + random_below(round % 3 ? 9 : 300);
				have = have < length ? have : length;
			}
			free(here);
		}
		assert_int_equal(begin, length);
	}
}

/* Whatever the bytes: the verdict is one of the documented ones, is the same in pieces, and a
 * request never takes more than was there. */
static void damage_is_survived(void **state)
{
	static const char spice[] = "\0\n\r\t :/?%&=,;\"\\\x7f\x80\xff"
				    "09azAZ";

	(void)state;
	random_state = 2;
	for (unsigned round = 0; round < 30000; round++) {
		const struct good *g = &good_requests[random_below(COUNT(good_requests))];
		size_t length = strlen(g->bytes), pieces = 0;
		struct http_parser parser = {0};
		struct http_request whole = {0}, cut = {0};
		const char *reason;
		char bytes[512];
		int r, s = -EAGAIN;

		memcpy(bytes, g->bytes, length);
		for (size_t n = 1 + random_below(4); n; n--) {
			size_t at = random_below(length);

			switch (random_below(3)) {
			case 0:
				bytes[at] = spice[random_below(sizeof(spice) - 1)];
				break;
			case 1:
				bytes[at] = (char)random_next();
				break;
			default:
				memmove(bytes + at, bytes + at + 1, length - at - 1);
				length--;
			}
		}
		r = parse(bytes, length, &whole);
		assert_true(r == 0 || r == -EAGAIN || r == 400 || r == 505);
		while (pieces < length && s == -EAGAIN) {
			pieces += 1 + random_below(20);
			pieces = pieces < length ? pieces : length;
			s = http_parser_run(&parser, bytes, pieces, &cut, &reason);
		}
		assert_int_equal(r, s);
		if (r == 0) {
			assert_true(whole.length <= length);
			assert_int_equal(whole.length, cut.length);
			assert_ptr_equal(whole.path.at, cut.path.at);
			assert_int_equal(whole.query.length, cut.query.length);
			assert_int_equal(whole.keep_alive, cut.keep_alive);
			assert_true(whole.query.at + whole.query.length <= bytes + whole.length);
		}
	}
}

static void byte_at_a_time_is_linear(void **state)
{
	static char bytes[HTTP_REQUEST_HEADER_MAX];
	size_t n = request_of(bytes, 4000, HTTP_REQUEST_HEADER_MAX);
	clock_t before = clock();

	(void)state;
	for (unsigned round = 0; round < 4; round++) {
		struct http_parser parser = {0};
		struct http_request q;
		const char *reason;

		for (size_t i = 1; i < n; i++)
			assert_int_equal(http_parser_run(&parser, bytes, i, &q, &reason), -EAGAIN);
		assert_int_equal(http_parser_run(&parser, bytes, n, &q, &reason), 0);
	}
	/* 1 ms when linear; looking at everything again with each byte takes 100 times as long */
	assert_true(clock() - before < CLOCKS_PER_SEC / 10);
}

struct pair {
	const char *name, *value;
};

static int query_read(const char *text, size_t length, struct pair *pairs, size_t *ret_count)
{
	static char names[4][16], values[4][16];
	struct http_span query = {text, length};
	int r;

	*ret_count = 0;
	for (;;) {
		struct http_span before = query;

		assert_true(*ret_count < 4);
		r = http_query_next(&query, names[*ret_count], sizeof(names[0]), values[*ret_count],
			sizeof(values[0]));
		if (r <= 0) {
			assert_ptr_equal(query.at, before.at);
			assert_int_equal(query.length, before.length);
			return r;
		}
		pairs[*ret_count].name = names[*ret_count];
		pairs[*ret_count].value = values[*ret_count];
		++*ret_count;
	}
}

static void queries_are_read(void **state)
{
	static const struct {
		const char *text;
		size_t count;
		struct pair pairs[3];
	} cases[] = {
		{"", 0, {{0}}},
		{"a=1", 1, {{"a", "1"}}},
		{"a=", 1, {{"a", ""}}},
		{"a=1&b=2&a=3", 3, {{"a", "1"}, {"b", "2"}, {"a", "3"}}},
		{"a=b=c", 1, {{"a", "b=c"}}},
		{"a=%41%7a%2B%26%3d+x", 1, {{"a", "Az+&= x"}}},
		{"%61+b=%ff", 1, {{"a b", "\xff"}}},
		{"a==", 1, {{"a", "="}}},
		{"a=/?:@", 1, {{"a", "/?:@"}}},
		{"fifteen_letters=fifteen_letters", 1, {{"fifteen_letters", "fifteen_letters"}}},
		{"a=%66ifteen_%6cetter%73", 1, {{"a", "fifteen_letters"}}},
	};
	static const struct {
		const char *text;
		size_t good_before;
	} bad[] = {
		{"a", 0},
		{"&", 0},
		{"=", 0},
		{"=1", 0},
		{"a=1&", 0},
		{"&a=1", 0},
		{"a=1&&b=2", 1},
		{"a=1&b", 1},
		{"a=1&b&c=2", 1},
		{"a=1&=2", 1},
		{"a=%", 0},
		{"a=%4", 0},
		{"a=%4g", 0},
		{"a=%g4", 0},
		{"a=% 4", 0},
		{"%=a", 0},
		{"a=%00", 0},
		{"%00=a", 0},
		{"a=b%00c", 0},
		{"a=1&b=%4&c=3", 1},
		{"sixteen_letters_=1", 0},
		{"a=sixteen_letters_", 0},
		{"a=sixteen_letter%73_", 0},
	};
	struct pair pairs[4];
	size_t count;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(
			query_read(cases[i].text, strlen(cases[i].text), pairs, &count), 0);
		assert_int_equal(count, cases[i].count);
		for (size_t k = 0; k < count; k++) {
			assert_string_equal(pairs[k].name, cases[i].pairs[k].name);
			assert_string_equal(pairs[k].value, cases[i].pairs[k].value);
		}
	}
	for (size_t i = 0; i < COUNT(bad); i++) {
		if (query_read(bad[i].text, strlen(bad[i].text), pairs, &count) != -EINVAL)
			fail_msg("taken: %s", bad[i].text);
		assert_int_equal(count, bad[i].good_before);
	}
	assert_int_equal(query_read("a=b\0c", 5, pairs, &count), -EINVAL);
}

static void queries_survive_damage(void **state)
{
	static const char alphabet[] = "ab=&%+4f0\xff";

	(void)state;
	random_state = 3;
	for (unsigned round = 0; round < 100000; round++) {
		size_t length = random_below(24);
		char *text = malloc(length + 1);
		char name[8], value[8];
		struct http_span query = {text, length};
		size_t left = length;
		int r;

		assert_non_null(text);
		for (size_t i = 0; i < length; i++)
			text[i] = alphabet[random_below(sizeof(alphabet) - 1)];
		text = realloc(text, length ? length : 1);
		query.at = text;
		while ((r = http_query_next(&query, name, sizeof(name), value, sizeof(value))) ==
			1) {
			assert_true(query.length < left);
			assert_ptr_equal(query.at + query.length, text + length);
			assert_true(strlen(name) > 0 && strlen(name) < sizeof(name));
			assert_true(strlen(value) < sizeof(value));
			left = query.length;
		}
		assert_true(r == 0 || r == -EINVAL);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_are_parsed),
		cmocka_unit_test(good_leave_what_follows),
		cmocka_unit_test(bad_are_refused_early),
		cmocka_unit_test(bad_are_refused_byte_by_byte),
		cmocka_unit_test(limits_are_exact),
		cmocka_unit_test(cutting_up_changes_nothing),
		cmocka_unit_test(damage_is_survived),
		cmocka_unit_test(byte_at_a_time_is_linear),
		cmocka_unit_test(queries_are_read),
		cmocka_unit_test(queries_survive_damage),
	};

	return cmocka_run_group_tests_name("http_request", tests, NULL, NULL);
}
