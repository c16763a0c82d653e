/* How the daemon names a token without revealing it. */
#ifndef GCTOKEN_CLI_FINGERPRINT_H
#define GCTOKEN_CLI_FINGERPRINT_H

#include <stddef.h>

#define FINGERPRINT_LENGTH 16

/* The first 16 hex digits of the SHA-256 of `token`, NUL-terminated, to `ret` of
 * FINGERPRINT_LENGTH + 1 bytes. EXIT_OK, or EXIT_FAILED with the complaint made. */
int fingerprint_make(const char *token, size_t length, char *ret);

#endif
