/* Files that are either whole and on the disk, or the old ones. All of it blocks. */
#ifndef GCTOKEND_HOST_DURABLE_FILE_H
#define GCTOKEND_HOST_DURABLE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define DURABLE_NAME_MAX 200

/* Not empty, not too long, no slash, no dot in front (those are the temporary files). */
bool durable_name_is_valid(const char *name);

/* Opens `directory`, made (0700) if only its last part is missing. 0 and *ret_fd; negative errno,
 * -EACCES or -EROFS also where no file could be made in it. */
int durable_directory_open(const char *directory, int *ret_fd);

/* Replaces the file `name` (0600). 0 when that is durable; negative errno with the old file in
 * place, except that a failed fsync of the directory, after the rename, may leave either. */
int durable_write(int directory_fd, const char *name, const char *bytes, size_t length);

/* Sets room aside for the next write of the file `name`, if that has at most `size` bytes: a disk
 * that is full by then does not fail it. 0, also where the file system cannot do that; negative
 * errno: there is no such room. */
int durable_reserve(int directory_fd, const char *name, off_t size);

/* Renames the file `name` to `kept`, which must not be there yet; no `name` is fine. Durable with
 * the next write or removal in the directory. 0 or negative errno. */
int durable_keep(int directory_fd, const char *name, const char *kept);
/* Removes the file `name`; none there is fine. 0 when that is durable; negative errno. */
int durable_remove(int directory_fd, const char *name);

/* For as long as *ret_fd is open no other process gets it for that directory; this one is not to
 * ask again for a directory that it has. 0; -EBUSY: another has it, and *ret_pid is that process, 0
 * if it has not said; other negative errno. */
int durable_lock(int directory_fd, int *ret_fd, pid_t *ret_pid);

/* As state_read. */
int durable_read(int directory_fd, const char *name, char **ret, size_t *ret_length);

/* What a write of that file had got to when its process ended: newer than the file itself, and
 * maybe not whole. -ENOENT, as usual: there is none. */
int durable_read_unfinished(int directory_fd, const char *name, char **ret, size_t *ret_length);

/* What that write has left, and a reader found whole, becomes the file: never are there fewer than
 * one copy of it. 0 when that is durable; negative errno, with what was left still there or the
 * file already. */
int durable_finish(int directory_fd, const char *name);

#endif
