/* The bodies and heads of what the broker answers: JSON, plain text and Prometheus metrics. */
#ifndef GCTOKEND_CORE_ANSWERS_H
#define GCTOKEND_CORE_ANSWERS_H

#include "buffer.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Every answer is `answer_begin`, the body, `answer_end`, which writes Content-Length. */
struct answer {
	struct buffer *out;
	size_t length_at; /* where the padded Content-Length digits stand */
	size_t body_at;
};

#define ANSWER_JSON "application/json"
#define ANSWER_TEXT "text/plain; charset=utf-8"
#define ANSWER_METRICS "text/plain; version=0.0.4; charset=utf-8"

/* Status line and what every answer has: it goes on with further fields, each with its CRLF. */
void answer_head(struct buffer *out, int status, bool keep_alive);

/* `more_fields`: further whole header lines with CRLF, or "". */
void answer_begin(struct answer *a, struct buffer *out, int status, const char *content_type,
	bool keep_alive, const char *more_fields);
void answer_end(struct answer *a);

/* 304: no body, no Content-Length. */
void answer_not_modified(struct buffer *out, bool keep_alive);

/* {"error": code, "error_description": words, "retry_after": S}; retry_after_s < 0: none, and no
 * Retry-After field. Returns `status`. */
int answer_error(struct buffer *out, int status, bool keep_alive, const char *code,
	const char *words, int64_t retry_after_s);
/* 405, with the method that would have been right. */
int answer_wrong_method(struct buffer *out, bool keep_alive, const char *allowed);

#endif
