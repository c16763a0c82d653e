#include "http_fields.h"

#include <string.h>

bool http_equals_ignoring_case(const char *text, size_t length, const char *lower)
{
	for (size_t i = 0; i < length; i++) {
		char c = text[i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c + ('a' - 'A'));
		/* also where `lower` ends: no byte of a field is NUL */
		if (c != lower[i])
			return false;
	}
	return lower[length] == '\0';
}

static void trim(const char **at, size_t *length)
{
	while (*length && (**at == ' ' || **at == '\t')) {
		(*at)++;
		(*length)--;
	}
	while (*length && ((*at)[*length - 1] == ' ' || (*at)[*length - 1] == '\t'))
		(*length)--;
}

/* Bytes before the next `separator` that is not inside a quoted string. */
static size_t element_length(const char *at, size_t length, char separator)
{
	bool quoted = false;

	for (size_t i = 0; i < length; i++) {
		if (quoted && at[i] == '\\')
			i++;
		else if (at[i] == '"')
			quoted = !quoted;
		else if (!quoted && at[i] == separator)
			return i;
	}
	return length;
}

/* Takes the first element, trimmed, off a list. False at its end. */
static bool element_next(
	const char **list, size_t *left, char separator, const char **ret, size_t *ret_length)
{
	size_t n;

	if (!*left)
		return false;
	n = element_length(*list, *left, separator);
	*ret = *list;
	*ret_length = n;
	trim(ret, ret_length);
	if (n < *left)
		n++;
	*list += n;
	*left -= n;
	return true;
}

bool http_list_has(const char *value, size_t length, const char *lower)
{
	const char *element;
	size_t n;

	while (element_next(&value, &length, ',', &element, &n))
		if (http_equals_ignoring_case(element, n, lower))
			return true;
	return false;
}

/* q=0, q=0., q=0.000: RFC 9110 section 12.4.2 */
static bool weight_is_zero(const char *parameter, size_t length)
{
	if (length < 3 || (parameter[0] != 'q' && parameter[0] != 'Q') || parameter[1] != '=' ||
		parameter[2] != '0')
		return false;
	if (length > 3 && parameter[3] != '.')
		return false;
	for (size_t i = 4; i < length; i++)
		if (parameter[i] != '0')
			return false;
	return true;
}

void http_accept_add(const char *value, size_t length, bool *text, bool *json)
{
	const char *range;
	size_t n;

	while (element_next(&value, &length, ',', &range, &n)) {
		const char *name = NULL, *parameter;
		size_t name_length = 0, parameter_length;
		bool refused = false;

		if (!element_next(&range, &n, ';', &name, &name_length))
			continue;
		while (element_next(&range, &n, ';', &parameter, &parameter_length))
			if (weight_is_zero(parameter, parameter_length))
				refused = true;
		if (refused)
			continue;
		if (http_equals_ignoring_case(name, name_length, "text/plain"))
			*text = true;
		else if (http_equals_ignoring_case(name, name_length, "application/json"))
			*json = true;
	}
}
