#include "redis_codec.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

/* The limits below are lower than hiredis' own, which are there in every version of it. Of an
 * answer that goes past one of ours a function returns NULL; hiredis then says that it is out of
 * memory, and reads nothing any more. */
struct redis_reader {
	redisReader *hiredis;
	size_t used, text_used;
	struct fleet_element elements[REDIS_ELEMENTS_MAX];
	char text[REDIS_ANSWER_MAX];
};

static int depth_of(const redisReadTask *task)
{
	int depth = 0;

	while ((task = task->parent))
		depth++;
	return depth;
}

/* Where the element of a task goes: into its place in the array around it, which was claimed with
 * that, or first of all. */
static struct fleet_element *place(const redisReadTask *task)
{
	struct redis_reader *r = task->privdata;
	const struct fleet_element *parent = task->parent ? task->parent->obj : NULL;

	if (parent)
		return &r->elements[parent->items - r->elements + task->idx];
	r->used = 1;
	r->text_used = 0;
	return r->elements;
}

/* hiredis counts the two bytes behind a bulk string, and does not look at them. */
static bool ends_well(const redisReadTask *task, const char *bytes, size_t length)
{
	return task->type != REDIS_REPLY_STRING || !memcmp(bytes + length, "\r\n", 2);
}

static void *create_string(const redisReadTask *task, char *bytes, size_t length)
{
	struct redis_reader *r = task->privdata;
	struct fleet_element *e = place(task);
	bool known = task->type == REDIS_REPLY_STRING || task->type == REDIS_REPLY_STATUS ||
		     task->type == REDIS_REPLY_ERROR;

	if (!known || length > FLEET_TEXT_MAX || length > sizeof(r->text) - r->text_used ||
		!ends_well(task, bytes, length))
		return NULL;
	*e = (struct fleet_element){
		.type = task->type == REDIS_REPLY_ERROR ? FLEET_ELEMENT_ERROR : FLEET_ELEMENT_TEXT,
		.bytes = r->text + r->text_used,
		.length = length};
	memcpy(r->text + r->text_used, bytes, length);
	r->text_used += length;
	return e;
}

#if HIREDIS_MAJOR >= 1
static void *create_array(const redisReadTask *task, size_t count)
#else
static void *create_array(const redisReadTask *task, int count)
#endif
{
	struct redis_reader *r = task->privdata;
	struct fleet_element *e = place(task);
	size_t n = (size_t)count;

	if (task->type != REDIS_REPLY_ARRAY || n > REDIS_ITEMS_MAX ||
		depth_of(task) >= REDIS_DEPTH_MAX || n > REDIS_ELEMENTS_MAX - r->used)
		return NULL;
	*e = (struct fleet_element){
		.type = FLEET_ELEMENT_ARRAY, .items = &r->elements[r->used], .count = n};
	r->used += n;
	return e;
}

static void *create_integer(const redisReadTask *task, long long value)
{
	struct fleet_element *e = place(task);

	if (task->type != REDIS_REPLY_INTEGER)
		return NULL;
	*e = (struct fleet_element){.type = FLEET_ELEMENT_INTEGER, .integer = value};
	return e;
}

static void *create_nil(const redisReadTask *task)
{
	struct fleet_element *e = place(task);

	if (task->type == REDIS_REPLY_NIL) /* RESP3's, which nobody asked for */
		return NULL;
	*e = (struct fleet_element){.type = FLEET_ELEMENT_NIL};
	return e;
}

/* Of what was read before an error: it goes with the reader. */
static void free_element(void *e)
{
	(void)e;
}

#if HIREDIS_MAJOR >= 1
/* RESP3's as well. */
static void *create_double(const redisReadTask *task, double value, char *text, size_t length)
{
	(void)task, (void)value, (void)text, (void)length;
	return NULL;
}

static void *create_bool(const redisReadTask *task, int value)
{
	(void)task, (void)value;
	return NULL;
}
#endif

int redis_reader_new(struct redis_reader **ret)
{
	static redisReplyObjectFunctions functions = {
		.createString = create_string,
		.createArray = create_array,
		.createInteger = create_integer,
		.createNil = create_nil,
		.freeObject = free_element,
#if HIREDIS_MAJOR >= 1
		.createDouble = create_double,
		.createBool = create_bool,
#endif
	};
	struct redis_reader *r = malloc(sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->used = r->text_used = 0;
	r->hiredis = redisReaderCreateWithFunctions(&functions);
	if (!r->hiredis) {
		free(r);
		return -ENOMEM;
	}
	r->hiredis->privdata = r;
	*ret = r;
	return 0;
}

void redis_reader_free(struct redis_reader *r)
{
	if (!r)
		return;
	redisReaderFree(r->hiredis);
	free(r);
}

int redis_reader_feed(struct redis_reader *r, const char *bytes, size_t length)
{
	return redisReaderFeed(r->hiredis, bytes, length) == REDIS_OK ? 0 : -ENOMEM;
}

int redis_reader_next(struct redis_reader *r, const struct fleet_element **ret)
{
	void *whole = NULL;

	if (redisReaderGetReply(r->hiredis, &whole) != REDIS_OK)
		return -EPROTO;
	if (!whole)
		return r->hiredis->len - r->hiredis->pos > REDIS_ANSWER_MAX ? -EPROTO : 0;
	*ret = whole;
	return 1;
}

struct fleet_element *redis_element_copy(const struct fleet_element *e)
{
	size_t size = sizeof(*e) * (1 + e->count);
	struct fleet_element *copy, *items;
	char *text;

	if (e->type != FLEET_ELEMENT_ARRAY)
		return NULL;
	for (size_t i = 0; i < e->count; i++) {
		if (e->items[i].type != FLEET_ELEMENT_TEXT && e->items[i].type != FLEET_ELEMENT_NIL)
			return NULL;
		size += e->items[i].length;
	}
	copy = malloc(size);
	if (!copy)
		return NULL;
	items = copy + 1;
	text = (char *)(items + e->count);
	for (size_t i = 0; i < e->count; i++) {
		items[i] = e->items[i];
		if (!items[i].length)
			continue;
		memcpy(text, items[i].bytes, items[i].length);
		items[i].bytes = text;
		text += items[i].length;
	}
	*copy = *e;
	copy->items = items;
	return copy;
}

bool redis_element_is(const struct fleet_element *e, const char *text)
{
	return e->type == FLEET_ELEMENT_TEXT && e->length == strlen(text) &&
	       !memcmp(e->bytes, text, e->length);
}

static void write_header(struct buffer *out, char kind, size_t n)
{
	buffer_put_char(out, kind);
	buffer_put_unsigned(out, n);
	buffer_put_text(out, "\r\n");
}

/* By hand: hiredis' formatter would leave copies of a password behind. */
void redis_command_write(struct buffer *out, const struct redis_word *words, size_t count)
{
	write_header(out, '*', count);
	for (size_t i = 0; i < count; i++) {
		write_header(out, '$', words[i].length);
		buffer_put(out, words[i].bytes, words[i].length);
		buffer_put_text(out, "\r\n");
	}
}

/* ---- errors ---- */

static const struct {
	const char *code;
	bool leaves;
	const char *words;
} errors[] = {
	[REDIS_ERROR_OTHER] = {"", false, "it answered with an error that is not known here"},
	[REDIS_ERROR_NOAUTH] = {"NOAUTH", true,
		"it wants a password (NOAUTH): set fleet_user and "
		"fleet_password_file or fleet_password_credential"},
	[REDIS_ERROR_WRONGPASS] = {"WRONGPASS", true,
		"it refuses the user or the password (WRONGPASS)"},
	[REDIS_ERROR_NOPERM] = {"NOPERM", false,
		"its user may not do that (NOPERM): see the rights "
		"that a host of a fleet needs"},
	[REDIS_ERROR_NOSCRIPT] = {"NOSCRIPT", false,
		"it forgets the scripts that it is given (NOSCRIPT)"},
	[REDIS_ERROR_READONLY] = {"READONLY", true, "it is a replica (READONLY)"},
	[REDIS_ERROR_LOADING] = {"LOADING", true, "it is still loading its data (LOADING)"},
	[REDIS_ERROR_MASTERDOWN] = {"MASTERDOWN", true,
		"it is a replica without its primary (MASTERDOWN)"},
	[REDIS_ERROR_NOREPLICAS] = {"NOREPLICAS", true,
		"it has too few replicas to take writes (NOREPLICAS)"},
	[REDIS_ERROR_CLUSTERDOWN] = {"CLUSTERDOWN", true, "its cluster is down (CLUSTERDOWN)"},
	[REDIS_ERROR_MOVED] = {"MOVED", true,
		"it belongs to a Redis Cluster (MOVED), which fleets do not support: use a primary "
		"with "
		"replicas"},
	[REDIS_ERROR_OOM] = {"OOM", false, "it has no memory left (OOM)"},
	[REDIS_ERROR_MISCONF] = {"MISCONF", false,
		"it cannot write its data to disk and refuses changes (MISCONF)"},
	[REDIS_ERROR_BUSY] = {"BUSY", false, "somebody's script keeps it busy (BUSY)"},
	[REDIS_ERROR_WRONGTYPE] = {"WRONGTYPE", false,
		"one of its keys is not a fleet's (WRONGTYPE): fleet_prefix is used by something "
		"else"},
};
#define ERRORS (sizeof(errors) / sizeof(*errors))

static enum redis_error code_at(const char *bytes, size_t length)
{
	for (size_t i = 1; i < ERRORS; i++) {
		size_t n = strlen(errors[i].code);

		if (length >= n && !memcmp(bytes, errors[i].code, n) &&
			(length == n || bytes[n] == ' '))
			return (enum redis_error)i;
	}
	return REDIS_ERROR_OTHER;
}

/* Up to version 6 an error of a command in a script stands behind where it happened: "ERR Error
 * running script (call to f_...): @user_script:26: -READONLY You can't ...". */
enum redis_error redis_error_kind(const struct fleet_element *e)
{
	enum redis_error kind = code_at(e->bytes, e->length);

	if (kind || e->length < 4 || memcmp(e->bytes, "ERR ", 4) != 0)
		return kind;
	for (size_t i = 4; i + 1 < e->length && !kind; i++)
		if (e->bytes[i] == '-' && e->bytes[i - 1] == ' ')
			kind = code_at(e->bytes + i + 1, e->length - i - 1);
	return kind;
}

const char *redis_error_words(enum redis_error kind)
{
	return errors[kind].words;
}

bool redis_error_leaves(enum redis_error kind)
{
	return errors[kind].leaves;
}
