/* A login under way: what the daemon said of it, and how what the login server said gets back
 * there. */
#ifndef GCTOKEN_CLI_LOGIN_H
#define GCTOKEN_CLI_LOGIN_H

#include "cli.h"
#include "redirect.h"

#define LOGIN_URL_SIZE 4096

struct login {
	char url[LOGIN_URL_SIZE]; /* where the person has to go */
	char state[257];
	char redirect_uri[2048];
	struct redirect_target target; /* of redirect_uri */
	double expires_in;   /* seconds; how long to wait for the login server's response */
	int64_t deadline_ms; /* the same as an instant of gctoken_monotonic_ms */
};

/* What to do where the daemon refuses that. */
extern const char login_denied[];

/* EXIT_OK, or another exit code with the complaint made. Each prints the daemon's JSON where
 * s->json. */
int login_begin(const struct settings *s, struct login *ret);
/* Takes the response to the daemon, which asks the login server for the tokens. */
int login_finish(
	const struct settings *s, const struct login *l, const struct redirect_response *response);

/* The login server said no, and the person knows: tells the daemon that this login is over. If that
 * fails, it ends by itself. */
void login_abandon(
	const struct settings *s, const struct login *l, const struct redirect_response *response);

#endif
