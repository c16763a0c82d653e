/* Where a value of the page begins and ends is told by how many bytes the parser had consumed when
 * it announced it: behind a value's last byte, and behind an object's or array's opening one. */
#include "api_pages.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#define DEPTH_MAX 64

struct scan {
	struct api_page *page;
	yajl_handle parser;
	const char *json;
	size_t depth;
	bool in_list;     /* inside a list's array, at any depth */
	bool in_cursors;  /* inside the member "cursors" */
	size_t item_from; /* where the next item may begin */
	char key[32];     /* of the outermost object, "" for a longer one */
	char inner[32];   /* of the object in "cursors" */
	bool no_memory;
};

static size_t offset(const struct scan *s)
{
	return yajl_get_bytes_consumed(s->parser);
}

static bool is_list(const char *key)
{
	return !strcmp(key, "entities") || !strcmp(key, "resources") ||
	       !strcmp(key, "conversations") || !strcmp(key, "results");
}

/* Every value ends here, a scalar as well as an object or an array. */
static int value_ended(struct scan *s)
{
	struct api_page *p = s->page;
	size_t from = s->item_from, to = offset(s);

	if (!s->in_list || s->depth != 2)
		return 1;
	/* All that yajl skips, which is more than JSON's blanks. No string function: what was
	 * parsed need not end with a NUL. */
	while (from < to && memchr(" \t\r\n\v\f,", s->json[from], 7))
		from++;
	if (p->count == p->capacity) {
		size_t capacity = p->capacity ? p->capacity * 2 : 64;
		struct api_span *items = realloc(p->items, capacity * sizeof(*items));

		if (!items) {
			s->no_memory = true;
			return 0;
		}
		p->items = items;
		p->capacity = capacity;
	}
	p->items[p->count++] = (struct api_span){s->json + from, to - from};
	s->item_from = to;
	return 1;
}

static int on_other(void *context)
{
	return value_ended(context);
}

static int on_bool(void *context, int value)
{
	(void)value;
	return value_ended(context);
}

static int on_number(void *context, const char *text, size_t length)
{
	struct scan *s = context;
	char number[32];

	if (s->depth == 1 && length < sizeof(number)) {
		memcpy(number, text, length);
		number[length] = '\0';
		if (!strcmp(s->key, "pageNumber"))
			s->page->page_number = strtod(number, NULL);
		else if (!strcmp(s->key, "pageCount"))
			s->page->page_count = strtod(number, NULL);
	}
	return value_ended(s);
}

static void take(char *to, size_t size, const unsigned char *text, size_t length)
{
	if (length >= size || memchr(text, 0, length))
		return;
	memcpy(to, text, length);
	to[length] = '\0';
}

static int on_text(void *context, const unsigned char *text, size_t length)
{
	struct scan *s = context;
	struct api_page *p = s->page;

	if (s->depth == 1 && !strcmp(s->key, "nextUri"))
		take(p->next_uri, sizeof(p->next_uri), text, length);
	else if (s->depth == 1 && !strcmp(s->key, "cursor"))
		take(p->cursor, sizeof(p->cursor), text, length);
	else if (s->depth == 2 && s->in_cursors && !strcmp(s->inner, "after"))
		take(p->cursor_after, sizeof(p->cursor_after), text, length);
	return value_ended(s);
}

static int on_key(void *context, const unsigned char *key, size_t length)
{
	struct scan *s = context;
	char *to = s->depth == 1 ? s->key : s->inner;

	if (s->depth > 2)
		return 1;
	*to = '\0';
	take(to, sizeof(s->key), key, length);
	return 1;
}

static int on_open_object(void *context)
{
	struct scan *s = context;

	if (s->depth == 1)
		s->in_cursors = !strcmp(s->key, "cursors");
	return ++s->depth <= DEPTH_MAX;
}

static int on_open_array(void *context)
{
	struct scan *s = context;

	if (!s->depth)
		return 0; /* a page is an object */
	/* The first list that has something in it is the page's. */
	if (s->depth == 1 && is_list(s->key) && !s->page->count) {
		s->in_list = true;
		s->page->has_list = true;
		s->item_from = offset(s);
	}
	return ++s->depth <= DEPTH_MAX;
}

static int on_close_object(void *context)
{
	struct scan *s = context;

	s->depth--;
	if (s->depth == 1)
		s->in_cursors = false;
	return value_ended(s);
}

static int on_close_array(void *context)
{
	struct scan *s = context;

	s->depth--;
	if (s->depth == 1)
		s->in_list = false;
	return value_ended(s);
}

int api_page_read(const char *json, size_t length, struct api_page *ret)
{
	static const yajl_callbacks callbacks = {
		.yajl_null = on_other,
		.yajl_boolean = on_bool,
		.yajl_number = on_number,
		.yajl_string = on_text,
		.yajl_start_map = on_open_object,
		.yajl_map_key = on_key,
		.yajl_end_map = on_close_object,
		.yajl_start_array = on_open_array,
		.yajl_end_array = on_close_array,
	};
	struct scan s = {.page = ret, .json = json};
	bool good;

	memset(ret, 0, sizeof(*ret));
	s.parser = yajl_alloc(&callbacks, NULL, &s);
	if (!s.parser)
		return -ENOMEM;
	good = yajl_parse(s.parser, (const unsigned char *)json, length) == yajl_status_ok &&
	       yajl_complete_parse(s.parser) == yajl_status_ok;
	yajl_free(s.parser);
	return s.no_memory ? -ENOMEM : good ? 0 : -EBADMSG;
}

void api_page_fini(struct api_page *p)
{
	free(p->items);
	*p = (struct api_page){.items = NULL};
}
