/* Memory that is handed over as a descriptor, to callers or to the next run. It is sealed, so that
 * nobody who has it can change its size: with that, no access to a mapping of it ends in SIGBUS for
 * want of a page behind the file's end. */
#ifndef GCTOKEND_HOST_MEMFD_H
#define GCTOKEND_HOST_MEMFD_H

#include <stddef.h>
#include <sys/types.h>

struct stat;

/* Zeros, `size` of them, which take up room as they are written. The name is for people. The
 * descriptor; negative errno. */
int memfd_new(const char *name, size_t size, mode_t mode);
/* Whether `fd` is such memory, whoever made it. 0 and *ret_stat; -EINVAL: it is not; other negative
 * errno. */
int memfd_examine(int fd, struct stat *ret_stat);

#endif
