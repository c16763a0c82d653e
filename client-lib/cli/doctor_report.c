#include "doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const words_of[] = {"ok", "problem", "unknown"};

static void make_plain(char *text)
{
	for (; *text; text++)
		if ((*text < 0x20 && *text != '\n') || *text > 0x7e)
			*text = '?';
}

static void print_json_text(const char *text)
{
	if (!text) {
		fputs("null", stdout);
		return;
	}
	putchar('"');
	for (; *text; text++) {
		if (*text == '\n') {
			fputs("\\n", stdout);
			continue;
		}
		if (*text == '"' || *text == '\\')
			putchar('\\');
		putchar(*text);
	}
	putchar('"');
}

static void print_json(
	const struct doctor *d, enum finding found, const char *words, const char *todo)
{
	printf("%s{\"area\":\"%s\",\"result\":\"%s\",\"words\":",
		d->counts[0] + d->counts[1] + d->counts[2] ? "," : "", d->area, words_of[found]);
	print_json_text(words);
	fputs(",\"todo\":", stdout);
	print_json_text(todo);
	fputs("}\n", stdout);
}

/* What another program printed keeps its lines. */
static void print_lines(const struct terminal *t, int indent, char *text)
{
	char *line, *rest = text;

	while ((line = strsep(&rest, "\n"))) {
		if (!*line)
			continue;
		if (line != text)
			printf("%*s", indent, "");
		terminal_wrap(t, indent, line);
	}
}

static void print_people(struct doctor *d, enum finding found, char *words, char *todo)
{
	static const enum style styles[] = {STYLE_GOOD, STYLE_BAD, STYLE_WARN};
	const struct terminal *t = &d->terminal;

	fputs("  ", stdout);
	terminal_style(t, styles[found]);
	printf("%-7s", words_of[found]);
	terminal_style(t, STYLE_PLAIN);
	fputs("  ", stdout);
	print_lines(t, 11, words);
	if (todo) {
		printf("%11s", "");
		terminal_style(t, STYLE_BOLD);
		fputs("-> ", stdout);
		print_lines(t, 14, todo);
		terminal_style(t, STYLE_PLAIN);
	}
}

void doctor_begin(struct doctor *d)
{
	terminal_look(d->s, &d->terminal);
	if (d->s->json)
		puts("{\"checks\":[");
}

void doctor_say(struct doctor *d, const char *area, enum finding found, const char *todo,
	const char *format, ...)
{
	char words[4096], advice[1024] = "";
	bool news = !d->area || strcmp(d->area, area);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(words, sizeof(words), format, arguments);
	va_end(arguments);
	make_plain(words);
	snprintf(advice, sizeof(advice), "%s", todo ? todo : "");
	make_plain(advice);
	d->area = area;
	if (d->s->json) {
		print_json(d, found, words, todo ? advice : NULL);
	} else {
		if (news) {
			terminal_style(&d->terminal, STYLE_BOLD);
			puts(area);
			terminal_style(&d->terminal, STYLE_PLAIN);
		}
		print_people(d, found, words, todo ? advice : NULL);
	}
	d->counts[found]++;
	fflush(stdout); /* what comes next may take its time */
}

int doctor_end(struct doctor *d)
{
	int problems = d->counts[FOUND_PROBLEM], unknown = d->counts[FOUND_UNKNOWN];

	if (d->s->json) {
		printf("],\"problems\":%d,\"unknown\":%d}\n", problems, unknown);
	} else {
		putchar('\n');
		terminal_style(&d->terminal, problems ? STYLE_BAD : STYLE_GOOD);
		if (problems)
			printf("%d problem%s", problems, problems == 1 ? "" : "s");
		else
			fputs("No problem found", stdout);
		terminal_style(&d->terminal, STYLE_PLAIN);
		if (unknown)
			printf(", %d not looked at", unknown);
		putchar('\n');
	}
	return problems ? EXIT_FAILED : EXIT_OK;
}
