/* A state machine over bytes. Every refusal is decided at the first byte that makes it certain, so
 * the verdict depends on the bytes alone and not on how they arrived, and nobody can make the
 * broker keep 16 KiB of something that was hopeless after ten. Runs of plain bytes (target, name,
 * value) are taken by a table lookup each: that is where the time goes. */
#include "http_request.h"

#include "http_bytes.h"
#include "http_fields.h"
#include <errno.h>
#include <string.h>

enum state {
	IN_METHOD,
	AT_TARGET,
	IN_SCHEME, /* where the target is a URL */
	IN_AUTHORITY,
	IN_TARGET,
	IN_ESCAPE_1, /* the hex digits behind '%' */
	IN_ESCAPE_2,
	IN_VERSION,
	AT_LINE_FEED, /* the one that ends the request line or a field */
	AT_FIELD,     /* first byte of a line */
	IN_NAME,
	IN_VALUE,
	AT_LAST_LINE_FEED,
};

enum field {
	FIELD_OTHER,
	FIELD_ORDINARY, /* of no importance here, and of none to anybody: see http_request.plain */
	FIELD_HOST,
	FIELD_ACCEPT,
	FIELD_EXPECT,
	FIELD_CONNECTION,
	FIELD_CONTENT_LENGTH,
	FIELD_TRANSFER_ENCODING,
};

enum seen {
	SEEN_HTTP_1_0 = 1,
	SEEN_HOST = 2,
	SEEN_CONTENT_LENGTH = 4,
	SEEN_CLOSE = 8,
	SEEN_TEXT = 16,
	SEEN_JSON = 32,
	SEEN_OTHER_FIELD = 64,
};

static int refuse(int status, const char *reason, const char **ret_reason)
{
	*ret_reason = reason;
	return status;
}

static enum http_method method_find(const char *name, size_t length)
{
	if (length == 3 && !memcmp(name, "GET", 3))
		return HTTP_GET;
	if (length == 4 && !memcmp(name, "POST", 4))
		return HTTP_POST;
	if (length == 4 && !memcmp(name, "HEAD", 4))
		return HTTP_HEAD;
	if (length == 7 && !memcmp(name, "OPTIONS", 7))
		return HTTP_OPTIONS;
	if ((length == 3 && !memcmp(name, "PUT", 3)) ||
		(length == 5 && !memcmp(name, "PATCH", 5)) ||
		(length == 6 && !memcmp(name, "DELETE", 6)))
		return HTTP_WRITING;
	return HTTP_OTHER;
}

static enum field field_find(const char *name, size_t length)
{
	switch (length) {
	case 4:
		return http_equals_ignoring_case(name, 4, "host") ? FIELD_HOST : FIELD_OTHER;
	case 6:
		if (http_equals_ignoring_case(name, 6, "accept"))
			return FIELD_ACCEPT;
		return http_equals_ignoring_case(name, 6, "expect") ? FIELD_EXPECT : FIELD_OTHER;
	case 10:
		if (http_equals_ignoring_case(name, 10, "connection"))
			return FIELD_CONNECTION;
		return http_equals_ignoring_case(name, 10, "user-agent") ? FIELD_ORDINARY
									 : FIELD_OTHER;
	case 14:
		if (http_equals_ignoring_case(name, 14, "content-length"))
			return FIELD_CONTENT_LENGTH;
		return http_equals_ignoring_case(name, 14, "sec-fetch-mode") ? FIELD_ORDINARY
									     : FIELD_OTHER;
	case 15:
		return http_equals_ignoring_case(name, 15, "accept-encoding") ||
				       http_equals_ignoring_case(name, 15, "accept-language")
			       ? FIELD_ORDINARY
			       : FIELD_OTHER;
	case 17:
		return http_equals_ignoring_case(name, 17, "transfer-encoding")
			       ? FIELD_TRANSFER_ENCODING
			       : FIELD_OTHER;
	default:
		return FIELD_OTHER;
	}
}

/* The name of a field is complete: what can be refused without its value is. */
static int field_begin(struct http_parser *p, const char *name, const char **ret_reason)
{
	p->field = (uint8_t)field_find(name, (size_t)(p->at - p->mark));
	switch (p->field) {
	case FIELD_OTHER:
		p->seen |= SEEN_OTHER_FIELD;
		return 0;
	case FIELD_HOST:
		if (p->seen & SEEN_HOST)
			return refuse(400, "more than one Host field", ret_reason);
		p->seen |= SEEN_HOST;
		return 0;
	case FIELD_CONTENT_LENGTH:
		if (p->seen & SEEN_CONTENT_LENGTH)
			return refuse(400, "more than one Content-Length field", ret_reason);
		p->seen |= SEEN_CONTENT_LENGTH;
		return 0;
	case FIELD_TRANSFER_ENCODING:
		return refuse(400, "Transfer-Encoding is not accepted: requests have no body",
			ret_reason);
	default:
		return 0;
	}
}

/* The value, without white space around it, is complete. */
static int field_end(
	struct http_parser *p, const char *value, size_t length, const char **ret_reason)
{
	bool text = false, json = false;

	switch (p->field) {
	case FIELD_CONTENT_LENGTH:
		if (length != 1 || value[0] != '0')
			return refuse(400, "a request body is not accepted", ret_reason);
		return 0;
	case FIELD_EXPECT:
		if (!http_equals_ignoring_case(value, length, "100-continue"))
			return refuse(400, "unknown expectation in the Expect field", ret_reason);
		return 0;
	case FIELD_CONNECTION:
		if (http_list_has(value, length, "close"))
			p->seen |= SEEN_CLOSE;
		return 0;
	case FIELD_ACCEPT:
		http_accept_add(value, length, &text, &json);
		if (text)
			p->seen |= SEEN_TEXT;
		if (json)
			p->seen |= SEEN_JSON;
		return 0;
	default:
		return 0;
	}
}

static int value_take(struct http_parser *p, const char *bytes, const char **ret_reason)
{
	const char *value = bytes + p->mark;
	size_t length = (size_t)(p->at - p->mark);

	if (p->field <= FIELD_HOST)
		return 0;
	while (length && (value[0] == ' ' || value[0] == '\t')) {
		value++;
		length--;
	}
	while (length && (value[length - 1] == ' ' || value[length - 1] == '\t'))
		length--;
	return field_end(p, value, length, ret_reason);
}

/* One byte of "HTTP/d.d" CR; `at` is its place in there. */
static int version_take(struct http_parser *p, const char *bytes, const char **ret_reason)
{
	static const char shape[] = "HTTP/d.d\r";
	size_t at = (size_t)(p->at - p->mark);
	char c = bytes[p->at];

	if (shape[at] == 'd' ? c < '0' || c > '9' : c != shape[at])
		return refuse(400, "malformed HTTP version", ret_reason);
	if (at != 7)
		return 0;
	if (bytes[p->mark + 5] != '1' || c > '1')
		return refuse(505, "only HTTP/1.1 and HTTP/1.0 are served", ret_reason);
	if (c == '0')
		p->seen |= SEEN_HTTP_1_0;
	return 0;
}

static int request_finish(
	struct http_parser *p, const char *bytes, struct http_request *ret, const char **ret_reason)
{
	size_t path_end = p->query_at ? (size_t)p->query_at - 1 : p->target_end;

	if (!(p->seen & (SEEN_HOST | SEEN_HTTP_1_0)))
		return refuse(400, "HTTP/1.1 requires a Host field", ret_reason);
	*ret = (struct http_request){
		.method = (enum http_method)p->method,
		.keep_alive = !(p->seen & (SEEN_CLOSE | SEEN_HTTP_1_0)),
		.wants_text = (p->seen & SEEN_TEXT) && !(p->seen & SEEN_JSON),
		.path = {bytes + p->path_at, path_end - p->path_at},
		.query = {bytes + path_end, 0},
		.length = p->at,
		.plain = !(p->seen & SEEN_OTHER_FIELD),
	};
	if (p->query_at)
		ret->query = (struct http_span){
			bytes + p->query_at, (size_t)(p->target_end - p->query_at)};
	/* http://any is about "/", of which its scheme has one */
	if (!ret->path.length)
		ret->path = (struct http_span){memchr(bytes, '/', p->path_at), 1};
	*p = (struct http_parser){0};
	return 0;
}

/* Moves p->at over all bytes of `class`, up to `end`. True: one that is not stopped it. */
static inline bool skip(struct http_parser *p, const char *bytes, size_t end, unsigned char class)
{
	size_t at = p->at;

	while (at < end && byte_is(bytes[at], class))
		at++;
	p->at = (uint16_t)at;
	return at < end;
}

static int out_of_bytes(const struct http_parser *p, size_t end, const char **ret_reason)
{
	if (p->state <= IN_VERSION)
		return end < HTTP_REQUEST_LINE_MAX
			       ? -EAGAIN
			       : refuse(414, "the request line is longer than 8 KiB", ret_reason);
	return end < HTTP_REQUEST_HEADER_MAX
		       ? -EAGAIN
		       : refuse(431, "the request header is larger than 16 KiB", ret_reason);
}

/* Behind such a path a proxy puts the one that it was asked for itself, as its client wrote it, and
 * browsers and libraries leave more as it is than RFC 3986 does. Nothing there is read. */
static bool is_foreign(const struct http_parser *p, const char *bytes)
{
	static const char path[] = HTTP_PATH_FOREIGN;

	return p->at - p->path_at >= (int)strlen(path) &&
	       !memcmp(bytes + p->path_at, path, strlen(path));
}

static bool is_foreign_byte(char c)
{
	return (unsigned char)c > ' ' && c != '#' && c != 0x7f;
}

/* '?' is a target's byte like others, but the first one divides it. */
static void target_take(struct http_parser *p, const char *bytes)
{
	const char *path = bytes + p->path_at, *mark;

	p->target_end = p->at;
	mark = memchr(path, '?', (size_t)(p->target_end - p->path_at));
	p->query_at = mark ? (uint16_t)(mark + 1 - bytes) : 0;
}

/* One byte of "http://". */
static int scheme_take(struct http_parser *p, const char *bytes, const char **ret_reason)
{
	static const char scheme[] = "http://";
	size_t at = (size_t)(p->at - p->path_at);

	if (!http_equals_ignoring_case(bytes + p->at, 1, (const char[]){scheme[at], '\0'}))
		return refuse(400, "the request target is not a path", ret_reason);
	p->at++;
	if (!scheme[at + 1]) {
		p->mark = p->at;
		p->state = IN_AUTHORITY;
	}
	return 0;
}

/* The byte behind the host and port of a URL: its path, query or end. */
static int authority_end(struct http_parser *p, char c, const char **ret_reason)
{
	if (p->at == p->mark || (c != '/' && c != '?' && c != ' '))
		return refuse(400, "malformed request target", ret_reason);
	p->path_at = p->at;
	p->state = IN_TARGET;
	return 0;
}

/* The request line, byte for byte in p->state; 0 when it is complete but for its line feed. */
static int line_run(
	struct http_parser *p, const char *bytes, size_t length, const char **ret_reason)
{
	static const char usual[] = " HTTP/1.1\r\n"; /* all at once, where it came like that */
	size_t end = length < HTTP_REQUEST_LINE_MAX ? length : HTTP_REQUEST_LINE_MAX;
	int r;

	while (p->at < end) {
		switch ((enum state)p->state) {
		case IN_METHOD:
			if (!skip(p, bytes, end, BYTE_METHOD))
				break;
			if (bytes[p->at] != ' ' || !p->at)
				return refuse(400, "malformed method", ret_reason);
			p->method = (uint8_t)method_find(bytes, p->at);
			p->path_at = ++p->at;
			p->state = AT_TARGET;
			break;
		case AT_TARGET:
			p->state = bytes[p->at] == '/' ? IN_TARGET : IN_SCHEME;
			break;
		case IN_SCHEME:
			r = scheme_take(p, bytes, ret_reason);
			if (r)
				return r;
			break;
		case IN_AUTHORITY:
			if (!skip(p, bytes, end, BYTE_AUTHORITY))
				break;
			r = authority_end(p, bytes[p->at], ret_reason);
			if (r)
				return r;
			break;
		case IN_TARGET:
			if (!skip(p, bytes, end, BYTE_TARGET))
				break;
			if (bytes[p->at] == '%') {
				p->state = IN_ESCAPE_1;
			} else if (bytes[p->at] == ' ') {
				target_take(p, bytes);
				if (end - p->at >= sizeof(usual) - 1 &&
					!memcmp(bytes + p->at, usual, sizeof(usual) - 1)) {
					p->at += sizeof(usual) - 2;
					p->state = AT_LINE_FEED;
					return 0;
				}
				p->mark = (uint16_t)(p->at + 1);
				p->state = IN_VERSION;
			} else if (!is_foreign_byte(bytes[p->at]) || !is_foreign(p, bytes)) {
				return refuse(400, "malformed request target", ret_reason);
			}
			p->at++;
			break;
		case IN_ESCAPE_1:
		case IN_ESCAPE_2:
			if (!byte_is(bytes[p->at], BYTE_HEX)) {
				if (!is_foreign(p, bytes))
					return refuse(400,
						"malformed percent-escape in the request target",
						ret_reason);
				p->state = IN_TARGET; /* which takes this byte */
				break;
			}
			p->state = p->state == IN_ESCAPE_1 ? IN_ESCAPE_2 : IN_TARGET;
			p->at++;
			break;
		default:
			r = version_take(p, bytes, ret_reason);
			if (r)
				return r;
			if (bytes[p->at++] == '\r') {
				p->state = AT_LINE_FEED;
				return 0;
			}
		}
	}
	/* a line of just the longest length still has its CR to come */
	if (p->state == IN_VERSION && p->at == HTTP_REQUEST_LINE_MAX && p->at - p->mark == 8) {
		if (length == HTTP_REQUEST_LINE_MAX)
			return -EAGAIN;
		if (bytes[p->at] == '\r') {
			p->at++;
			p->state = AT_LINE_FEED;
			return 0;
		}
	}
	return out_of_bytes(p, end, ret_reason);
}

bool http_begins_as_head(const char *bytes, size_t length)
{
	static const char head[] = "HEAD ";
	size_t known = strlen(head);

	return length && !memcmp(bytes, head, length < known ? length : known);
}

int http_parser_run(struct http_parser *p, const char *bytes, size_t length,
	struct http_request *ret, const char **ret_reason)
{
	size_t end = length < HTTP_REQUEST_HEADER_MAX ? length : HTTP_REQUEST_HEADER_MAX;
	int r;

	if (p->state <= IN_VERSION) {
		r = line_run(p, bytes, length, ret_reason);
		if (r)
			return r;
	}
	while (p->at < end) {
		switch ((enum state)p->state) {
		case AT_LINE_FEED:
			if (bytes[p->at] != '\n')
				return refuse(400, "a CR without its LF", ret_reason);
			p->at++;
			p->state = AT_FIELD;
			break;
		case AT_FIELD:
			p->mark = p->at;
			if (bytes[p->at] == '\r') {
				p->at++;
				p->state = AT_LAST_LINE_FEED;
				break;
			}
			if (bytes[p->at] == ' ' || bytes[p->at] == '\t')
				return refuse(400, "a folded header field", ret_reason);
			p->state = IN_NAME;
			break;
		case IN_NAME:
			if (!skip(p, bytes, end, BYTE_NAME))
				break;
			if (bytes[p->at] != ':' || p->at == p->mark)
				return refuse(400, "malformed header field name", ret_reason);
			r = field_begin(p, bytes + p->mark, ret_reason);
			if (r)
				return r;
			p->mark = ++p->at;
			p->state = IN_VALUE;
			break;
		case IN_VALUE:
			if (!skip(p, bytes, end, BYTE_VALUE))
				break;
			if (bytes[p->at] != '\r')
				return refuse(
					400, "a control character in a header field", ret_reason);
			r = value_take(p, bytes, ret_reason);
			if (r)
				return r;
			p->at++;
			p->state = AT_LINE_FEED;
			break;
		default:
			if (bytes[p->at] != '\n')
				return refuse(400, "a CR without its LF", ret_reason);
			p->at++;
			return request_finish(p, bytes, ret, ret_reason);
		}
	}
	return out_of_bytes(p, end, ret_reason);
}
