/* The bytes of one HTTP response as libcurl hands them over, bounded and turned into the fields of
 * an exchange. Knows nothing of libcurl or the loop. */
#ifndef GCTOKEND_UPSTREAM_HTTP_RESPONSE_H
#define GCTOKEND_UPSTREAM_HTTP_RESPONSE_H

#include "core/exchange.h"
#include <stdbool.h>
#include <stddef.h>

#define HTTP_RESPONSE_BODY_MAX (64 * 1024)
#define HTTP_RESPONSE_HEADER_MAX (64 * 1024) /* bytes, 1xx responses included */
#define HTTP_RESPONSE_HEADER_LINES_MAX 1000

enum http_response_part {
	HTTP_RESPONSE_STATUS,  /* no final status line yet */
	HTTP_RESPONSE_HEADER,  /* in the final response's header */
	HTTP_RESPONSE_CONTENT, /* behind it: whatever looks like a header now is a trailer */
};

struct http_response {
	enum http_response_part part;
	size_t header_bytes, header_lines;
	unsigned seen;       /* fields, one bit each */
	char *folding;       /* the field a continuation line would belong to */
	size_t body_length;  /* of `body`, which holds HTTP_RESPONSE_BODY_MAX and a NUL */
	char *body;          /* NULL until the first byte */
	bool oversize;       /* the content is larger than that */
	const char *problem; /* why the response was refused, NULL if it was not */
};

#define HTTP_RESPONSE_NONE ((struct http_response){0})

/* One header line with its line end. Sets status and header fields of `x`. True *ret_final: this
 * was the final response's status line. False: refused, `problem` is set. */
bool http_response_header_line(struct http_response *r, struct exchange *x, const char *line,
	size_t length, bool *ret_final);
/* False: refused or out of memory, `problem` is set. */
bool http_response_body(struct http_response *r, const char *bytes, size_t length);
/* Wipes and frees the body. */
void http_response_fini(struct http_response *r);

#endif
