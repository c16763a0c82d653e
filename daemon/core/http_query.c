#include "http_query.h"

#include "http_request.h"
#include "text.h"

#include <errno.h>
#include <string.h>

int http_query_next(
	struct http_span *query, char *name, size_t name_size, char *value, size_t value_size)
{
	const char *ampersand, *equals;
	size_t pair;

	if (!query->length)
		return 0;
	ampersand = memchr(query->at, '&', query->length);
	pair = ampersand ? (size_t)(ampersand - query->at) : query->length;
	if (pair + 1 == query->length)
		return -EINVAL;
	equals = memchr(query->at, '=', pair);
	if (!equals || equals == query->at)
		return -EINVAL;
	if (!percent_read(query->at, (size_t)(equals - query->at), name, name_size) ||
		!percent_read(
			equals + 1, (size_t)(query->at + pair - equals - 1), value, value_size))
		return -EINVAL;
	if (ampersand)
		pair++;
	query->at += pair;
	query->length -= pair;
	return 1;
}
