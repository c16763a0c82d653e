/* Strict parser of gctokend's HTTP/1.1 responses: a head, and a body whose length the head gives.
 * What is in doubt is refused. Pure: bytes in, spans out. */
#ifndef GCTOKEN_RESPONSE_PARSER_H
#define GCTOKEN_RESPONSE_PARSER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RESPONSE_HEAD_MAX 16384
#define RESPONSE_BODY_MAX (4 * 1024 * 1024)

/* Points into the parsed bytes; `at` is NULL where a field is absent. */
struct response_span {
	const char *at;
	size_t length;
};

struct response {
	int status; /* 200 to 599 */
	bool keep_alive;
	struct response_span generation;    /* Gctoken-Generation */
	struct response_span expires_in_ms; /* Gctoken-Expires-In-Ms */
	struct response_span fingerprint;   /* Gctoken-Fingerprint */
	struct response_span state;         /* Gctoken-State */
	struct response_span retry_after;   /* Retry-After */
	struct response_span body;
	size_t length; /* bytes of the whole response */
};

/* One response at the front of `bytes`. 0: *ret is whole; -EAGAIN: good so far, more is needed;
 * -EBADMSG: not such a response, whatever follows. *ret is untouched unless 0. */
int gctoken_response_parse(const char *bytes, size_t length, struct response *ret);

/* A span of nothing but 1 to 19 decimal digits, at most INT64_MAX. False, *ret untouched,
 * otherwise. */
bool gctoken_response_number(const struct response_span *span, uint64_t *ret);

/* The error code of a body that starts with {"error":"code" (blanks between the tokens allowed),
 * code being 1 to 63 of [a-z_], copied NUL-terminated to `ret`, which has 64 bytes. False, *ret
 * untouched, for any other body. The broker writes this member first, so that no JSON parser is
 * needed to tell its errors apart. */
bool gctoken_response_error(const struct response *r, char *ret);

#endif
