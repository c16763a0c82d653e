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

/* Is a code waiting for its end, or somebody for the end of one? */
bool login_finishing(const struct login *l);
/* A person came back from the login server, and none is being finished. Takes the code's texts. `f`
 * is ready when it is known what has become of it. */
void login_finish(struct profile *p, struct login_code *code, struct login_finisher *f);
/* A code that no token request has begun to send will not be sent; whoever waits for it is told
 * that the profile was stopped. NULL is a client that nobody logs in to. */
void login_stop_code(struct login *l);
/* Nobody waits there any more. */
void login_forget_finisher(struct login_finisher *f);
void login_code_drop(struct login_code *code);
/* What became of the code, for the one who brought it. */
void login_code_ended(struct login *l, const struct token_response *response, bool stopped);
/* A login succeeded, and what came is taken: for the history. */
void login_code_note(
	const struct login *l, struct profile *p, const struct token_response *response);
/* The profile goes away, whether or not it is one that people log in to. */
void login_code_lose_profile(const struct profile *p);

#endif
