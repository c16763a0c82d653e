/* Small files written the safe way (temporary file, fsync, rename, fsync of the directory) by one
 * helper thread, so that no slow disk ever holds up the loop. */
#ifndef GCTOKEND_HOST_STATE_FILE_H
#define GCTOKEND_HOST_STATE_FILE_H

#include <stddef.h>
#include <sys/types.h>

struct event_base;
struct state_writer;

/* Starts the thread. `directory` is made (0700) if only its last part is missing, and locked: two
 * daemons would overwrite each other's tokens. 0; -EBUSY: another process has it, *ret_holder is
 * its pid or 0; other negative errno. */
int state_writer_new(struct state_writer **ret, struct event_base *base, const char *directory,
	pid_t *ret_holder);
/* `replaced` is called on the loop when the path had come to lead to another directory, which is
 * written to from then on: the former one was removed, say, or a file system mounted. All that it
 * has is what it had before, and what has been written since. What was under way then is written to
 * it, too, and called back afterwards. */
void state_writer_set_hook(struct state_writer *w, void (*replaced)(void *context), void *context);
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
/* The same, but a file that has the name already is kept under the name `kept` and not replaced. */
int state_write_keeping(struct state_writer *w, const char *name, const char *kept,
	const char *bytes, size_t length, state_written *done, void *context);
/* Sets room aside for the next write of the file, of at most `size` bytes, in the same order with
 * the writes; what `done` is told is as of durable_reserve. */
int state_reserve(
	struct state_writer *w, const char *name, size_t size, state_written *done, void *context);
/* Removes the file, in the same order with the writes; none there is fine. */
int state_remove(struct state_writer *w, const char *name, state_written *done, void *context);

/* `bytes`: NULL on an error; wiped and gone after the call. */
typedef void state_was_read(void *context, int error, const char *bytes, size_t length);
/* Reads it in the thread, in the same order with the writes; errors as state_read. */
int state_read_later(struct state_writer *w, const char *name, state_was_read *done, void *context);

/* Reads a whole file of the directory, at start only: it blocks. *ret is malloc'd and
 * NUL-terminated. 0; -ENOENT; -EFBIG over 1 MiB; -EINVAL (a bad name, or no regular file); other
 * negative errno. */
int state_read(const char *directory, const char *name, char **ret, size_t *ret_length);
/* The same of what an interrupted write of that file left; -ENOENT, as usual: nothing. It is newer
 * than the file, and maybe not whole. */
int state_read_unfinished(const char *directory, const char *name, char **ret, size_t *ret_length);
/* That, read and found whole, becomes the file; it blocks. 0 when that is durable, or negative
 * errno. */
int state_finish(const char *directory, const char *name);
/* Calls back with the name of each file of the directory that state_read could be asked for, in no
 * order; at start only. 0 or negative errno. */
int state_each(
	const char *directory, void (*visit)(void *context, const char *name), void *context);

#endif
