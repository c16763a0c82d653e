/* What is wrong with a configuration: all of it, each with its place. */
#ifndef GCTOKEND_CORE_CONFIG_PROBLEMS_H
#define GCTOKEND_CORE_CONFIG_PROBLEMS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

enum config_severity {
	CONFIG_NOTE,    /* what to know of a configuration that is as it should be */
	CONFIG_WARNING, /* said, but the configuration stands */
	CONFIG_ERROR,
};

struct config_problem {
	enum config_severity severity;
	char *file;
	unsigned line; /* 0: the file as a whole */
	char *key;     /* as in config_place */
	char *message; /* what is wrong, what is allowed; no secret */
	unsigned file_order;
};

#define CONFIG_PROBLEMS_MAX 1000 /* further ones are only counted */

struct config_problems {
	struct config_problem *items;
	size_t count;
	size_t errors;   /* of all, those left off too */
	size_t left_off; /* beyond CONFIG_PROBLEMS_MAX */
	bool out_of_memory;
};

/* Where one is found. */
struct config_place {
	unsigned file_order; /* the file's place in the order of reading */
	const char *file;
	unsigned line;   /* 0: the file as a whole */
	const char *key; /* or "[section]"; "" where neither is concerned */
};

#define CONFIG_PROBLEMS_NONE ((struct config_problems){0})

/* Never fails: what finds no memory sets out_of_memory and counts as an error. Of the message what
 * is not printable ASCII becomes \xNN. */
void config_problems_add(struct config_problems *p, enum config_severity severity,
	const struct config_place *place, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void config_problems_add_list(struct config_problems *p, enum config_severity severity,
	const struct config_place *place, const char *format, va_list arguments)
	__attribute__((format(printf, 4, 0)));
/* By file in order of reading, then by line; problems of one line keep their order. */
void config_problems_sort(struct config_problems *p);
void config_problems_fini(struct config_problems *p);

/* How a log tells one of that severity: a LOG_ of syslog. */
int config_severity_level(enum config_severity severity);

/* "file:line: key: message", with "warning: " or "note: " before the message of one. Truncated to
 * `size`. */
void config_problem_text(const struct config_problem *p, char *text, size_t size);

/* `value` in quotes, for a message: what is not printable ASCII, quotes and backslashes become
 * \xNN, what is long ends in
 * "...". */
void config_quote(char *quoted, size_t size, const char *value);

#endif
