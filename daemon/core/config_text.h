/* The syntax of a configuration file: inih's INI, with what inih would silently misread refused. */
#ifndef GCTOKEND_CORE_CONFIG_TEXT_H
#define GCTOKEND_CORE_CONFIG_TEXT_H

#include <stddef.h>

#define CONFIG_LINE_MAX 4096 /* bytes, without the line's end */

/* Strings live as long as the call. Lines count from 1. */
struct config_text_handler {
	void *context;
	/* What stands between the brackets, trimmed; NULL after a section line that was a problem:
	 * what follows belongs nowhere. */
	void (*section)(void *context, unsigned line, const char *inside);
	/* Both trimmed, the comment cut off. The name is never empty, the value may be. */
	void (*setting)(void *context, unsigned line, const char *name, const char *value);
	/* A line that is neither. Never shows what stands there: it could be a secret. */
	void (*problem)(void *context, unsigned line, const char *message);
};

/* Reads any bytes. Changes inih's ini_max_line while it runs, so not from two threads at once. */
void config_text_read(const char *text, size_t length, const struct config_text_handler *handler);

#endif
