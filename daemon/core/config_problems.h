/* What is wrong with a configuration: all of it, each with its place. */
#ifndef GCTOKEND_CORE_CONFIG_PROBLEMS_H
#define GCTOKEND_CORE_CONFIG_PROBLEMS_H

#include <stdbool.h>
#include <stddef.h>

enum config_severity {
	CONFIG_WARNING, /* said, but the configuration stands */
	CONFIG_ERROR,
};

struct config_problem {
	enum config_severity severity;
	char *file;
	unsigned line; /* 0: the file as a whole */
	char *key;     /* or "[section]"; "" where neither is concerned */
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

#define CONFIG_PROBLEMS_NONE ((struct config_problems){0})

/* Never fails: what finds no memory sets out_of_memory and counts as an error. `file_order` is the
 * file's place in the order of reading. Of the message what is not printable ASCII becomes \xNN. */
void config_problems_add(struct config_problems *p, enum config_severity severity,
	unsigned file_order, const char *file, unsigned line, const char *key, const char *format,
	...) __attribute__((format(printf, 7, 8)));
/* By file in order of reading, then by line; problems of one line keep their order. */
void config_problems_sort(struct config_problems *p);
void config_problems_fini(struct config_problems *p);

/* "file:line: key: message", with "warning: " before the message of one. Truncated to `size`. */
void config_problem_text(const struct config_problem *p, char *text, size_t size);

/* `value` in quotes, for a message: what is not printable ASCII, quotes and backslashes become
 * \xNN, what is long ends in
 * "...". */
void config_quote(char *quoted, size_t size, const char *value);

#endif
