/* The bytes of one HTTP answer as libcurl hands them over, bounded and turned into the fields of an
 * exchange. Knows nothing of libcurl or the loop. */
#ifndef GCTOKEND_UPSTREAM_REPLY_H
#define GCTOKEND_UPSTREAM_REPLY_H

#include "core/exchange.h"
#include <stdbool.h>
#include <stddef.h>

#define REPLY_BODY_MAX (64 * 1024)
#define REPLY_HEADER_MAX (64 * 1024) /* bytes, 1xx answers included */
#define REPLY_HEADER_LINES_MAX 1000

enum reply_part {
	REPLY_STATUS,  /* no final status line yet */
	REPLY_HEADER,  /* in the final answer's header */
	REPLY_CONTENT, /* behind it: whatever looks like a header now is a trailer */
};

struct reply {
	enum reply_part part;
	size_t header_bytes, header_lines;
	unsigned seen;       /* fields, one bit each */
	char *folding;       /* the field a continuation line would belong to */
	size_t body_length;  /* of `body`, which holds REPLY_BODY_MAX and a NUL */
	char *body;          /* NULL until the first byte */
	const char *problem; /* why the answer was refused, NULL if it was not */
};

#define REPLY_NONE ((struct reply){0})

/* One header line with its line end. Sets status and header fields of `x`. True *ret_final: this
 * was the final answer's status line. False: refused, `problem` is set. */
bool reply_header_line(
	struct reply *r, struct exchange *x, const char *line, size_t length, bool *ret_final);
/* False: refused or out of memory, `problem` is set. */
bool reply_body(struct reply *r, const char *bytes, size_t length);
/* Wipes and frees the body. */
void reply_fini(struct reply *r);

#endif
