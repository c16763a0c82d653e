/* Memory for tokens, client secrets and what is made of them. */
#ifndef GCTOKEND_CORE_SECRET_H
#define GCTOKEND_CORE_SECRET_H

#include <stddef.h>

/* From OpenSSL's secure heap, or the ordinary heap where that is absent or full: a token that is
 * not locked into memory is better than no token. NULL when both are out of memory. */
void *secret_alloc(size_t size);
/* Wipes `size` bytes and frees, whichever heap it came from. NULL is fine. */
void secret_free(void *p, size_t size);

#endif
