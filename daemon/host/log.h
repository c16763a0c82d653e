/* The journal (native protocol, structured fields) when standard error is the journal, else stderr
 * with <N> prefixes. One line per event; never per request.
 *
 * Logging never blocks and never fails: while nobody reads, lines are dropped, and the first line
 * that gets through again is preceded by one that tells how many were lost. */
#ifndef GCTOKEND_HOST_LOG_H
#define GCTOKEND_HOST_LOG_H

#include <stdint.h>
#include <syslog.h>

/* `max_priority`: what is less urgent is dropped (LOG_INFO keeps info and everything above).
 * Finds out where standard error leads; call again after it was replaced. Makes the process ignore
 * SIGPIPE: a log reader that went away must not end the daemon. */
void log_open(int max_priority);
void log_set_level(int max_priority);

void log_line(int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* With the fields GCTOKEN_PROFILE (NULL: left out), GCTOKEN_GENERATION (0: left out) and MESSAGE_ID
 * (NULL: left out). The profile stands before the message as well. */
void log_event(int priority, const char *message_id, const char *profile, uint64_t generation,
	const char *message);

#endif
