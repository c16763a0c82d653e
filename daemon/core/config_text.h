/* The syntax of a configuration file: INI, read exactly or refused. There are many INIs; in this
 * one a line is a section, `key = value` (':' does as well as '=') or a comment, and never goes on
 * in the next. '#' and ';' begin a comment at a line's start, ';' also after white space. */
#ifndef GCTOKEND_CORE_CONFIG_TEXT_H
#define GCTOKEND_CORE_CONFIG_TEXT_H

#include <stddef.h>

#define CONFIG_LINE_MAX 4096   /* bytes, without the line's end */
#define CONFIG_SECTION_MAX 255 /* bytes between the brackets */

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

/* Reads any bytes. */
void config_text_read(const char *text, size_t length, const struct config_text_handler *handler);

#endif
