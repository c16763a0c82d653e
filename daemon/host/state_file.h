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
/* Finishes what is queued, then ends the thread; callbacks still due are not called. */
void state_writer_free(struct state_writer *w);

/* Called on the loop when the write is durable (0) or failed (negative errno; the old file stands).
 */
typedef void state_written(void *context, int error);
/* Copies `bytes`. Writes of the same name are done in order. 0; -ENOMEM. `name` has no slash. */
int state_write(struct state_writer *w, const char *name, const char *bytes, size_t length,
	state_written *done, void *context);

/* Reads a whole file of the directory, at start only: it blocks. *ret is malloc'd and
 * NUL-terminated. 0; -ENOENT; -EFBIG over 1 MiB; other negative errno. */
int state_read(const char *directory, const char *name, char **ret, size_t *ret_length);

#endif
