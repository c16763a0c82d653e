#include "config_problems.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

static void problem_fini(struct config_problem *p)
{
	free(p->file);
	free(p->key);
	free(p->message);
}

/* Paths are shown as they were written, in any bytes: what is not printable ASCII becomes \xNN.
 * NULL: no memory, and `text` is freed. */
static char *made_printable(char *text)
{
	size_t odd = 0, at = 0;
	char *printable;

	for (const char *c = text; *c; c++)
		odd += *c < 0x20 || *c > 0x7e;
	if (odd == 0)
		return text;
	printable = malloc(strlen(text) + 3 * odd + 1);
	for (const char *c = text; printable && *c; c++) {
		if (*c < 0x20 || *c > 0x7e)
			at += (size_t)sprintf(printable + at, "\\x%02x", (unsigned char)*c);
		else
			printable[at++] = *c;
	}
	if (printable)
		printable[at] = '\0';
	free(text);
	return printable;
}

void config_problems_add_list(struct config_problems *p, enum config_severity severity,
	const struct config_place *place, const char *format, va_list arguments)
{
	struct config_problem problem = {
		.severity = severity,
		.line = place->line,
		.file_order = place->file_order,
	};
	struct config_problem *items;

	if (severity == CONFIG_ERROR)
		p->errors++;
	if (p->count == CONFIG_PROBLEMS_MAX) {
		p->left_off++;
		return;
	}

	problem.file = strdup(place->file);
	problem.key = strdup(place->key);
	if (vasprintf(&problem.message, format, arguments) < 0)
		problem.message = NULL;
	if (problem.message)
		problem.message = made_printable(problem.message);
	items = reallocarray(p->items, p->count + 1, sizeof(*items));
	if (items)
		p->items = items;
	if (!items || !problem.file || !problem.key || !problem.message) {
		problem_fini(&problem);
		p->out_of_memory = true;
		return;
	}
	p->items[p->count++] = problem;
}

void config_problems_add(struct config_problems *p, enum config_severity severity,
	const struct config_place *place, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	config_problems_add_list(p, severity, place, format, arguments);
	va_end(arguments);
}

static bool problem_after(const struct config_problem *a, const struct config_problem *b)
{
	if (a->file_order != b->file_order)
		return a->file_order > b->file_order;
	return a->line > b->line;
}

void config_problems_sort(struct config_problems *p)
{
	/* Insertion: they come nearly sorted, there are at most CONFIG_PROBLEMS_MAX, and unlike
	 * qsort it keeps the order of equals. */
	for (size_t i = 1; i < p->count; i++) {
		struct config_problem moved = p->items[i];
		size_t at = i;

		for (; at > 0 && problem_after(&p->items[at - 1], &moved); at--)
			p->items[at] = p->items[at - 1];
		p->items[at] = moved;
	}
}

void config_problems_fini(struct config_problems *p)
{
	for (size_t i = 0; i < p->count; i++)
		problem_fini(&p->items[i]);
	free(p->items);
	*p = CONFIG_PROBLEMS_NONE;
}

int config_severity_level(enum config_severity severity)
{
	static const int levels[] = {
		[CONFIG_NOTE] = LOG_INFO, [CONFIG_WARNING] = LOG_WARNING, [CONFIG_ERROR] = LOG_ERR};

	return levels[severity];
}

void config_problem_text(const struct config_problem *p, char *text, size_t size)
{
	static const char *const before[] = {
		[CONFIG_NOTE] = "note: ", [CONFIG_WARNING] = "warning: ", [CONFIG_ERROR] = ""};
	char line[16] = "";

	if (p->line > 0)
		snprintf(line, sizeof(line), ":%u", p->line);
	snprintf(text, size, "%s%s: %s%s%s%s", p->file, line, p->key, *p->key ? ": " : "",
		before[p->severity], p->message);
}

void config_quote(char *quoted, size_t size, const char *value)
{
	size_t at = 0;

	if (size < 16) {
		if (size > 0)
			quoted[0] = '\0';
		return;
	}
	quoted[at++] = '"';
	for (; *value; value++) {
		unsigned char c = (unsigned char)*value;

		/* Room for the longest escape, the dots, the quote and the end. */
		if (at + 4 + 3 + 2 > size) {
			memcpy(quoted + at, "...", 3);
			at += 3;
			break;
		}
		if (c >= 0x20 && c <= 0x7e && c != '"' && c != '\\')
			quoted[at++] = (char)c;
		else
			at += (size_t)snprintf(quoted + at, size - at, "\\x%02x", c);
	}
	quoted[at++] = '"';
	quoted[at] = '\0';
}
