/* Replies to callers, as HTTP: heads, and the bodies of errors. */
#ifndef GCTOKEND_CORE_REPLY_H
#define GCTOKEND_CORE_REPLY_H

#include "buffer.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where the token of a reply stands: for whoever reads it, or for a proxy, which copies fields. */
enum token_place {
	TOKEN_IN_BODY,
	TOKEN_IN_BOTH,  /* in an Authorization field as well */
	TOKEN_IN_FIELD, /* there alone: the body is empty */
};

/* One reply: where it is written, behind whatever is there already, and what the request asked of
 * it. It is `reply_begin`, the body, `reply_end`, which writes Content-Length. */
struct reply {
	struct buffer *out; /* lent */
	bool keep_alive;    /* else it announces that it is the last of its connection */
	uint32_t idle_s;    /* with keep_alive: so long it lasts between requests; 0: not told */
	bool text;          /* plain text is wanted, where there is a choice */
	bool head;          /* to a HEAD: written like any other, see reply_cut_body */
	enum token_place token_in; /* for core/reply_token */
	size_t length_at; /* from begin to end: where the padded Content-Length digits stand */
	size_t body_at;
};

#define REPLY_JSON "application/json"
#define REPLY_TEXT "text/plain; charset=utf-8"
#define REPLY_METRICS "text/plain; version=0.0.4; charset=utf-8"

/* Status line and what every reply has: it goes on with further fields, each with its CRLF. */
void reply_head(const struct reply *r, int status);

/* `more_fields`: further whole header lines with CRLF, or "". */
void reply_begin(struct reply *r, int status, const char *content_type, const char *more_fields);
void reply_end(struct reply *r);

/* 304: no body, no Content-Length. */
void reply_not_modified(const struct reply *r);

/* Whoever waits comes back at least so often: what was in the way may have been mended. */
#define REPLY_RETRY_AFTER_MOST_S 60

/* {"error": code, "error_description": words, "retry_after": S}; retry_after_s < 0: none, and no
 * Retry-After field. Returns `status`. */
int reply_error(
	struct reply *r, int status, const char *code, const char *words, int64_t retry_after_s);
/* 405, with the methods that would have been right. */
int reply_wrong_method(struct reply *r, const char *allowed);
/* 204: those methods, and no body. */
int reply_options(const struct reply *r, const char *allowed);

/* For a HEAD: of the whole reply that lies in `out` from `at` on only the header stays. */
void reply_cut_body(struct buffer *out, size_t at);

#endif
