/* yajl by its callbacks, never its tree: the tree recurses and cuts strings at a NUL. yajl itself
 * takes any escape, overlong UTF-8 and more kinds of white space than JSON has, so what would be
 * read in another way elsewhere is looked for before it runs. What follows the object is looked at
 * after it: half a string or word there is an end of the text to yajl. */
#include "json.h"
#include "secret.h"
#include "text.h"
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>

/* Keys are remembered by hash, so that nothing has to be copied or compared at length. Two
 * different keys with one hash are refused as well; that needs someone who wants it. */
struct key_seen {
	uint64_t hash;
	unsigned depth;
};

struct reader {
	json_member *member;
	void *context;
	const char *problem;
	int error; /* what stopped it, 0 if yajl did */
	unsigned depth;
	char *key; /* of the outermost object, the one whose value comes next */
	size_t key_length;
	size_t seen_count;
	struct key_seen seen[JSON_MEMBERS_MAX];
};

/* yajl does not check its allocations. So it gets all it can ever want in one piece, before: a
 * handle and stacks that the depth bounds, and two buffers (strings unescaped, a token cut by the
 * end) that start at 2 KiB, never hold more than the text and grow by doubling, which leaves less
 * than four times the text behind in each. Wiped as a whole at the end. */
#define ARENA_FIXED (32 * 1024)
#define ARENA_PER_BYTE 8

struct arena {
	char *memory;
	size_t size;
	size_t used;
};

struct block {
	_Alignas(max_align_t) size_t size;
};

static void *arena_malloc(void *context, size_t size)
{
	struct arena *a = context;
	size_t left = a->size - a->used;
	size_t align = _Alignof(struct block);
	struct block *b;

	if (left < sizeof(*b) || size > left - sizeof(*b))
		return NULL;
	b = (struct block *)(void *)(a->memory + a->used);
	b->size = size;
	a->used += sizeof(*b) + size;
	a->used += (align - a->used % align) % align;
	if (a->used > a->size)
		a->used = a->size;
	return b + 1;
}

static void arena_free(void *context, void *p)
{
	(void)context;
	(void)p;
}

static void *arena_realloc(void *context, void *p, size_t size)
{
	void *moved = arena_malloc(context, size);
	size_t old = p ? ((struct block *)p)[-1].size : 0;

	if (moved && p)
		memcpy(moved, p, size < old ? size : old);
	return moved;
}

static int stop(struct reader *r, int error, const char *problem)
{
	r->error = error;
	r->problem = problem;
	return 0; /* tells yajl to stop */
}

static int value_read(struct reader *r, enum json_kind kind, const char *text, size_t length)
{
	int error;

	if (r->depth == 0)
		return stop(r, -EBADMSG, "is JSON, but not an object");
	if (r->depth > 1 || !r->key)
		return 1;
	error = r->member(r->context, r->key, r->key_length, kind, text, length);
	free(r->key);
	r->key = NULL;
	return error ? stop(r, error, NULL) : 1;
}

static int on_null(void *context)
{
	return value_read(context, JSON_OTHER, NULL, 0);
}

static int on_boolean(void *context, int value)
{
	(void)value;
	return value_read(context, JSON_OTHER, NULL, 0);
}

static int on_number(void *context, const char *text, size_t length)
{
	return value_read(context, JSON_NUMBER, text, length);
}

static int on_string(void *context, const unsigned char *text, size_t length)
{
	return value_read(context, JSON_STRING, (const char *)text, length);
}

static int deeper(struct reader *r)
{
	if (r->depth == JSON_DEPTH_MAX)
		return stop(r, -EBADMSG, "is nested too deeply");
	r->depth++;
	return 1;
}

static int on_start_map(void *context)
{
	struct reader *r = context;

	if (r->depth == 1 && !value_read(r, JSON_OTHER, NULL, 0))
		return 0;
	return deeper(r);
}

static int on_end_map(void *context)
{
	struct reader *r = context;

	while (r->seen_count > 0 && r->seen[r->seen_count - 1].depth == r->depth)
		r->seen_count--;
	r->depth--;
	return 1;
}

static int on_start_array(void *context)
{
	struct reader *r = context;

	if (r->depth <= 1 && !value_read(r, JSON_OTHER, NULL, 0))
		return 0;
	return deeper(r);
}

static int on_end_array(void *context)
{
	struct reader *r = context;

	r->depth--;
	return 1;
}

/* FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/ */
static uint64_t key_hash(const unsigned char *key, size_t length)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ key[i]) * UINT64_C(0x100000001b3);
	return hash;
}

static int on_key(void *context, const unsigned char *key, size_t length)
{
	struct reader *r = context;
	uint64_t hash = key_hash(key, length);

	for (size_t i = r->seen_count; i > 0 && r->seen[i - 1].depth == r->depth; i--)
		if (r->seen[i - 1].hash == hash)
			return stop(r, -EBADMSG, "has a key twice");
	if (r->seen_count == JSON_MEMBERS_MAX)
		return stop(r, -EBADMSG, "has too many members");
	r->seen[r->seen_count++] = (struct key_seen){.hash = hash, .depth = r->depth};
	if (r->depth > 1)
		return 1;
	r->key = malloc(length + 1);
	if (!r->key)
		return stop(r, -ENOMEM, NULL);
	memcpy(r->key, key, length);
	r->key_length = length;
	return 1;
}

static const yajl_callbacks callbacks = {
	.yajl_null = on_null,
	.yajl_boolean = on_boolean,
	.yajl_number = on_number,
	.yajl_string = on_string,
	.yajl_start_map = on_start_map,
	.yajl_map_key = on_key,
	.yajl_end_map = on_end_map,
	.yajl_start_array = on_start_array,
	.yajl_end_array = on_end_array,
};

/* The code unit of the \uXXXX at the front, -1 if there is none. */
static int code_unit(const char *at, const char *end)
{
	unsigned char unit[2];

	if (end - at < 6 || at[0] != '\\' || at[1] != 'u' || !hex_read(at + 2, 2, unit))
		return -1;
	return unit[0] << 8 | unit[1];
}

/* In JSON a backslash stands in strings only, so that they can be looked at without a parser; one
 * anywhere else is yajl's to refuse, like an escape that is malformed. */
static const char *escape_problem(const char *bytes, size_t length)
{
	const char *end = bytes + length;
	const char *at = bytes;

	while ((at = memchr(at, '\\', (size_t)(end - at)))) {
		int unit = code_unit(at, end);

		if (unit < 0) {
			at += end - at >= 2 ? 2 : 1;
			continue;
		}
		if (unit == 0)
			return "has \\u0000 in a string";
		at += 6;
		if (unit >= 0xdc00 && unit <= 0xdfff)
			return "has half a surrogate pair in a string";
		if (unit >= 0xd800 && unit <= 0xdbff) {
			unit = code_unit(at, end);
			if (unit < 0xdc00 || unit > 0xdfff)
				return "has half a surrogate pair in a string";
			at += 6;
		}
	}
	return NULL;
}

/* yajl looks at the lead and continuation bits alone. */
static bool utf8_valid(const char *bytes, size_t length)
{
	size_t n;

	for (; length; bytes += n, length -= n) {
		n = utf8_length(bytes, length, NULL);
		if (!n)
			return false;
	}
	return true;
}

/* RFC 8259 section 2: of the control characters only these are white space. */
static bool controls_valid(const char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)bytes[i] < 0x20 && bytes[i] != '\t' && bytes[i] != '\n' &&
			bytes[i] != '\r')
			return false;
	return true;
}

static const char *bytes_problem(const char *bytes, size_t length)
{
	if (!utf8_valid(bytes, length))
		return "is not UTF-8";
	if (!controls_valid(bytes, length))
		return "is not valid JSON";
	return escape_problem(bytes, length);
}

static bool is_blank(const char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (!memchr(" \t\n\r", bytes[i], 4))
			return false;
	return true;
}

int json_read_object(const char *bytes, size_t length, json_member *member, void *context,
	const char **ret_problem)
{
	struct arena arena = {.size = ARENA_FIXED + ARENA_PER_BYTE * length};
	yajl_alloc_funcs memory = {.malloc = arena_malloc,
		.realloc = arena_realloc,
		.free = arena_free,
		.ctx = &arena};
	struct reader r = {.member = member, .context = context};
	yajl_status status;
	yajl_handle yajl;
	size_t consumed;

	r.problem = bytes_problem(bytes, length);
	if (r.problem) {
		*ret_problem = r.problem;
		return -EBADMSG;
	}
	arena.memory = malloc(arena.size);
	if (!arena.memory)
		return -ENOMEM;
	yajl = yajl_alloc(&callbacks, &memory, &r);
	if (!yajl) { /* not with an arena of this size; but then not a crash either */
		free(arena.memory);
		return -ENOMEM;
	}
	yajl_config(yajl, yajl_allow_trailing_garbage, 1);
	status = yajl_parse(yajl, (const unsigned char *)bytes, length);
	consumed = yajl_get_bytes_consumed(yajl);
	if (status == yajl_status_ok)
		status = yajl_complete_parse(yajl);
	if (status == yajl_status_ok && !is_blank(bytes + consumed, length - consumed))
		status = yajl_status_error;
	yajl_free(yajl);
	secret_wipe(arena.memory, arena.used);
	free(arena.memory);
	free(r.key);
	if (status == yajl_status_ok)
		return 0;
	if (!r.error) {
		r.error = -EBADMSG;
		r.problem = "is not valid JSON";
	}
	if (r.problem)
		*ret_problem = r.problem;
	return r.error;
}
