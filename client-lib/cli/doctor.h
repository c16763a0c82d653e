/* What the parts of `gctoken doctor` share: what they find, and what the configuration says. */
#ifndef GCTOKEN_CLI_DOCTOR_H
#define GCTOKEN_CLI_DOCTOR_H

#include "cli.h"
#include "terminal.h"

enum finding {
	FOUND_OK,
	FOUND_PROBLEM,
	FOUND_UNKNOWN, /* could not be checked */
};

struct doctor_profile {
	char name[64];
	char grant[32];
	char token_url[512];
	char api_url[512]; /* "" and what follows likewise: not set */
	char ca_file[4096];
	char proxy[256];
	char proxy_user[256];
	char proxy_password_file[4096];
	char proxy_ca_file[4096];
	double fetch_timeout_ms;
	char secret_file[4096];
	char secret_credential[64];
	bool everybody;
	/* Names with ", " between them; "" where none is named. */
	char users[256], groups[256], units[256];
	char login_users[256], login_groups[256]; /* who may log the profile in */
};

struct doctor_plan {
	char socket[4096];
	char page_socket[4096];
	char state_dir[4096];
	bool root_needs_rule;
	struct doctor_profile *profiles;
	size_t count;
};

struct doctor {
	const struct settings *s;
	const char *config_file;
	const char *ca_file; /* for what no profile names one; NULL: the system's */
	struct terminal terminal;
	const char *area; /* of the latest finding */
	struct doctor_plan plan;
	int counts[3]; /* by enum finding */
};

/* One finding, printed at once. `todo`: what to do about it, NULL: nothing. Bytes that are not
 * printable ASCII are printed as '?'. */
void doctor_say(struct doctor *d, const char *area, enum finding found, const char *todo,
	const char *format, ...) __attribute__((format(printf, 5, 6)));
void doctor_begin(struct doctor *d);
/* The sum of it all. EXIT_OK or EXIT_FAILED. */
int doctor_end(struct doctor *d);

/* doctor_config.c: whether there is anything to look at, with what to do if not; the
 * configuration's own verdict, and d->plan from it. */
bool doctor_finds_something(struct doctor *d);
void doctor_look_at_config(struct doctor *d);
void doctor_plan_fini(struct doctor_plan *p);
/* doctor_host.c: files and sockets of this machine. */
void doctor_look_at_credentials(struct doctor *d);
void doctor_look_at_state(struct doctor *d);
void doctor_look_at_sockets(struct doctor *d);
/* doctor_members.c: whether those who may have a token may connect to the socket. */
void doctor_look_at_members(struct doctor *d);
/* doctor_daemon.c: what the daemon says; false if it does not reply. */
bool doctor_look_at_daemon(struct doctor *d);
/* doctor_fleet.c: the store of a fleet, if the configuration has one. */
void doctor_look_at_fleet(struct doctor *d);
/* doctor_network.c: names, TLS and the clocks at their other end. */
void doctor_look_at_network(struct doctor *d);

#endif
