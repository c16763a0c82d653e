/* Small files written the safe way (temporary file, fsync, rename, fsync of the directory) by one
 * helper thread, so that no slow disk ever holds up the loop. */
#ifndef GCTOKEND_HOST_STATE_FILE_H
#define GCTOKEND_HOST_STATE_FILE_H

#include <stddef.h>

struct event_base;
struct state_writer;

/* Starts the thread. `directory` is made (0700) if only its last part is missing. 0 or negative
 * errno. */
int state_writer_new(struct state_writer **ret, struct event_base *base, const char *directory);
/* Finishes what is queued, then ends the thread; callbacks still due are not called. Not from
 * within a callback. NULL is nothing to free. */
void state_writer_free(struct state_writer *w);

/* Called on the loop when the write is durable (0) or failed (negative errno). After a failure the
 * old file stands; only where fsync of the directory itself failed, after the rename, may it be
 * either. */
typedef void state_written(void *context, int error);
/* Copies `bytes` and wipes the copy when done with it. All writes are done, and called back, in the
 * order of the calls. 0; -ENOMEM; -EINVAL (a name that is empty, too long, has a slash or starts
 * with a dot). `done` may be NULL. */
int state_write(struct state_writer *w, const char *name, const char *bytes, size_t length,
	state_written *done, void *context);

/* Reads a whole file of the directory, at start only: it blocks. *ret is malloc'd and
 * NUL-terminated. 0; -ENOENT; -EFBIG over 1 MiB; -EINVAL (a bad name, or no regular file); other
 * negative errno. */
int state_read(const char *directory, const char *name, char **ret, size_t *ret_length);
/* Calls back with the name of each file of the directory that state_read could be asked for, in no
 * order; at start only. 0 or negative errno. */
int state_each(
	const char *directory, void (*visit)(void *context, const char *name), void *context);

#endif
