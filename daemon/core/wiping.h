/* An allocator for libraries that handle secrets and free them as they are: libcurl, which formats
 * the request's header, and OpenSSL, which keeps records. What is let go of is overwritten first,
 * and what grows leaves nothing behind where it was. Same rules as libc's functions of these names;
 * their blocks and libc's may be mixed. */
#ifndef GCTOKEND_CORE_WIPING_H
#define GCTOKEND_CORE_WIPING_H

#include <stddef.h>

void *wiping_malloc(size_t size);
void *wiping_calloc(size_t count, size_t size);
char *wiping_strdup(const char *text);
void *wiping_realloc(void *p, size_t size);
void wiping_free(void *p);

#endif
