/* AES-256-GCM over a text and a header that is in the clear: what is sealed in files and in the
 * store of a fleet. */
#ifndef GCTOKEND_CORE_GCM_H
#define GCTOKEND_CORE_GCM_H

#include <stdbool.h>
#include <stddef.h>

#define GCM_KEY_LENGTH 32
#define GCM_NONCE_LENGTH 12
#define GCM_TAG_LENGTH 16

enum gcm_verdict {
	GCM_GOOD,
	GCM_DAMAGED, /* something is not as it was sealed */
	GCM_NO_MEMORY,
};

/* Encrypts `length` bytes of `text` to `to`, and puts the tag behind them. `nonce`: never used with
 * that key before. False: out of memory. */
bool gcm_seal(const unsigned char key[GCM_KEY_LENGTH], const unsigned char nonce[GCM_NONCE_LENGTH],
	const unsigned char *header, size_t header_length, const char *text, size_t length,
	unsigned char *to);
/* Decrypts `length` bytes at `from`, which the tag follows, to `to`, of which nothing counts unless
 * the verdict is good. */
enum gcm_verdict gcm_open(const unsigned char key[GCM_KEY_LENGTH],
	const unsigned char nonce[GCM_NONCE_LENGTH], const unsigned char *header,
	size_t header_length, const unsigned char *from, size_t length, char *to);

#endif
