/* What is kept of a login over restarts, and the text of it that is sealed. */
#ifndef GCTOKEND_CORE_LOGIN_RECORD_H
#define GCTOKEND_CORE_LOGIN_RECORD_H

#include "sealed_state.h"
#include "text.h"
#include "token.h"

#include <stdbool.h>
#include <stdint.h>

struct login_record {
	struct token refresh_token;
	bool refused;        /* the server did not take it: not to be tried by itself */
	int64_t logged_in_s; /* wall clock, for people; 0: not known */
	char profile[PROFILE_NAME_MAX + 1]; /* that it served when it was written; for people */
};

#define LOGIN_RECORD_NONE ((struct login_record){0})

/* Sealed, appended to `out`. As sealed_state_write. */
int login_record_write(const struct login_record *r, const unsigned char key[SEALED_KEY_LENGTH],
	const unsigned char nonce[SEALED_NONCE_LENGTH], const struct sealed_client *client,
	struct buffer *out);
/* SEALED_GOOD and *ret, which the caller ends; anything else leaves it untouched. */
enum sealed_verdict login_record_read(const unsigned char key[SEALED_KEY_LENGTH],
	const struct sealed_client *client, const char *bytes, size_t length,
	struct login_record *ret);
/* The sealed text itself; the same. */
enum sealed_verdict login_record_parse(const char *text, size_t length, struct login_record *ret);
void login_record_fini(struct login_record *r);

#endif
