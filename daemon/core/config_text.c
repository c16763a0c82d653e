/* inih splits a line into name, value and comment. Everything else about it is unfit for a file
 * that must be read exactly or refused: its handler does not learn line numbers; it cuts section
 * names at 49 bytes, so that two long profile names could become one; a section without keys goes
 * unnoticed; a long line is split in two; an indented line is added to the value above; only the
 * first syntax error has a line; NUL ends a line early.
 *
 * So the reader callback, which inih asks for lines, does the judging: it keeps section lines and
 * comments to itself, reports what inih would misread, and passes on only lines that can be nothing
 * but `name = value`. If inih asks for the next line without having called the handler for the
 * last, that one was malformed. */
#include "config_text.h"
#include <ini.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define BOM "\xef\xbb\xbf" /* of UTF-8 */

struct reader {
	const struct config_text_handler *handler;
	const char *at;
	const char *end;
	unsigned line;
	bool offered; /* inih holds a line the handler has not been called for */
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static void report(struct reader *r, const char *message)
{
	r->handler->problem(r->handler->context, r->line, message);
}

static void reader_settle(struct reader *r)
{
	if (r->offered)
		report(r, "no '=' in this line; allowed: [section], key = value, # comment");
	r->offered = false;
}

static void section_broken(struct reader *r, const char *message)
{
	report(r, message);
	r->handler->section(r->handler->context, r->line, NULL);
}

static void read_section(struct reader *r, const char *line, size_t length)
{
	const char *close = memchr(line, ']', length);
	const char *from = line + 1;
	const char *to = close;
	const char *rest;
	char inside[256];

	if (!close) {
		section_broken(r, "a section without its ']'; allowed: [broker], [profile NAME]");
		return;
	}
	rest = close + 1;
	while (rest < line + length && is_blank(*rest))
		rest++;
	/* As with values, a comment needs white space before it. */
	if (rest < line + length && (*rest != ';' || rest == close + 1)) {
		section_broken(r,
			"something follows the section's ']'; its keys go on lines of their own");
		return;
	}
	while (from < to && is_blank(*from))
		from++;
	while (to > from && is_blank(to[-1]))
		to--;
	if ((size_t)(to - from) >= sizeof(inside)) {
		section_broken(
			r, "a section name of this length; allowed: [broker], [profile NAME]");
		return;
	}
	memcpy(inside, from, (size_t)(to - from));
	inside[to - from] = '\0';
	r->handler->section(r->handler->context, r->line, inside);
}

/* True: the line is for inih. */
static bool line_judge(struct reader *r, const char *line, size_t length, size_t length_max)
{
	size_t first = 0;
	char message[160];

	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)line[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f) {
			snprintf(message, sizeof(message),
				"a control character (0x%02x) in this line; only text and tabs are "
				"allowed",
				c);
			report(r, message);
			return false;
		}
	}
	while (first < length && is_blank(line[first]))
		first++;
	if (first == length || line[first] == '#' || line[first] == ';')
		return false;
	if (length > length_max) {
		snprintf(
			message, sizeof(message), "this line is longer than %zu bytes", length_max);
		report(r, message);
		return false;
	}
	/* inih would skip it in the first line that it gets, which need not be the file's. */
	if (length >= 3 && memcmp(line, BOM, 3) == 0) {
		report(r, "a byte order mark; it may stand at the file's beginning only");
		return false;
	}
	if (first > 0) {
		report(r, "this line starts with white space; a value cannot go on over several "
			  "lines, and keys and sections start at the line's beginning");
		return false;
	}
	if (line[0] == '[') {
		read_section(r, line, length);
		return false;
	}
	if (line[0] == '=' || line[0] == ':') {
		report(r, "no key before the '='");
		return false;
	}
	return true;
}

static char *next_line(char *buffer, int size, void *context)
{
	struct reader *r = context;

	if (size < 3)
		return NULL;
	reader_settle(r);
	while (r->at < r->end) {
		const char *line = r->at;
		const char *newline = memchr(line, '\n', (size_t)(r->end - line));
		size_t length = (size_t)((newline ? newline : r->end) - line);

		r->at = newline ? newline + 1 : r->end;
		r->line++;
		if (r->line == 1 && length >= 3 && memcmp(line, BOM, 3) == 0) {
			line += 3;
			length -= 3;
		}
		if (newline && length > 0 && line[length - 1] == '\r')
			length--;
		if (line_judge(r, line, length, (size_t)size - 2)) {
			memcpy(buffer, line, length);
			buffer[length] = '\n';
			buffer[length + 1] = '\0';
			r->offered = true;
			return buffer;
		}
	}
	return NULL;
}

static int line_split(void *context, const char *section, const char *name, const char *value)
{
	struct reader *r = context;

	(void)section;
	r->offered = false;
	r->handler->setting(r->handler->context, r->line, name, value);
	return 1;
}

void config_text_read(const char *text, size_t length, const struct config_text_handler *handler)
{
	struct reader r = {.handler = handler, .at = text, .end = text + length};
	int saved = ini_max_line;

	/* 200 bytes are too few for a list of users. The knob is a variable of the library's;
	 * nobody else in the process uses inih, and it is put back. */
	ini_max_line = CONFIG_LINE_MAX + 2;
	ini_parse_stream(next_line, &r, line_split, &r);
	ini_max_line = saved;
	reader_settle(&r);
}
