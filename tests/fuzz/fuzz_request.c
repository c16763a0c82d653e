/* Requests of clients: the same bytes in one piece, cut up at random and byte by byte, each piece
 * in memory of just its size; what is accepted reads the same when it is written again; what the
 * router makes of it, written as a query, comes back; and what is remembered of requests is what
 * reading them again gives. */
#include "broker/routes.h"
#include "core/http_query.h"
#include "core/http_request.h"
#include "core/request_memo.h"
#include "fuzz.h"
#include <errno.h>
#include <strings.h>

/* Those of the daemon, but without what they do. */
#define ROUTE_ROW(path, method, parameters, right, handle) {path, method, parameters, right, NULL},
static const struct api_route routes[] = {ROUTES(ROUTE_ROW){0}};

#define NAME_SIZE 32 /* as the router's */
#define VALUE_SIZE 4096

struct verdict {
	int result;
	struct http_request request;
	const char *reason;
};

static struct verdict parse_whole(const char *bytes, size_t length)
{
	struct http_parser parser = {0};
	struct verdict v = {.reason = NULL};
	char *copy = fuzz_copy(bytes, length);

	v.result = http_parser_run(&parser, copy, length, &v.request, &v.reason);
	/* Spans are kept as they would stand in `bytes`. */
	if (v.result == 0) {
		v.request.path.at = bytes + (v.request.path.at - copy);
		v.request.query.at = bytes + (v.request.query.at - copy);
	}
	free(copy);
	return v;
}

/* Up to `most` bytes more in each call; 0: what the dice say. */
static struct verdict parse_cut(const char *bytes, size_t length, size_t most, struct random *dice)
{
	struct http_parser parser = {0};
	struct verdict v = {.result = -EAGAIN};
	size_t come = 0;

	while (v.result == -EAGAIN && come < length) {
		size_t more = most ? most : 1 + fuzz_below(dice, length - come);
		char *copy;

		come = more < length - come ? come + more : length;
		copy = fuzz_copy(bytes, come);
		v.result = http_parser_run(&parser, copy, come, &v.request, &v.reason);
		if (v.result == 0) {
			v.request.path.at = bytes + (v.request.path.at - copy);
			v.request.query.at = bytes + (v.request.query.at - copy);
			CHECK(!parser.at && !parser.state && !parser.seen);
		}
		free(copy);
	}
	return v;
}

static void check_same(const struct verdict *a, const struct verdict *b)
{
	CHECK(a->result == b->result);
	if (a->result > 0)
		CHECK(!strcmp(a->reason, b->reason));
	if (a->result)
		return;
	CHECK(a->request.method == b->request.method);
	CHECK(a->request.keep_alive == b->request.keep_alive);
	CHECK(a->request.wants_text == b->request.wants_text);
	CHECK(a->request.path.at == b->request.path.at);
	CHECK(a->request.path.length == b->request.path.length);
	CHECK(a->request.query.at == b->request.query.at);
	CHECK(a->request.query.length == b->request.query.length);
	CHECK(a->request.length == b->request.length);
}

static void check_span(const struct http_span *span, bool foreign, const char *bytes, size_t length)
{
	static const char never[] = "\"#<>[\\]^`{|}";

	CHECK(span->at >= bytes && span->at <= bytes + length);
	CHECK(span->length <= length - (size_t)(span->at - bytes));
	for (size_t i = 0; i < span->length; i++) {
		unsigned char c = (unsigned char)span->at[i];

		CHECK(c > 0x20 && c != 0x7f && c != '#');
		CHECK(foreign || (c < 0x7f && !strchr(never, c)));
	}
}

/* The request as the parser understood it, in our own words. */
static void check_written_again(const char *bytes, const struct http_request *r)
{
	static const char *const methods[] = {
		[HTTP_GET] = "GET",
		[HTTP_POST] = "POST",
		[HTTP_HEAD] = "HEAD",
		[HTTP_OPTIONS] = "OPTIONS",
		[HTTP_WRITING] = "",
		[HTTP_OTHER] = "",
		[HTTP_ANY] = "", /* of no request */
	};
	const char *method = methods[r->method];
	int method_length = (int)strlen(method);
	struct http_parser parser = {0};
	struct http_request again;
	const char *reason;
	char text[HTTP_REQUEST_LINE_MAX + 256];
	int length;

	if (r->method == HTTP_WRITING || r->method == HTTP_OTHER) {
		method = bytes;
		method_length = (int)strcspn(bytes, " ");
	}
	length = snprintf(text, sizeof(text), "%.*s %.*s%s%.*s HTTP/1.1\r\nhost: h\r\n%s%s\r\n",
		method_length, method, (int)r->path.length, r->path.at, r->query.length ? "?" : "",
		(int)r->query.length, r->query.at, r->keep_alive ? "" : "connection: close\r\n",
		r->wants_text ? "accept: text/plain\r\n" : "");
	CHECK(length > 0 && (size_t)length < sizeof(text));
	CHECK(http_parser_run(&parser, text, (size_t)length, &again, &reason) == 0);
	CHECK(again.length == (size_t)length && again.method == r->method);
	CHECK(again.keep_alive == r->keep_alive && again.wants_text == r->wants_text);
	CHECK(again.path.length == r->path.length && again.query.length == r->query.length);
	CHECK(!memcmp(again.path.at, r->path.at, r->path.length));
	CHECK(!memcmp(again.query.at, r->query.at, r->query.length));
}

/* What an accepted header may not have, by a reading of its lines that knows nothing of states. */
static void check_header(const char *bytes, size_t length)
{
	const char *at = memmem(bytes, length, "\r\n", 2), *end = bytes + length - 2;
	unsigned hosts = 0, lengths = 0;

	CHECK(length >= 4 && !memcmp(bytes + length - 4, "\r\n\r\n", 4));
	for (size_t i = 0; i < length; i++)
		CHECK(bytes[i] != '\0' && (bytes[i] == '\n') == (i && bytes[i - 1] == '\r'));
	for (at += 2; at < end;) {
		const char *next = memmem(at, (size_t)(end + 2 - at), "\r\n", 2);
		const char *colon = memchr(at, ':', (size_t)(next - at));
		const char *value;

		CHECK(next > at && colon > at && *at != ' ' && *at != '\t');
		CHECK(colon[-1] != ' ' && colon[-1] != '\t');
		value = colon + 1 + strspn(colon + 1, " \t");
		hosts += colon - at == 4 && !strncasecmp(at, "host", 4);
		CHECK(colon - at != 17 || strncasecmp(at, "transfer-encoding", 17));
		if (colon - at == 14 && !strncasecmp(at, "content-length", 14)) {
			lengths++;
			CHECK(*value == '0' &&
				strspn(value + 1, " \t") == (size_t)(next - value - 1));
		}
		at = next + 2;
	}
	CHECK(hosts <= 1 && lengths <= 1);
}

static size_t escape(const char *text, char *to)
{
	size_t length = 0;

	for (; *text; text++)
		length += (size_t)sprintf(to + length, "%%%02x", (unsigned char)*text);
	return length;
}

/* As many bytes as were written, an escape for one: none was NUL, none is missing. */
static void check_decoded(const char *pair, size_t length, const char *name, const char *value)
{
	size_t decoded = length;

	for (size_t i = 0; i < length; i++)
		decoded -= pair[i] == '%' ? 2 : 0;
	CHECK(strlen(name) + 1 + strlen(value) == decoded);
}

/* Every pair also with all of it escaped, and into buffers that just fit. Returns what ended it. */
static int check_query(struct http_span query)
{
	char name[NAME_SIZE], value[VALUE_SIZE], name_again[NAME_SIZE];
	static char text[3 * (NAME_SIZE + VALUE_SIZE) + 2], value_again[VALUE_SIZE];
	int result;

	for (;;) {
		struct http_span before = query, written;
		size_t length;

		result = http_query_next(&query, name, sizeof(name), value, sizeof(value));
		if (result <= 0)
			break;
		CHECK(*name && strlen(name) < sizeof(name) && strlen(value) < sizeof(value));
		CHECK(query.at > before.at && query.length < before.length);
		CHECK(query.at + query.length == before.at + before.length);
		check_decoded(before.at, (size_t)(query.at - before.at) - (query.length > 0), name,
			value);

		length = escape(name, text);
		text[length++] = '=';
		length += escape(value, text + length);
		written = (struct http_span){text, length};
		CHECK(http_query_next(&written, name_again, strlen(name) + 1, value_again,
			      strlen(value) + 1) == 1);
		CHECK(!written.length && !strcmp(name, name_again) && !strcmp(value, value_again));
		written = (struct http_span){text, length};
		CHECK(http_query_next(&written, name_again, strlen(name), value_again,
			      sizeof(value_again)) == -EINVAL);
		CHECK(http_query_next(&written, name_again, sizeof(name_again), value_again,
			      strlen(value)) == -EINVAL);
		CHECK(written.at == text && written.length == length);
	}
	CHECK(result == 0 || result == -EINVAL);
	CHECK(result != 0 || !query.length);
	return result;
}

static bool any_twice(struct http_span query)
{
	static char names[64][NAME_SIZE], value[VALUE_SIZE];
	size_t count = 0;

	while (count < 64 &&
		http_query_next(&query, names[count], NAME_SIZE, value, sizeof(value)) == 1) {
		for (size_t i = 0; i < count; i++)
			if (!strcmp(names[i], names[count]))
				return true;
		count++;
	}
	return false;
}

static bool call_fine(const struct api_call *call)
{
	return !call->problem[0] && !call->profile_impossible;
}

static void check_call_again(const struct http_request *r, const struct api_call *call)
{
	struct http_request written = *r;
	struct api_call again;
	char query[512] = "";
	size_t n = 0;

	if (call->route->parameters & API_IN_PATH &&
		written.path.length > strlen(call->route->path) + 1 + strlen(call->profile))
		return; /* then the query is of no concern */
	if (call->route->parameters & API_PROFILE)
		n += (size_t)snprintf(query, sizeof(query), "&profile=%s", call->profile);
	if (call->has_min_ttl)
		n += (size_t)snprintf(query + n, sizeof(query) - n, "&min_ttl=%u", call->min_ttl_s);
	if (call->has_wait)
		n += (size_t)snprintf(query + n, sizeof(query) - n, "&wait=%u", call->wait_s);
	if (call->has_after)
		n += (size_t)snprintf(query + n, sizeof(query) - n, "&after=%llu",
			(unsigned long long)call->after);
	if (call->has_generation)
		n += (size_t)snprintf(query + n, sizeof(query) - n, "&generation=%llu",
			(unsigned long long)call->generation);
	if (call->has_fingerprint)
		n += (size_t)snprintf(
			query + n, sizeof(query) - n, "&fingerprint=%s", call->fingerprint);
	CHECK(n < sizeof(query));
	written.query = (struct http_span){query + (n > 0), n - (n > 0)};
	CHECK(api_parse(routes, &written, &again) == 0 && call_fine(&again));
	CHECK(again.route == call->route && !strcmp(again.profile, call->profile));
	CHECK(again.has_min_ttl == call->has_min_ttl && again.min_ttl_s == call->min_ttl_s);
	CHECK(again.has_wait == call->has_wait && again.wait_s == call->wait_s);
	CHECK(again.has_after == call->has_after && again.after == call->after);
	CHECK(again.has_generation == call->has_generation);
	CHECK(again.generation == call->generation);
	CHECK(again.has_fingerprint == call->has_fingerprint);
	CHECK(!strcmp(again.fingerprint, call->fingerprint));
}

static void check_router(const struct http_request *r, int query_result)
{
	struct api_call call;
	int status = api_parse(routes, r, &call);

	CHECK(status == 0 || status == 204 || status == 400 || status == 404 || status == 405);
	CHECK(r->method != HTTP_OPTIONS || status == 204 || status == 404 ||
		call.route->method == HTTP_ANY);
	if (status == 204 || status == 405)
		CHECK(strstr(call.allowed, "OPTIONS"));
	if (status == 204 || status == 404 || status == 405)
		return;
	if (call.route->method == HTTP_ANY) {
		CHECK(status == 0 && r->path.length >= strlen(call.route->path) + 2);
	} else {
		CHECK(r->method == call.route->method ||
			(r->method == HTTP_HEAD && call.route->method == HTTP_GET));
		CHECK((status == 400) == (query_result < 0));
		CHECK(strlen(call.route->path) == r->path.length);
	}
	CHECK(memchr(call.problem, '\0', sizeof(call.problem)) && fuzz_printable(call.problem));
	CHECK(!memcmp(call.route->path, r->path.at, strlen(call.route->path)));
	if (status == 400) {
		CHECK(call.problem[0]);
		return;
	}
	CHECK(strspn(call.profile, "abcdefghijklmnopqrstuvwxyz0123456789_-") ==
		strlen(call.profile));
	CHECK(call.profile[0] && strlen(call.profile) <= PROFILE_NAME_MAX);
	CHECK(call.min_ttl_s <= INT32_MAX && call.wait_s <= INT32_MAX);
	CHECK(call.after <= UINT64_MAX / 2 && call.generation <= UINT64_MAX / 2);
	CHECK(!call.has_fingerprint || strspn(call.fingerprint, "0123456789abcdef") == 16);
	if (call.route->parameters & API_GENERATION && !call.problem[0])
		CHECK(call.has_generation != call.has_fingerprint);
	if (call_fine(&call)) {
		CHECK(call.route->method == HTTP_ANY || !any_twice(r->query));
		check_call_again(r, &call);
	}
}

static void check_same_call(const struct http_request *known, const struct http_request *r)
{
	const struct api_call *recalled = api_noted(known);
	struct api_call read;

	CHECK(recalled);
	CHECK(api_parse(routes, r, &read) == 0 && call_fine(&read));
	CHECK(recalled->route == read.route && !strcmp(recalled->profile, read.profile));
	CHECK(!(read.route->parameters & (API_LOGIN | API_IN_PATH)));
	CHECK(call_fine(recalled) && recalled->has_min_ttl == read.has_min_ttl);
	CHECK(recalled->has_wait == read.has_wait && recalled->has_after == read.has_after);
	CHECK(recalled->has_generation == read.has_generation);
	CHECK(recalled->has_fingerprint == read.has_fingerprint);
	CHECK(recalled->min_ttl_s == read.min_ttl_s && recalled->wait_s == read.wait_s);
	CHECK(recalled->after == read.after && recalled->generation == read.generation);
	CHECK(!strcmp(recalled->fingerprint, read.fingerprint));
}

/* All of the bytes with what was remembered of the pipeline so far, whose requests come twice. */
static void check_remembered(
	struct request_memo *memo, const char *bytes, size_t length, const struct verdict *whole)
{
	for (unsigned times = 0; times < 3; times++) {
		const struct http_request *known = request_memo_find(memo, 1, bytes, length);
		struct request_memory *added;
		struct api_call call;

		CHECK(!request_memo_find(memo, 2, bytes, length));
		if (known) {
			struct verdict v = {.request = *known};

			CHECK(v.request.plain && v.request.length <= length);
			CHECK(!memcmp(
				v.request.path.at, whole->request.path.at, v.request.path.length));
			CHECK(!memcmp(v.request.query.at, whole->request.query.at,
				v.request.query.length));
			v.request.path.at = whole->request.path.at;
			v.request.query.at = whole->request.query.at;
			check_same(&v, whole);
			check_same_call(known, &whole->request);
		}
		if (known || whole->result)
			continue;
		added = request_memo_add(memo, 1, bytes, &whole->request);
		CHECK(!added || whole->request.plain);
		if (!added)
			continue;
		api_parse_noting(routes, &added->request, &call);
		if (!added->note.made)
			request_memo_drop(memo, added);
	}
}

/* What is refused for its length is too long, and nobody waits for what never can be whole. */
static void check_limits(const char *bytes, size_t length, int result)
{
	const char *line = memmem(bytes, length, "\r\n", 2);
	const char *header = memmem(bytes, length, "\r\n\r\n", 4);

	/* or just as long, but its target has no end: what comes next no longer matters */
	if (result == 414)
		CHECK(!line || line - bytes > HTTP_REQUEST_LINE_MAX ||
			(line - bytes == HTTP_REQUEST_LINE_MAX &&
				memcmp(line - 9, " HTTP/", 6) != 0));
	if (result == 431)
		CHECK(line && (!header || header + 4 - bytes > HTTP_REQUEST_HEADER_MAX));
	if (result == -EAGAIN) {
		CHECK(!header && length < HTTP_REQUEST_HEADER_MAX);
		CHECK(line || length < HTTP_REQUEST_LINE_MAX + 2);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct random dice = fuzz_random(data, size);
	const char *at = (const char *)data;
	struct request_memo *memo;
	size_t left = size;

	/* mostly pages that were never touched: to have new ones is quicker than to clear it */
	memo = calloc(1, sizeof(*memo));
	CHECK(memo);
	/* As a pipeline: what follows one request is the next. */
	while (left) {
		struct verdict whole = parse_whole(at, left), cut = parse_cut(at, left, 0, &dice);

		CHECK(whole.result == 0 || whole.result == -EAGAIN || whole.result == 400 ||
			whole.result == 414 || whole.result == 431 || whole.result == 505);
		check_same(&whole, &cut);
		cut = parse_cut(at, left, left <= 512 ? 1 : HTTP_REQUEST_LINE_MAX, &dice);
		check_same(&whole, &cut);
		check_limits(at, left, whole.result);
		check_remembered(memo, at, left, &whole);
		if (whole.result > 0)
			CHECK(whole.reason && *whole.reason && fuzz_printable(whole.reason));
		if (whole.result)
			break;
		CHECK(whole.request.length <= left);
		CHECK(whole.request.length <= HTTP_REQUEST_HEADER_MAX);
		CHECK(whole.request.path.length >= 1 && *whole.request.path.at == '/');
		const struct http_span *path = &whole.request.path;
		bool foreign = path->length >= strlen(HTTP_PATH_FOREIGN) &&
			       !memcmp(path->at, HTTP_PATH_FOREIGN, strlen(HTTP_PATH_FOREIGN));

		check_span(path, foreign, at, whole.request.length);
		check_span(&whole.request.query, foreign, at, whole.request.length);
		CHECK(!memchr(whole.request.path.at, '?', whole.request.path.length));
		check_header(at, whole.request.length);
		check_written_again(at, &whole.request);
		check_router(&whole.request, check_query(whole.request.query));
		at += whole.request.length;
		left -= whole.request.length;
	}
	/* No request ever has such a query, but nothing says so where queries are read. */
	if (size <= VALUE_SIZE)
		check_query((struct http_span){(const char *)data, size});
	free(memo);
	return 0;
}
