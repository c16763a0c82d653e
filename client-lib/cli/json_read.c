#include "json_read.h"

#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#define DEPTH_MAX 8
#define NUMBER_MAX 1e16
#define PATH_MAX_LENGTH 256

struct level {
	bool is_array;
	size_t length; /* of the path up to and with this level */
	size_t elements;
};

struct reader {
	json_seen *seen;
	void *context;
	struct level levels[DEPTH_MAX];
	size_t depth;
	char path[PATH_MAX_LENGTH];
};

static size_t outermost_index(const struct reader *r)
{
	size_t i;

	for (i = 0; i < r->depth; i++)
		if (r->levels[i].is_array)
			return r->levels[i].elements - 1;
	return 0;
}

/* Every value, scalar or not, is announced here first. */
static void count_element(struct reader *r)
{
	if (r->depth && r->levels[r->depth - 1].is_array)
		r->levels[r->depth - 1].elements++;
}

static int scalar(struct reader *r, enum json_type type, const char *text, size_t length)
{
	struct json_value v = {r->path, 0, type, text, length};

	count_element(r);
	v.index = outermost_index(r);
	r->seen(r->context, &v);
	return 1;
}

static int on_null(void *context)
{
	return scalar(context, JSON_NULL, "", 0);
}

static int on_bool(void *context, int value)
{
	return scalar(context, JSON_BOOL, value ? "true" : "false", value ? 4 : 5);
}

static int on_number(void *context, const char *text, size_t length)
{
	return scalar(context, JSON_NUMBER, text, length);
}

static int on_text(void *context, const unsigned char *text, size_t length)
{
	return scalar(context, JSON_TEXT, (const char *)text, length);
}

static int open_level(struct reader *r, bool is_array)
{
	size_t length = strlen(r->path);

	count_element(r);
	if (r->depth == DEPTH_MAX || length + 3 > sizeof(r->path))
		return 0;
	if (is_array)
		strcpy(r->path + length, "[]");
	r->levels[r->depth++] = (struct level){is_array, strlen(r->path), 0};
	return 1;
}

static int close_level(struct reader *r)
{
	struct level *outer;

	r->depth--;
	outer = r->depth ? &r->levels[r->depth - 1] : NULL;
	/* Inside an array the path ends with its [] again; behind an object's member the next key
	 * cuts it. */
	r->path[outer ? outer->length : 0] = '\0';
	return 1;
}

static int on_map_open(void *context)
{
	return open_level(context, false);
}

static int on_map_key(void *context, const unsigned char *key, size_t length)
{
	struct reader *r = context;
	size_t at = r->levels[r->depth - 1].length;

	if (at + 1 + length + 1 > sizeof(r->path))
		return 0;
	if (at)
		r->path[at++] = '.';
	memcpy(r->path + at, key, length);
	r->path[at + length] = '\0';
	return 1;
}

static int on_array_open(void *context)
{
	return open_level(context, true);
}

static int on_close(void *context)
{
	return close_level(context);
}

bool json_read(const char *bytes, size_t length, json_seen *seen, void *context)
{
	static const yajl_callbacks callbacks = {
		.yajl_null = on_null,
		.yajl_boolean = on_bool,
		.yajl_number = on_number,
		.yajl_string = on_text,
		.yajl_start_map = on_map_open,
		.yajl_map_key = on_map_key,
		.yajl_end_map = on_close,
		.yajl_start_array = on_array_open,
		.yajl_end_array = on_close,
	};
	struct reader r = {.seen = seen, .context = context};
	yajl_handle parser = yajl_alloc(&callbacks, NULL, &r);
	bool good;

	if (!parser)
		return false;
	good = yajl_parse(parser, (const unsigned char *)bytes, length) == yajl_status_ok &&
	       yajl_complete_parse(parser) == yajl_status_ok;
	yajl_free(parser);
	return good;
}

bool json_take_text(const struct json_value *v, const char *path, char *ret, size_t size)
{
	size_t i, n;

	if (v->type != JSON_TEXT || strcmp(v->path, path))
		return false;
	n = v->length < size - 1 ? v->length : size - 1;
	for (i = 0; i < n; i++)
		ret[i] = v->text[i] >= 0x20 && v->text[i] <= 0x7e ? v->text[i] : '?';
	ret[n] = '\0';
	return true;
}

bool json_take_number(const struct json_value *v, const char *path, double *ret)
{
	char text[64];
	double number;

	if (v->type != JSON_NUMBER || strcmp(v->path, path) || v->length >= sizeof(text))
		return false;
	memcpy(text, v->text, v->length);
	text[v->length] = '\0';
	number = strtod(text, NULL);
	if (!(number >= -NUMBER_MAX && number <= NUMBER_MAX))
		return false;
	*ret = number;
	return true;
}
