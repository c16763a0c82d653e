/* Bytes being written: starts in storage the caller lends, moves to the heap only when that is too
 * small. The serving path lends one large buffer and therefore never allocates. An allocation that
 * fails marks the buffer; the writers may be called on without checks, and the one place that sends
 * the bytes asks buffer_failed() once. */
#ifndef GCTOKEND_CORE_BUFFER_H
#define GCTOKEND_CORE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
	char *data;
	size_t length;
	size_t capacity;
	bool on_heap;
	bool failed;
};

/* Starts empty in `storage`, which must outlive the buffer. storage may be NULL with size 0. */
void buffer_init(struct buffer *b, char *storage, size_t size);
/* Wipes what was written, frees what was allocated, and starts empty in the heap-less state. */
void buffer_fini(struct buffer *b);
static inline bool buffer_failed(const struct buffer *b)
{
	return b->failed;
}

void buffer_put(struct buffer *b, const char *bytes, size_t length);
/* The place for that many bytes, which the caller writes, all of them; NULL: the buffer failed. */
char *buffer_claim(struct buffer *b, size_t length);
void buffer_put_text(struct buffer *b, const char *text);
void buffer_put_char(struct buffer *b, char c);
void buffer_put_unsigned(struct buffer *b, uint64_t value);
void buffer_put_signed(struct buffer *b, int64_t value);
/* value / 10^decimals with exactly `decimals` digits behind the point: never locale, never double.
 */
void buffer_put_fixed(struct buffer *b, int64_t value, unsigned decimals);
void buffer_printf(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A JSON string with its quotes; bytes that are not valid UTF-8 become U+FFFD. NULL becomes null.
 */
void buffer_put_json(struct buffer *b, const char *text);
void buffer_put_json_bytes(struct buffer *b, const char *text, size_t length);

#endif
