/* JSON as a sequence of (path, value), by yajl's callbacks. */
#ifndef GCTOKEN_CLI_JSON_READ_H
#define GCTOKEN_CLI_JSON_READ_H

#include <stdbool.h>
#include <stddef.h>

enum json_type {
	JSON_NULL,
	JSON_BOOL,   /* text is "true" or "false" */
	JSON_NUMBER, /* text is the number as written */
	JSON_TEXT,
};

struct json_value {
	const char *path; /* "profiles[].counters.served" */
	size_t index;     /* which element of the outermost array, from 0 */
	enum json_type type;
	const char *text; /* not NUL-terminated */
	size_t length;
};

typedef void json_seen(void *context, const struct json_value *value);

/* True if `bytes` are one JSON value, at most 8 levels deep; `seen` has then been called for every
 * scalar in it, and for each empty or not empty object or array nothing. False may come after some
 * calls. */
bool json_read(const char *bytes, size_t length, json_seen *seen, void *context);

/* Whether the value stands at `path`, and its text copied to `ret` with everything that is not
 * printable ASCII made '?', cut to fit: the words of a server that somebody else runs must not
 * reach a terminal as they are. False, *ret untouched, if it is no text. */
bool json_take_text(const struct json_value *v, const char *path, char *ret, size_t size);
/* The same for a number; false if it is none, or larger than any that the daemon has: printed, it
 * has 17 digits at most before its point. */
bool json_take_number(const struct json_value *v, const char *path, double *ret);

#endif
