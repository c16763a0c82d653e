/* Bytes of the Redis protocol (RESP2), both ways. Answers are read by hiredis' reader, into
 * elements in memory of a fixed size: a server can make it hold so much and no more. */
#ifndef GCTOKEND_STORE_REDIS_CODEC_H
#define GCTOKEND_STORE_REDIS_CODEC_H

#include "core/buffer.h"
#include "core/fleet_reply.h"

#include <stdbool.h>
#include <stddef.h>

/* Of one answer; ROLE names each replica in an array of its own, HELLO each module, and in one more
 * what that was loaded with. */
#define REDIS_ITEMS_MAX 16
#define REDIS_DEPTH_MAX 4
#define REDIS_ELEMENTS_MAX 128
#define REDIS_ANSWER_MAX (16 * 1024)

struct redis_reader;

/* 0 or -ENOMEM. */
int redis_reader_new(struct redis_reader **ret);
/* NULL is fine. */
void redis_reader_free(struct redis_reader *r);
/* At most REDIS_FEED_MAX bytes, as they came; redis_reader_next is called until it says 0 before
 * the next. 0; -ENOMEM. */
#define REDIS_FEED_MAX 4096
int redis_reader_feed(struct redis_reader *r, const char *bytes, size_t length);
/* 1: *ret is the next answer, lent until either is called again. 0: there is no whole one yet.
 * -EPROTO: what came is no answer, or is larger than all that there are; nothing can be read any
 * more. */
int redis_reader_next(struct redis_reader *r, const struct fleet_element **ret);

/* An array of texts and nils, in one piece that is ended with free. NULL: it is something else, or
 * there is no memory. */
struct fleet_element *redis_element_copy(const struct fleet_element *e);
/* Is it the text? */
bool redis_element_is(const struct fleet_element *e, const char *text);

struct redis_word {
	const char *bytes;
	size_t length;
};

void redis_command_write(struct buffer *out, const struct redis_word *words, size_t count);

enum redis_error {
	REDIS_ERROR_OTHER,
	REDIS_ERROR_NOAUTH,
	REDIS_ERROR_WRONGPASS,
	REDIS_ERROR_NOPERM,
	REDIS_ERROR_NOSCRIPT,
	REDIS_ERROR_READONLY,
	REDIS_ERROR_LOADING,
	REDIS_ERROR_MASTERDOWN,
	REDIS_ERROR_NOREPLICAS,
	REDIS_ERROR_CLUSTERDOWN,
	REDIS_ERROR_MOVED,
	REDIS_ERROR_OOM,
	REDIS_ERROR_MISCONF,
	REDIS_ERROR_BUSY,
	REDIS_ERROR_WRONGTYPE,
};

/* Of an element that is an error, whether a command's own or that of one in a script. What the
 * server says beyond that goes nowhere: it might repeat what it was sent. */
enum redis_error redis_error_kind(const struct fleet_element *e);
/* What it means, for an operator. */
const char *redis_error_words(enum redis_error kind);
/* Nothing more can be had of this server for now: another one may be the primary. */
bool redis_error_leaves(enum redis_error kind);

#endif
