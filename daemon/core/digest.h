/* SHA-256 over several texts, for names and checks. */
#ifndef GCTOKEND_CORE_DIGEST_H
#define GCTOKEND_CORE_DIGEST_H

#include <stddef.h>

/* The first `digits` (even, at most 64) hex digits of SHA-256 over the parts, each with its NUL, so
 * that no two lists of parts run together; and a NUL. All '0' where hashing fails. */
void digest_hex(const char *const *parts, size_t count, char *ret_hex, size_t digits);

#endif
