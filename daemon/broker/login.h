/* The login of a person, as the daemon keeps it alive. It belongs to the client, not to a profile:
 * a reload may take the profile away while a refresh is under way, and the refresh token that the
 * answer brings must not be lost with it, since the one before it is void by then.
 *
 *   login.c       exchanges: a code or a refresh token for tokens
 *   login_code.c  a code that a person brought, and the answer to them
 *   login_file.c  the sealed file
 *   calls_login.c what people ask: /v1/login, /v1/login/finish, /v1/logout
 *
 * The order that nothing may break: a refresh token that came is sealed and durable before the
 * access token that came with it is served, and once it came the one before it is never sent. */
#ifndef GCTOKEND_BROKER_LOGIN_H
#define GCTOKEND_BROKER_LOGIN_H

#include "broker.h"

#include "core/text.h"
#include "core/token_response.h"

struct profile_view;

/* A code on its way to be exchanged. Wiped when let go. */
struct login_code {
	char *text; /* NULL: none */
	char *redirect_uri;
	char verifier[LOGIN_TEXT + 1];
	uid_t uid; /* who logged in */
};

/* How the latest code fared; for whoever waits for it. */
struct login_result {
	bool ended;
	bool stopped; /* it came, but an admin revoked or a person logged out meanwhile */
	enum response_class class;
	int64_t expires_in_s;
	bool refreshes;
	char words[320];
};

struct login {
	struct oauth_client *client;
	struct token refresh; /* the newest there is; TOKEN_NONE: none */
	bool refused;         /* the server did not take it */

	/* the exchange under way */
	struct profile *profile; /* whose token request it is; NULL: a reload took it away */
	struct fetch *fetch;
	struct token_request sent;
	bool with_code;
	bool ended; /* a person logged out meanwhile: what comes is not kept */

	/* being finished */
	struct login_code code;
	struct profile *code_for; /* whose token request is to send it; NULL: none is (any more) */
	struct waiter *finisher;  /* NULL: nobody waits for it (any more) */
	struct login_result result;

	/* an answer that waits for the disk */
	bool held;
	struct exchange x; /* its times alone */
	bool has_sample;
	struct skew_sample sample;
	struct token_response answer;
	uint64_t held_for; /* this write; 0: for the file to be read */
	struct event patience;

	/* the file */
	char file[40];
	struct sealed_client binding;
	int64_t logged_in_s;                 /* wall clock; 0: not known */
	char user[PROFILE_NAME_MAX + 1];     /* the latest profile that it served */
	uint64_t writes_begun, writes_ended; /* they end in order */
	bool stored;                         /* what there is is on the disk */
	bool failing;                        /* the latest write did not work */
	bool keep_aside;                     /* what stands in the file could not be read: not to be
						overwritten */
	char problem[200];                   /* with the file; "": none */
	struct event again;                  /* a write that failed is tried again */
};

int login_new(struct login **ret, struct oauth_client *c);
void login_free(struct login *l);
enum source_login login_state(const struct login *l);
/* Sends what `p`, whose client has a login, asks for. 0; -EAGAIN: no room, or another exchange of
 * this login is under way; another error: nothing was sent. */
int login_send(struct profile *p);
void login_not_sent(struct profile *p, const struct exchange *x);
/* The profile goes away; what is under way goes on. */
void login_lose_profile(struct profile *p);
/* Is something under way that would be lost with the process? */
bool login_busy(const struct login *l);
/* The refresh token is void from here on, also one that is on its way. `w` waits until it is erased
 * from the disk as well. */
void login_end(struct login *l, struct waiter *w);
/* The profile that uses the login now; NULL: none. */
struct profile *login_user(const struct login *l);

/* ---- login_code.c ---- */

/* Is a code waiting for its end, or somebody for the end of one? */
bool login_finishing(const struct login *l);
/* A person came back from the login server, and none is being finished. Takes the code's texts. */
void login_finish(struct profile *p, struct login_code *code, struct waiter *w);
/* A code that no token request has begun to send will not be sent; whoever waits for it is told
 * that the profile was stopped. */
void login_stop_code(struct login *l);
void login_forget_waiter(struct waiter *w);
void login_code_drop(struct login_code *code);
/* What became of the code, for the one who brought it. */
void login_code_ended(struct login *l, const struct token_response *answer, bool stopped);
/* A login succeeded: for the history. */
void login_code_note(struct login *l, struct profile *p);
void login_code_lose_profile(const struct profile *p);

/* ---- calls_login.c ---- */

/* Append the answer for a waiter whose login, or logout, has ended; the HTTP status. */
int login_answer(struct waiter *w, struct buffer *out, bool keep_alive);
int logout_answer(struct waiter *w, struct buffer *out, bool keep_alive);

/* ---- login_file.c ---- */

/* The key for the files, by the settings of a configuration that has logins, unless it was read
 * before. Blocks. 0, also if the daemon's own cannot be had: then logins are kept in memory only;
 * negative errno and the problem where it is the configured one. */
int login_get_key(struct broker *b, const struct broker_settings *settings, char *problem,
	size_t problem_size);
void login_forget_key(struct broker *b);
/* What an earlier run left. 0; -ENOMEM. */
int login_load(struct login *l);
void login_unload(struct login *l);
/* Begins to store what there is: the refresh token, or that there is none. Returns the number of
 * the write, 0 if it could not be begun. */
uint64_t login_store(struct login *l);
/* Begins to remove it; `w` is told. */
void login_erase(struct login *l, struct waiter *w);
/* Begins to read the file anew; login_read_again follows. 0 or negative errno. */
int login_begin_reading(struct login *l);

/* What is told of it besides the token. */
void login_report(const struct login *l, struct profile_view *ret);

/* ---- of login.c, for login_file.c ---- */

/* A write has ended. */
void login_stored(struct login *l);
/* The file was read anew; takes the token that it had, TOKEN_NONE if none. */
void login_read_again(struct login *l, struct token *found);

#endif
