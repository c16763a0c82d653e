/* Strict parser of the small HTTP/1.1 subset the broker accepts: GET and POST without bodies. What
 * is in doubt is refused, because a request two parsers read differently is a hole. */
#ifndef GCTOKEND_CORE_HTTP_REQUEST_H
#define GCTOKEND_CORE_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_REQUEST_LINE_MAX 8192 /* without its CRLF; beyond: 414 */
#define HTTP_REQUEST_HEADER_MAX \
	16384 /* request line, header fields and the empty line; beyond: 431 */

struct http_span {
	const char *at;
	size_t length;
};

enum http_method {
	HTTP_GET,
	HTTP_POST,
	HTTP_OTHER, /* well-formed but not served: 405 (or 404) is the router's answer */
};

/* Spans point into the parsed bytes. */
struct http_request {
	enum http_method method;
	bool keep_alive;
	bool wants_text; /* Accept names text/plain and neither application/json nor anything that
			    matches it with at least the same weight */
	struct http_span path;  /* as sent, from '/' up to '?' */
	struct http_span query; /* as sent, behind '?'; empty if none */
	size_t length;          /* bytes this request took */
};

/* One request at the front of `bytes`. 0: *ret is whole. -EAGAIN: so far so good, more is needed.
 * A positive number is the HTTP status to refuse with (400, 414, 431, 505): the framing is in
 * doubt, answer and close; *ret_reason then is a plain phrase that says what was wrong. */
int http_request_parse(
	const char *bytes, size_t length, struct http_request *ret, const char **ret_reason);

/* Takes the next name=value pair off `query`, percent-decoded ('+' is a space) into the two given
 * buffers, NUL-terminated. 1: a pair; 0: none left; -EINVAL: bad escape, NUL, an empty name, no
 * '=', or longer than fits. */
int http_query_next(
	struct http_span *query, char *name, size_t name_size, char *value, size_t value_size);

#endif
