#include "http_request.h"

#include <errno.h>
#include <string.h>

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* NUL is refused whether escaped or not: the decoded text ends at its first one. */
static int decode(const char *at, size_t length, char *ret, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < length; i++) {
		char c = at[i];

		if (c == '+') {
			c = ' ';
		} else if (c == '%') {
			int high, low;

			if (length - i < 3)
				return -EINVAL;
			high = hex_value(at[i + 1]);
			low = hex_value(at[i + 2]);
			if (high < 0 || low < 0)
				return -EINVAL;
			c = (char)(high << 4 | low);
			i += 2;
		}
		if (!c || used + 1 >= size)
			return -EINVAL;
		ret[used++] = c;
	}
	if (used >= size)
		return -EINVAL;
	ret[used] = '\0';
	return 0;
}

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
	if (decode(query->at, (size_t)(equals - query->at), name, name_size) < 0 ||
		decode(equals + 1, (size_t)(query->at + pair - equals - 1), value, value_size) < 0)
		return -EINVAL;
	if (ampersand)
		pair++;
	query->at += pair;
	query->length -= pair;
	return 1;
}
