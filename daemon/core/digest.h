/* SHA-256 over several texts, for names and checks. */
#ifndef GCTOKEND_CORE_DIGEST_H
#define GCTOKEND_CORE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

/* The first `digits` (even, at most 64) hex digits of SHA-256 over the parts, each with its NUL, so
 * that no two lists of parts run together; and a NUL. All '0' where hashing fails. */
void digest_hex(const char *const *parts, size_t count, char *ret_hex, size_t digits);
/* The first `size` bytes, at most 32, of SHA-256 over the parts as they are. False: out of memory.
 */
bool digest_front(
	const void *const *parts, const size_t *lengths, size_t count, void *ret, size_t size);

#endif
