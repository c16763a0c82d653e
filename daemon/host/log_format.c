#include "log_format.h"
#include "core/text.h"
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Room kept for what ends a record whatever it contains: the dots and the line's end. All fields
 * together are far below the limit, so that only the message, which stands last, can reach it. */
#define TAIL_MAX 4
#define FIELD_MAX 128

struct sink {
	char *out;
	size_t length;
	size_t limit;
	bool full;
};

static void put(struct sink *s, const char *bytes, size_t count)
{
	if (s->full || s->length + count > s->limit) {
		s->full = true;
		return;
	}
	memcpy(s->out + s->length, bytes, count);
	s->length += count;
}

static void put_text(struct sink *s, const char *text)
{
	put(s, text, strlen(text));
}

/* The length of the printable UTF-8 character at `p`, 0 if there is none: control characters of
 * both ASCII and Latin-1 are refused, and the two separators that some readers take for a line's
 * end. */
static size_t printable_length(const char *p, size_t left)
{
	uint32_t c;
	size_t length = utf8_length(p, left, &c);

	if (length && (c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029))
		return 0;
	return length;
}

/* At most `max` bytes; what had to be cut ends in dots. */
static void put_escaped(struct sink *s, const char *text, size_t max)
{
	size_t left = strlen(text);
	struct sink part = *s;

	if (part.limit > part.length + max)
		part.limit = part.length + max;
	while (left && !part.full) {
		size_t length = printable_length(text, left);

		if (length > 0) {
			put(&part, text, length);
		} else {
			char escape[] = "\\xNN";

			length = 1;
			hex_write(text, 1, escape + 2);
			put(&part, escape, 4);
		}
		text += length;
		left -= length;
	}
	s->length = part.length;
	if (part.full) {
		memcpy(s->out + s->length, "...", 3);
		s->length += 3;
	}
}

/* Most people read the message alone, so the profile is in it, too. */
static void put_message(struct sink *s, const struct log_record *r)
{
	if (r->profile) {
		put_escaped(s, r->profile, FIELD_MAX);
		put_text(s, ": ");
	}
	put_escaped(s, r->message, LOG_RECORD_MAX);
}

size_t log_format_line(const struct log_record *r, char out[LOG_RECORD_MAX])
{
	struct sink s = {.out = out, .limit = LOG_RECORD_MAX - TAIL_MAX};
	char prefix[16];

	snprintf(prefix, sizeof(prefix), "<%d>", r->priority & 7);
	put_text(&s, prefix);
	put_message(&s, r);
	out[s.length++] = '\n';
	return s.length;
}

static void put_field(struct sink *s, const char *name, const char *value)
{
	put_text(s, name);
	put_text(s, "=");
	put_escaped(s, value, FIELD_MAX);
	put_text(s, "\n");
}

size_t log_format_journal(const struct log_record *r, char out[LOG_RECORD_MAX])
{
	struct sink s = {.out = out, .limit = LOG_RECORD_MAX - TAIL_MAX};
	char number[24];

	snprintf(number, sizeof(number), "%d", r->priority & 7);
	put_field(&s, "PRIORITY", number);
	put_field(&s, "SYSLOG_IDENTIFIER", "gctokend");
	if (r->message_id)
		put_field(&s, "MESSAGE_ID", r->message_id);
	if (r->profile)
		put_field(&s, "GCTOKEN_PROFILE", r->profile);
	if (r->generation > 0) {
		snprintf(number, sizeof(number), "%" PRIu64, r->generation);
		put_field(&s, "GCTOKEN_GENERATION", number);
	}
	put_text(&s, "MESSAGE=");
	put_message(&s, r);
	out[s.length++] = '\n';
	return s.length;
}
