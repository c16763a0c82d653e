/* Reads a line that nobody should see from standard input. */
#ifndef GCTOKEN_CLI_SECRET_LINE_H
#define GCTOKEN_CLI_SECRET_LINE_H

#include <stddef.h>
#include <stdint.h>

struct interrupt;

/* A terminal does not show what is typed, and is as it was when this returns. *ret_length: without
 * the line's end, up to `size`. 0; -ENODATA: the input ended before a line; -EMSGSIZE: a longer
 * one, of which the rest is left unread; -ETIMEDOUT: `deadline_ms` of gctoken_monotonic_ms; -EINTR:
 * the person wants to stop; other negative errno. */
int secret_line_read(char *ret, size_t size, int64_t deadline_ms, const struct interrupt *stop,
	size_t *ret_length);

#endif
