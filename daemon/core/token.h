/* A token's text, in OpenSSL's secure heap where that has room, wiped when let go. Nothing prints
 * a token; people and logs see its fingerprint. */
#ifndef GCTOKEND_CORE_TOKEN_H
#define GCTOKEND_CORE_TOKEN_H

#include <stdbool.h>
#include <stddef.h>

#define TOKEN_MAX 8192
#define FINGERPRINT_LENGTH 16

struct token {
	char *text; /* NUL-terminated; NULL: no token */
	size_t length;
	char fingerprint[FINGERPRINT_LENGTH + 1]; /* first 16 hex digits of SHA-256 of the text */
};

#define TOKEN_NONE ((struct token){0})

/* Copies `text`. 0; -EINVAL: empty, longer than TOKEN_MAX, or a byte outside 0x21-0x7E; -ENOMEM. */
int token_init(struct token *ret, const char *text, size_t length);
/* Wipes and frees; safe on TOKEN_NONE. Leaves TOKEN_NONE. */
void token_fini(struct token *t);
/* Ends *to, moves *from into it, leaves TOKEN_NONE in *from. */
void token_move(struct token *to, struct token *from);
/* In time that depends on the lengths only. */
bool token_equal(const struct token *a, const struct token *b);

#endif
