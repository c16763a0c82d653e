/* A secret text as bytes for a file: encrypted and authenticated with AES-256-GCM, bound to the
 * OAuth client that it belongs to, and such that whatever happened to the bytes is told apart.
 *
 *     at  length
 *      0   8  "gctlogin"
 *      8   1  version, 1
 *      9   3  zero
 *     12  16  the client: SHA-256 of token URL, client id and grant, each with its NUL; its front
 *     28   8  the key: SHA-256 of a label and the key; its front
 *     36   4  length n of the text, the most significant byte first
 *     40  12  nonce
 *     52   n  text, encrypted; all before the nonce is authenticated with it
 *   52+n  16  GCM's tag
 *   68+n   8  SHA-256 of all before; its front
 *
 * The last field guards nothing against people, it tells a disk's damage from a wrong key. Every
 * later version begins with the same nine bytes and ends with such a field. */
#ifndef GCTOKEND_CORE_SEALED_STATE_H
#define GCTOKEND_CORE_SEALED_STATE_H

#include "buffer.h"
#include "gcm.h"

#include <stddef.h>

#define SEALED_KEY_LENGTH GCM_KEY_LENGTH
#define SEALED_NONCE_LENGTH GCM_NONCE_LENGTH
#define SEALED_CLIENT_LENGTH 16
#define SEALED_TEXT_MAX 16384

/* What binds it to one client. */
struct sealed_client {
	unsigned char digest[SEALED_CLIENT_LENGTH];
};

enum sealed_verdict {
	SEALED_GOOD,
	SEALED_DAMAGED,   /* some byte is not as it was written, or some are not there */
	SEALED_NEWER,     /* whole, but of a version that this one does not know */
	SEALED_FOREIGN,   /* whole, but of another client */
	SEALED_OTHER_KEY, /* whole, but sealed with another key */
	SEALED_NO_MEMORY,
};

/* 0 or -ENOMEM. */
int sealed_client_init(
	struct sealed_client *ret, const char *token_url, const char *client_id, const char *grant);
/* `nonce`: fresh from a generator fit for secrets, never used with the key before. Appends to
 * `out`. 0; -EFBIG; -ENOMEM. */
int sealed_state_write(const unsigned char key[SEALED_KEY_LENGTH],
	const unsigned char nonce[SEALED_NONCE_LENGTH], const struct sealed_client *client,
	const char *text, size_t length, struct buffer *out);
/* SEALED_GOOD: *ret_text is from secret_alloc, with a NUL behind its *ret_length bytes; the caller
 * ends it with secret_free(text, length + 1). */
enum sealed_verdict sealed_state_read(const unsigned char key[SEALED_KEY_LENGTH],
	const struct sealed_client *client, const char *bytes, size_t length, char **ret_text,
	size_t *ret_length);
/* What is wrong with it, as a phrase behind the file's name. */
const char *sealed_verdict_words(enum sealed_verdict verdict);

#endif
