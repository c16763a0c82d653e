#include "buffer.h"

#include "secret.h"
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buffer_init(struct buffer *b, char *storage, size_t size)
{
	*b = (struct buffer){.data = storage, .capacity = size};
}

void buffer_fini(struct buffer *b)
{
	secret_wipe(b->data, b->length);
	if (b->on_heap)
		free(b->data);
	*b = (struct buffer){0};
}

/* Never realloc: it would leave the old bytes, which may hold a token, unwiped. */
static bool buffer_reserve(struct buffer *b, size_t more)
{
	size_t capacity;
	char *data;

	if (b->failed)
		return false;
	if (more <= b->capacity - b->length)
		return true;
	if (more > SIZE_MAX / 4 - b->length) {
		b->failed = true;
		return false;
	}
	capacity = (b->length + more) * 2;
	data = malloc(capacity);
	if (!data) {
		b->failed = true;
		return false;
	}
	if (b->length) {
		memcpy(data, b->data, b->length);
		secret_wipe(b->data, b->length);
	}
	if (b->on_heap)
		free(b->data);
	b->data = data;
	b->capacity = capacity;
	b->on_heap = true;
	return true;
}

void buffer_put(struct buffer *b, const char *bytes, size_t length)
{
	if (!length || !buffer_reserve(b, length))
		return;
	memcpy(b->data + b->length, bytes, length);
	b->length += length;
}

char *buffer_claim(struct buffer *b, size_t length)
{
	if (!buffer_reserve(b, length))
		return NULL;
	b->length += length;
	return b->data + b->length - length;
}

void buffer_put_text(struct buffer *b, const char *text)
{
	buffer_put(b, text, strlen(text));
}

void buffer_put_char(struct buffer *b, char c)
{
	buffer_put(b, &c, 1);
}

void buffer_put_unsigned(struct buffer *b, uint64_t value)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	buffer_put(b, digits + at, sizeof(digits) - at);
}

void buffer_put_signed(struct buffer *b, int64_t value)
{
	if (value < 0)
		buffer_put_char(b, '-');
	buffer_put_unsigned(b, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void buffer_put_fixed(struct buffer *b, int64_t value, unsigned decimals)
{
	uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
	uint64_t scale = 1, fraction;

	for (unsigned i = 0; i < decimals; i++)
		scale *= 10;
	if (value < 0)
		buffer_put_char(b, '-');
	buffer_put_unsigned(b, magnitude / scale);
	if (!decimals)
		return;
	buffer_put_char(b, '.');
	fraction = magnitude % scale;
	for (scale /= 10; scale; scale /= 10)
		buffer_put_char(b, (char)('0' + fraction / scale % 10));
}

void buffer_printf(struct buffer *b, const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	if (length < 0) {
		b->failed = true;
		return;
	}
	/* one more for the NUL that vsnprintf insists on writing */
	if (!buffer_reserve(b, (size_t)length + 1))
		return;
	va_start(arguments, format);
	vsnprintf(b->data + b->length, (size_t)length + 1, format, arguments);
	va_end(arguments);
	b->length += (size_t)length;
}

/* How many bytes from `text` on stand for themselves in JSON: all of a token, most of the rest. */
static size_t plain_length(const unsigned char *text, size_t length)
{
	static const bool plain[256] = {
		[' ' ... '!'] = true, ['#' ... '['] = true, [']' ... '~'] = true};
	size_t n = 0;

	while (n < length && plain[text[n]])
		n++;
	return n;
}

void buffer_put_json_bytes(struct buffer *b, const char *text, size_t length)
{
	const unsigned char *at = (const unsigned char *)text;

	buffer_put_char(b, '"');
	while (length) {
		size_t n = plain_length(at, length);

		if (n) {
			buffer_put(b, (const char *)at, n);
			at += n;
			length -= n;
			continue;
		}
		n = utf8_length((const char *)at, length, NULL);
		if (!n) {
			buffer_put_text(b, "\xEF\xBF\xBD");
			n = 1;
		} else if (*at == '"' || *at == '\\') {
			buffer_put_char(b, '\\');
			buffer_put_char(b, (char)*at);
		} else if (*at < 0x20 || *at == 0x7F) {
			char escape[] = "\\u00xx";

			hex_write(at, 1, escape + 4);
			buffer_put_text(b, escape);
		} else {
			buffer_put(b, (const char *)at, n);
		}
		at += n;
		length -= n;
	}
	buffer_put_char(b, '"');
}

void buffer_put_json(struct buffer *b, const char *text)
{
	if (text)
		buffer_put_json_bytes(b, text, strlen(text));
	else
		buffer_put_text(b, "null");
}
