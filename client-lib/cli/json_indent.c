#include "json_indent.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <yajl/yajl_gen.h>
#include <yajl/yajl_parse.h>

#define ESCAPE_LENGTH 6

/* Each callback writes what it is told; only where that is refused does parsing end. */
static int good(yajl_gen_status status)
{
	return status == yajl_gen_status_ok || status == yajl_gen_generation_complete;
}

static int on_null(void *gen)
{
	return good(yajl_gen_null(gen));
}

static int on_bool(void *gen, int value)
{
	return good(yajl_gen_bool(gen, value));
}

/* As it is written: no digit is lost. */
static int on_number(void *gen, const char *text, size_t length)
{
	return good(yajl_gen_number(gen, text, length));
}

static int on_text(void *gen, const unsigned char *text, size_t length)
{
	return good(yajl_gen_string(gen, text, length));
}

static int on_map(void *gen)
{
	return good(yajl_gen_map_open(gen));
}

static int on_map_end(void *gen)
{
	return good(yajl_gen_map_close(gen));
}

static int on_array(void *gen)
{
	return good(yajl_gen_array_open(gen));
}

static int on_array_end(void *gen)
{
	return good(yajl_gen_array_close(gen));
}

static const yajl_callbacks callbacks = {
	.yajl_null = on_null,
	.yajl_boolean = on_bool,
	.yajl_number = on_number,
	.yajl_string = on_text,
	.yajl_start_map = on_map,
	.yajl_map_key = on_text,
	.yajl_end_map = on_map_end,
	.yajl_start_array = on_array,
	.yajl_end_array = on_array_end,
};

static bool pass_on(yajl_gen gen, const char *bytes, size_t length)
{
	yajl_handle parser = yajl_alloc(&callbacks, NULL, gen);
	bool done = parser &&
		    yajl_parse(parser, (const unsigned char *)bytes, length) == yajl_status_ok &&
		    yajl_complete_parse(parser) == yajl_status_ok;

	if (parser)
		yajl_free(parser);
	return done;
}

/* The length of the control character there that JSON needs no escape for and a terminal obeys:
 * DEL, or one of C1. 0: there is none. Only texts have any. */
static size_t control_at(const unsigned char *at, const unsigned char *end)
{
	if (*at == 0x7f)
		return 1;
	return *at == 0xc2 && end - at > 1 && at[1] < 0xa0 ? 2 : 0;
}

/* To be freed; NULL: there is no memory. */
static char *escape(const unsigned char *text, size_t n, size_t *ret_length)
{
	const unsigned char *end = text + n;
	size_t count = 0, length = 0, control;
	char *copy;

	for (const unsigned char *at = text; at < end; at++)
		count += control_at(at, end) > 0;
	copy = malloc(n + count * ESCAPE_LENGTH + 1);
	for (const unsigned char *at = text; copy && at < end; at += control ? control : 1) {
		control = control_at(at, end);
		if (control)
			length += (size_t)snprintf(
				copy + length, ESCAPE_LENGTH + 1, "\\u%04x", at[control - 1]);
		else
			copy[length++] = (char)*at;
	}
	if (copy)
		*ret_length = length;
	return copy;
}

char *json_indent(const char *bytes, size_t length, size_t *ret_length)
{
	yajl_gen gen = yajl_gen_alloc(NULL);
	const unsigned char *text;
	char *copy = NULL;
	size_t n;

	if (!gen)
		return NULL;
	yajl_gen_config(gen, yajl_gen_beautify, 1);
	yajl_gen_config(gen, yajl_gen_indent_string, "  ");
	if (pass_on(gen, bytes, length) && good(yajl_gen_get_buf(gen, &text, &n)))
		copy = escape(text, n, ret_length);
	yajl_gen_free(gen);
	return copy;
}
