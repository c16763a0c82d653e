#include "config_text.h"
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define BOM "\xef\xbb\xbf" /* of UTF-8 */

struct reader {
	const struct config_text_handler *handler;
	unsigned line;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Where it stands: what comes back points into `text`. */
static char *trim(char *text)
{
	size_t length;

	text += strspn(text, " \t");
	length = strlen(text);
	while (length > 0 && is_blank(text[length - 1]))
		length--;
	text[length] = '\0';
	return text;
}

static void report(struct reader *r, const char *message)
{
	r->handler->problem(r->handler->context, r->line, message);
}

static void section_broken(struct reader *r, const char *message)
{
	report(r, message);
	r->handler->section(r->handler->context, r->line, NULL);
}

/* `line` is a copy that may be changed, here and below. */
static void read_section(struct reader *r, char *line)
{
	char *close = strchr(line, ']');
	const char *rest;
	char *inside;

	if (!close) {
		section_broken(r, "a section without its ']'; allowed: [broker], [profile NAME]");
		return;
	}
	rest = close + 1 + strspn(close + 1, " \t");
	/* As with values, a comment needs white space before it. */
	if (*rest && (*rest != ';' || rest == close + 1)) {
		section_broken(r,
			"something follows the section's ']'; its keys go on lines of their own");
		return;
	}
	*close = '\0';
	inside = trim(line + 1);
	if (strlen(inside) > CONFIG_SECTION_MAX) {
		section_broken(
			r, "a section name that is too long; allowed: [broker], [profile NAME]");
		return;
	}
	r->handler->section(r->handler->context, r->line, inside);
}

/* Where one of `stops` or a comment begins, or the text ends. */
static char *find(char *text, const char *stops)
{
	char *at = text;

	while (*at && !strchr(stops, *at) && !(*at == ';' && at > text && is_blank(at[-1])))
		at++;
	return at;
}

static void read_setting(struct reader *r, char *line)
{
	char *divider = find(line, "=:");

	if (*divider != '=' && *divider != ':') {
		report(r, "no '=' in this line; allowed: [section], key = value, # comment");
		return;
	}
	*divider = '\0';
	*find(divider + 1, "") = '\0';
	r->handler->setting(r->handler->context, r->line, trim(line), trim(divider + 1));
}

static void read_line(struct reader *r, const char *line, size_t length)
{
	char copy[CONFIG_LINE_MAX + 1];
	char message[160];
	size_t first = 0;

	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)line[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f) {
			snprintf(message, sizeof(message),
				"a control character (0x%02x) in this line; only text and tabs are "
				"allowed",
				c);
			report(r, message);
			return;
		}
	}
	while (first < length && is_blank(line[first]))
		first++;
	if (first == length || line[first] == '#' || line[first] == ';')
		return;
	if (length > CONFIG_LINE_MAX) {
		snprintf(message, sizeof(message), "this line is longer than %d bytes",
			CONFIG_LINE_MAX);
		report(r, message);
		return;
	}
	memcpy(copy, line, length);
	copy[length] = '\0';
	if (strncmp(copy, BOM, strlen(BOM)) == 0)
		report(r, "a byte order mark; it may stand at the file's beginning only");
	else if (first > 0)
		report(r, "this line starts with white space; a value cannot go on over several "
			  "lines, and keys and sections start at the line's beginning");
	else if (copy[0] == '[')
		read_section(r, copy);
	else if (copy[0] == '=' || copy[0] == ':')
		report(r, "no key before the '='");
	else
		read_setting(r, copy);
}

void config_text_read(const char *text, size_t length, const struct config_text_handler *handler)
{
	struct reader r = {.handler = handler};
	const char *at = text, *end = text + length;

	if (length >= strlen(BOM) && memcmp(text, BOM, strlen(BOM)) == 0)
		at += strlen(BOM);
	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		const char *line_end = newline ? newline : end;

		r.line++;
		if (newline && line_end > at && line_end[-1] == '\r')
			line_end--;
		read_line(&r, at, (size_t)(line_end - at));
		at = newline ? newline + 1 : end;
	}
}
