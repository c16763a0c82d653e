/* A code that a person brought back from the login server, and who waits for what becomes of it. */
#ifndef GCTOKEND_BROKER_LOGIN_CODE_H
#define GCTOKEND_BROKER_LOGIN_CODE_H

#include "core/login_attempt.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct login;
struct login_finisher;
struct profile;
struct token_response;

/* A code on its way to be exchanged. Wiped when let go. */
struct login_code {
	char *text; /* NULL: none */
	char *redirect_uri;
	char verifier[LOGIN_TEXT + 1];
	uid_t uid; /* who logged in */
};

/* Is a code being exchanged, or somebody waiting for what became of one? */
bool login_finishing(const struct login *l);
/* A person came back from the login server with a code, and no other is being exchanged. Takes the
 * code's texts. `f` is ready when it is known what became of it. */
void login_finish(struct profile *p, struct login_code *code, struct login_finisher *f);
/* A code whose token request has not begun will not be sent; whoever waits for it is told that the
 * profile was stopped. NULL is a client that nobody logs in to. */
void login_stop_code(struct login *l);
/* It is going away. */
void login_forget_finisher(struct login_finisher *f);
void login_code_drop(struct login_code *code);
/* What became of the code, for whoever brought it. */
void login_code_ended(struct login *l, const struct token_response *response, bool stopped);
/* Adds to the history that a login succeeded; its refresh token is taken already. */
void login_code_note(
	const struct login *l, struct profile *p, const struct token_response *response);
/* The profile goes away, whether or not it is one that people log in to. */
void login_code_lose_profile(const struct profile *p);

#endif
