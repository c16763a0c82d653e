#include "http_response.h"
#include "core/secret.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum field {
	FIELD_DATE,
	FIELD_AGE,
	FIELD_RETRY_AFTER,
	FIELD_ININ_CORRELATION,
	FIELD_GENESYS_CORRELATION,
	FIELD_COUNT,
};

static const char *const field_names[FIELD_COUNT] = {
	[FIELD_DATE] = "Date",
	[FIELD_AGE] = "Age",
	[FIELD_RETRY_AFTER] = "Retry-After",
	[FIELD_ININ_CORRELATION] = "ININ-Correlation-Id",
	[FIELD_GENESYS_CORRELATION] = "Genesys-Correlation-Id",
};

static char *field_room(struct exchange *x, enum field f, size_t *ret_size)
{
	switch (f) {
	case FIELD_DATE:
		*ret_size = sizeof(x->date);
		return x->date;
	case FIELD_AGE:
		*ret_size = sizeof(x->age);
		return x->age;
	case FIELD_RETRY_AFTER:
		*ret_size = sizeof(x->retry_after);
		return x->retry_after;
	default:
		*ret_size = sizeof(x->correlation_id);
		return x->correlation_id;
	}
}

static bool blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool printable(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (text[i] < 0x20 || text[i] > 0x7e)
			return false;
	return true;
}

static bool refuse(struct http_response *r, const char *problem)
{
	r->problem = problem;
	return false;
}

/* "HTTP/1.1 200 OK" -> 200; 0 if it is no status line. */
static long status_read(const char *line, size_t length)
{
	const char *at = memchr(line, ' ', length);
	const char *end = line + length;
	long status = 0;

	if (length < 5 || strncasecmp(line, "HTTP/", 5) != 0 || !at)
		return 0;
	at++;
	if (end - at < 3 || (end - at > 3 && at[3] >= '0' && at[3] <= '9'))
		return 0;
	for (int i = 0; i < 3; i++) {
		if (at[i] < '0' || at[i] > '9')
			return 0;
		status = status * 10 + (at[i] - '0');
	}
	return status;
}

/* What a field that cannot be used leaves: nothing. But that there is an Age tells that a cache may
 * have answered: it must not look absent. */
static void field_void(struct exchange *x, char *room)
{
	strcpy(room, room == x->age ? "?" : "");
}

/* A field that is repeated, folded, too long or not plain text is no evidence of anything. */
static void field_take(
	struct http_response *r, struct exchange *x, enum field f, const char *value, size_t length)
{
	bool first = !(r->seen & 1u << f);
	size_t size;
	char *room = field_room(x, f, &size);

	/* Both spellings share one room; where a server sends both, the first stands. */
	if (f == FIELD_GENESYS_CORRELATION && r->seen & 1u << FIELD_ININ_CORRELATION)
		return;
	if (f == FIELD_ININ_CORRELATION && r->seen & 1u << FIELD_GENESYS_CORRELATION)
		return;
	r->seen |= 1u << f;
	r->folding = room;
	field_void(x, room);
	if (!first || length >= size || !printable(value, length))
		return;
	memcpy(room, value, length);
	room[length] = '\0';
}

static void field_read(struct http_response *r, struct exchange *x, const char *line, size_t length)
{
	const char *colon = memchr(line, ':', length);
	const char *value, *end = line + length;
	size_t name_length;

	r->folding = NULL;
	if (!colon)
		return;
	name_length = (size_t)(colon - line);
	value = colon + 1;
	while (value < end && blank(*value))
		value++;
	while (end > value && blank(end[-1]))
		end--;
	for (int f = 0; f < FIELD_COUNT; f++)
		if (strlen(field_names[f]) == name_length &&
			strncasecmp(line, field_names[f], name_length) == 0)
			field_take(r, x, (enum field)f, value, (size_t)(end - value));
}

bool http_response_header_line(struct http_response *r, struct exchange *x, const char *line,
	size_t length, bool *ret_final)
{
	*ret_final = false;
	r->header_bytes += length;
	if (r->header_bytes > HTTP_RESPONSE_HEADER_MAX)
		return refuse(r, "the response header is larger than 64 KiB");
	if (++r->header_lines > HTTP_RESPONSE_HEADER_LINES_MAX)
		return refuse(r, "the response header has more than 1000 lines");

	while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == '\r'))
		length--;
	if (r->part == HTTP_RESPONSE_STATUS) {
		/* Lines of a 1xx response come here too and are none. */
		long status = status_read(line, length);

		if (status < 200)
			return true;
		x->status = status;
		r->part = HTTP_RESPONSE_HEADER;
		*ret_final = true;
	} else if (r->part == HTTP_RESPONSE_HEADER) {
		if (length == 0)
			r->part = HTTP_RESPONSE_CONTENT;
		else if (!blank(*line))
			field_read(r, x, line, length);
		else if (r->folding)
			field_void(x, r->folding);
	}
	return true;
}

bool http_response_body(struct http_response *r, const char *bytes, size_t length)
{
	r->oversize = length > HTTP_RESPONSE_BODY_MAX - r->body_length;
	if (r->oversize)
		return refuse(r, "response larger than 64 KiB");
	/* All of it at once: growing would leave copies of a token behind. */
	if (!r->body)
		r->body = malloc(HTTP_RESPONSE_BODY_MAX + 1);
	if (!r->body)
		return refuse(r, "out of memory");
	memcpy(r->body + r->body_length, bytes, length);
	r->body_length += length;
	r->body[r->body_length] = '\0';
	return true;
}

void http_response_fini(struct http_response *r)
{
	secret_wipe(r->body, r->body_length);
	free(r->body);
	*r = HTTP_RESPONSE_NONE;
}
