/* How the process protects itself and its secrets. What cannot be had of it is logged: a daemon
 * with less of it is better than none. */
#ifndef GCTOKEND_PROTECTION_H
#define GCTOKEND_PROTECTION_H

#include <stdbool.h>

/* Before anything uses OpenSSL: what it frees is wiped from then on. False: something has used it,
 * and it stays with the allocator that it has. */
bool protection_wipe_what_openssl_frees(void);

/* A descriptor 0, 1 or 2 that is closed would be given to the first socket, and then be written to
 * by whatever believes it to be standard error. */
void protection_open_standard_descriptors(void);

/* For every process that reads a secret: no core dump and no tracer, files for its user alone, no
 * end by a closed pipe, and nothing from the environment about where traffic goes. */
void protection_of_readers(void);
/* The same, and for the one that serves: it can start no programs, has as many descriptors as the
 * hard limit allows, and memory for secrets that is not swapped. Before there is a second thread.
 */
void protection_of_daemon(void);

#endif
