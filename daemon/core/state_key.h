/* The key that seals refresh tokens, as a file holds it. */
#ifndef GCTOKEND_CORE_STATE_KEY_H
#define GCTOKEND_CORE_STATE_KEY_H

#include "sealed_state.h"

#include <stdbool.h>
#include <stddef.h>

/* Longest file that can hold one: hexadecimal, with CRLF. */
#define STATE_KEY_FILE_MAX (2 * SEALED_KEY_LENGTH + 2)

/* 32 bytes as they are; or 64 hexadecimal digits, or base64 of 44 characters, with or without a
 * line end. False: none of these. */
bool state_key_parse(const char *bytes, size_t length, unsigned char ret_key[SEALED_KEY_LENGTH]);
/* What is allowed, as a phrase. */
#define STATE_KEY_ALLOWED \
	"32 random bytes, or their 64 hexadecimal digits, or their base64 (openssl rand -hex 32)"

#endif
