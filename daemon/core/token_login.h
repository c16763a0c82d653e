/* The token source of a profile that people log in to. A login is a refresh token, which the broker
 * keeps; the source only knows whether there is one. */
#ifndef GCTOKEND_CORE_TOKEN_LOGIN_H
#define GCTOKEND_CORE_TOKEN_LOGIN_H

#include "times.h"
#include "token_source.h"
#include <stdbool.h>

struct token_response;

/* What there is to refresh with. */
void token_source_set_login(struct token_source *s, enum source_login login);
/* A person logged in: the next fetch exchanges their code, as soon as the mint limit allows. If it
 * succeeds, it also starts a source that an admin stopped. `uid` is for the history. */
void token_source_code_came(struct token_source *s, uid_t uid);
/* Nobody waits for that exchange any more. True: it had not begun, and never will. */
bool token_source_code_gone(struct token_source *s);
/* How long the login will last, where it cannot be refreshed. False: it can, or there is none. */
bool token_source_login_ends(
	const struct token_source *s, const struct clock_reading *now, struct duration *ret_in);

/* ---- for the other files of the token source ---- */

/* Warns ahead of the end of a login that cannot be refreshed, once. Returns when that is due. */
struct boot_time token_source_tell_login_end(
	struct token_source *s, const struct clock_reading *now);
/* The fetch that was to exchange a code failed. */
void token_source_code_failed(struct token_source *s, const struct clock_reading *now,
	const struct token_response *response);

#endif
