/* The query of a request, pair by pair. */
#ifndef GCTOKEND_CORE_HTTP_QUERY_H
#define GCTOKEND_CORE_HTTP_QUERY_H

#include <stddef.h>

struct http_span;

/* Takes the next name=value pair off `query`, percent-decoded ('+' is a space) into the two given
 * buffers, NUL-terminated. 1: a pair; 0: none left; -EINVAL: bad escape, NUL, an empty name, no
 * '=', an '&' with nothing behind it, or longer than fits: `query` is untouched and the buffers
 * hold nothing of use. */
int http_query_next(
	struct http_span *query, char *name, size_t name_size, char *value, size_t value_size);

#endif
