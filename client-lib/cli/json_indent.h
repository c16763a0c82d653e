/* JSON as people read it. */
#ifndef GCTOKEN_CLI_JSON_INDENT_H
#define GCTOKEN_CLI_JSON_INDENT_H

#include <stddef.h>

/* The same value with a line for each member and element, and a newline at its end. It has no byte
 * that a terminal takes for a command: control characters in texts are escaped. NULL: the bytes
 * are not one JSON value, or there is no memory. To be freed. */
char *json_indent(const char *bytes, size_t length, size_t *ret_length);

#endif
