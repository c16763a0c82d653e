/* What one event looks like on the wire: a line for stderr, or a datagram of the journal's native
 * protocol. Without I/O, so that tests can feed it anything. */
#ifndef GCTOKEND_HOST_LOG_FORMAT_H
#define GCTOKEND_HOST_LOG_FORMAT_H

#include <stddef.h>
#include <stdint.h>

/* Below PIPE_BUF: a line reaches a pipe whole or not at all, never mixed with another's. */
#define LOG_RECORD_MAX 3072

struct log_record {
	int priority;
	const char *message_id; /* NULL: none */
	const char *profile;    /* NULL: none */
	uint64_t generation;    /* 0: none */
	const char *message;
};

/* Both write at most LOG_RECORD_MAX bytes (no NUL) to `out` and return how many. Control characters
 * and bytes that are no UTF-8 appear as \xNN, so that no text from outside can start a line or a
 * field of its own or steer a terminal; a text that is too long ends in "...". */
size_t log_format_line(const struct log_record *r, char out[LOG_RECORD_MAX]);
size_t log_format_journal(const struct log_record *r, char out[LOG_RECORD_MAX]);

#endif
