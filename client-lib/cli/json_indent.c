#include "json_indent.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_gen.h>
#include <yajl/yajl_parse.h>

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
	if (pass_on(gen, bytes, length) && good(yajl_gen_get_buf(gen, &text, &n))) {
		copy = malloc(n);
		if (copy) {
			memcpy(copy, text, n);
			*ret_length = n;
		}
	}
	yajl_gen_free(gen);
	return copy;
}
