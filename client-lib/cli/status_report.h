/* The reply to GET /v1/status, as plain data. */
#ifndef GCTOKEN_CLI_STATUS_REPORT_H
#define GCTOKEN_CLI_STATUS_REPORT_H

#include "cli.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STATUS_CELL_SIZE 64
/* A number that the reply does not have. */
#define STATUS_ABSENT (-1e300)

/* Texts are printable ASCII, "" where absent; times are seconds from now. */
struct status_row {
	char name[STATUS_CELL_SIZE];
	char state[STATUS_CELL_SIZE];
	char region[STATUS_CELL_SIZE];
	char fingerprint[STATUS_CELL_SIZE];
	char error_class[STATUS_CELL_SIZE];
	char error_words[512];
	char correlation_id[128];
	char login_state[STATUS_CELL_SIZE]; /* of a profile that people log in to, "" for others */
	char login_problem[256];
	char fleet_state[STATUS_CELL_SIZE]; /* "" where it is in none */
	char fleet_role[STATUS_CELL_SIZE];
	char fleet_problem[256];
	double fleet_hosts; /* absent where that is not known */
	double fleet_for;
	bool fetched_here;
	double login_ends_in; /* absent where it is refreshed, or there is none */
	double generation, expires_in, refresh_in, skew, next_attempt_in;
	double next_generation, next_serves_in; /* a newer token that is not served yet */
	double fetches, failures, rejections, served;
	double error_status, error_ago;
};

struct status_report {
	struct status_row *rows;
	size_t count, capacity;
	bool out_of_memory;
	char version[STATUS_CELL_SIZE]; /* this and what follows: for administrators only */
	char reload_problem[512];
	char unknown_names[512]; /* users and groups of rules that the system does not know */
	double uptime, connections, waiting;
};

#define STATUS_REPORT_NONE ((struct status_report){.rows = NULL})

/* Members it does not know are skipped. 0; -EBADMSG: no JSON; -ENOMEM. *ret is to be ended with
 * status_report_fini in either case. */
int status_report_read(const char *json, size_t length, struct status_report *ret);
void status_report_fini(struct status_report *r);

/* Asks the daemon for it; says nothing. `patience_ms`: how long an absent socket is tried again. 0;
 * a positive HTTP status: of a reply that is not 200; -EPROTO: of one that is, and is no status;
 * another negative errno of daemon_ask. *ret is to be ended with status_report_fini in any case. */
int status_report_ask(const struct settings *s, int64_t timeout_s, int64_t patience_ms,
	struct status_report *ret);
/* NULL: there is no such profile, or this user may not see it. Lives as long as `r`. */
const struct status_row *status_report_find(const struct status_report *r, const char *profile);

#endif
