/* The bodies and heads of what the broker answers: JSON, plain text and Prometheus metrics. */
#ifndef GCTOKEND_CORE_REPLY_H
#define GCTOKEND_CORE_REPLY_H

#include "buffer.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Every answer is `reply_begin`, the body, `reply_end`, which writes Content-Length. */
struct reply {
	struct buffer *out;
	size_t length_at; /* where the padded Content-Length digits stand */
	size_t body_at;
};

#define REPLY_JSON "application/json"
#define REPLY_TEXT "text/plain; charset=utf-8"
#define REPLY_METRICS "text/plain; version=0.0.4; charset=utf-8"

/* Status line and what every answer has: it goes on with further fields, each with its CRLF. */
void reply_head(struct buffer *out, int status, bool keep_alive);

/* `more_fields`: further whole header lines with CRLF, or "". */
void reply_begin(struct reply *a, struct buffer *out, int status, const char *content_type,
	bool keep_alive, const char *more_fields);
void reply_end(struct reply *a);

/* 304: no body, no Content-Length. */
void reply_not_modified(struct buffer *out, bool keep_alive);

/* {"error": code, "error_description": words, "retry_after": S}; retry_after_s < 0: none, and no
 * Retry-After field. Returns `status`. */
int reply_error(struct buffer *out, int status, bool keep_alive, const char *code,
	const char *words, int64_t retry_after_s);
/* 405, with the method that would have been right. */
int reply_wrong_method(struct buffer *out, bool keep_alive, const char *allowed);

#endif
