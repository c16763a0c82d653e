/* Strict parser of the small HTTP/1.1 subset the broker accepts: requests without bodies. What is
 * in doubt is refused, because a request two parsers read differently is a hole.
 *
 * Refused beyond what RFC 9112 asks for: a bare LF or CR, an empty line before the request, field
 * names with anything but letters, digits, '-', '_' and '.', any Content-Length but one "0", any
 * Transfer-Encoding, a target that is neither a path nor a URL of http, a second Host, an Expect
 * that is not 100-continue. `Expect: 100-continue` itself is ignored, as RFC 9110 section 10.1.1
 * has it for a request without content. So is the host, in the URL and in the Host field: whoever
 * has reached the socket is at the right one. */
#ifndef GCTOKEND_CORE_HTTP_REQUEST_H
#define GCTOKEND_CORE_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_REQUEST_LINE_MAX 8192 /* without its CRLF; beyond: 414 */
#define HTTP_REQUEST_HEADER_MAX \
	16384 /* request line, header fields and the empty line; beyond: 431 */

/* What follows in a target that begins so may be any bytes but blanks, '#' and control characters.
 */
#define HTTP_PATH_FOREIGN "/v1/authorization/"

struct api_note;

struct http_span {
	const char *at;
	size_t length;
};

enum http_method {
	HTTP_GET,
	HTTP_POST,
	HTTP_HEAD, /* as GET, but its reply ends with the header */
	HTTP_OPTIONS,
	HTTP_WRITING, /* PUT, PATCH, DELETE */
	HTTP_OTHER,   /* well-formed, but how long a reply to it is only that method tells */
	HTTP_ANY,     /* no request's: of a route that takes all of these */
};

/* Spans point into the parsed bytes. */
struct http_request {
	enum http_method method;
	bool keep_alive; /* 1.1 without "close"; 1.0 is closed whatever it asks for */
	bool wants_text; /* Accept names text/plain, and does not name application/json (named with
			    q=0 counts as not named) */
	struct http_span path;  /* as sent, from '/' up to '?'; "/" of a URL that has none */
	struct http_span query; /* as sent, behind '?'; empty if none */
	size_t length;          /* bytes this request took */
	bool plain; /* its header has only fields that are known, and known to hold no secret */
	/* Of a request that is kept for when the same bytes come again: where what was asked for is
	 * kept with it, see api.h. NULL: it is not. */
	struct api_note *note;
};

/* Where the parsing of one request stands: all zero before its first byte. Offsets, not pointers,
 * so that the bytes may move between two calls. */
struct http_parser {
	uint16_t at;   /* bytes found good so far */
	uint16_t mark; /* where the current element began */
	uint16_t path_at;
	uint16_t query_at; /* behind the '?', 0: none */
	uint16_t target_end;
	uint8_t state;
	uint8_t field;  /* which of the known fields the current line is */
	uint8_t method; /* enum http_method; HTTP_GET until it is known */
	uint8_t seen;   /* bits */
};

/* Whether a request that begins so, be it with a single byte, is a HEAD as far as can be told: for
 * what is said to one that is not read any further. */
bool http_begins_as_head(const char *bytes, size_t length);

/* Goes on with one request: `bytes` is all of it that has come, from its first byte on; every call
 * looks only at what the calls before have not, so that a byte at a time costs no more than all at
 * once. The result does not depend on how the bytes were cut up.
 * 0: *ret is whole and the parser is zero again. -EAGAIN: so far so good, more is needed. A
 * positive number is the HTTP status to refuse with (400, 414, 431, 505): the framing is in doubt,
 * reply and close; *ret_reason then is a plain phrase that says what was wrong. */
int http_parser_run(struct http_parser *parser, const char *bytes, size_t length,
	struct http_request *ret, const char **ret_reason);

#endif
