/* The values of the few header fields the request parser understands. */
#ifndef GCTOKEND_CORE_HTTP_FIELDS_H
#define GCTOKEND_CORE_HTTP_FIELDS_H

#include <stdbool.h>
#include <stddef.h>

/* `lower` is in lower case; ASCII only, whatever the locale. */
bool http_equals_ignoring_case(const char *text, size_t length, const char *lower);

/* Whether the comma-separated `value` (a Connection field) has the element `lower`. */
bool http_list_has(const char *value, size_t length, const char *lower);

/* What an Accept field names with a weight above 0 is added to *text and *json: never reset here,
 * because a second Accept field continues the first. */
void http_accept_add(const char *value, size_t length, bool *text, bool *json);

#endif
