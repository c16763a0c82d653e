/* A thread's own table of descriptors.
 *
 * While threads share one, the kernel counts a reference to the file in each call with a
 * descriptor, and drops it afterwards: two locked instructions, for each recv and each send of the
 * loop. So a thread that stays, and needs but a few descriptors, takes a table of its own, and the
 * loop is alone with the other one. */
#ifndef GCTOKEND_HOST_FD_TABLE_H
#define GCTOKEND_HOST_FD_TABLE_H

#include <stddef.h>

/* From here on the calling thread has the standard three descriptors and the `count` that are
 * `kept`, under the same numbers, until it ends: whatever the other threads open or close. They
 * notice nothing. 0, or a negative errno, and nothing has changed: Linux before 5.9 cannot do it.
 */
int fd_table_own(const int *kept, size_t count);

#endif
