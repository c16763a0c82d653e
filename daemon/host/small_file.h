/* Files that are small enough to be read at once. It blocks; for starts and reloads, and for
 * threads of their own. */
#ifndef GCTOKEND_HOST_SMALL_FILE_H
#define GCTOKEND_HOST_SMALL_FILE_H

#include <stddef.h>

struct stat;

/* Opens for reading without waiting: a FIFO in the file's place must not hold the daemon up. A
 * symbolic link is followed, since configuration management makes them; what counts is what has
 * been opened, which *ret_stat describes. 0; negative errno. */
int small_file_open(const char *path, int *ret_fd, struct stat *ret_stat);
/* Reads to the end, but `size` bytes at most: one more than are expected shows a file that is
 * longer, or grows meanwhile. 0; negative errno. */
int small_file_read(int fd, char *bytes, size_t size, size_t *ret_length);

#endif
