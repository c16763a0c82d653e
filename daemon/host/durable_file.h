/* Files that are either whole and on the disk, or the old ones. All of it blocks. */
#ifndef GCTOKEND_HOST_DURABLE_FILE_H
#define GCTOKEND_HOST_DURABLE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#define DURABLE_NAME_MAX 200

/* Not empty, not too long, no slash, no dot in front (those are the temporary files). */
bool durable_name_is_valid(const char *name);

/* Opens `directory`, made (0700) if only its last part is missing. 0 and *ret_fd; negative errno,
 * -EACCES or -EROFS also where no file could be made in it. */
int durable_directory_open(const char *directory, int *ret_fd);

/* Replaces the file `name` (0600). 0 when that is durable; negative errno with the old file in
 * place, except that a failed fsync of the directory, after the rename, may leave either. */
int durable_write(int directory_fd, const char *name, const char *bytes, size_t length);

/* As state_read. */
int durable_read(int directory_fd, const char *name, char **ret, size_t *ret_length);

#endif
