/* status: a table of profiles that fits the terminal. What is wrong with a profile follows its row.
 */
#include "command.h"
#include "core/text.h"
#include "daemon_call.h"
#include "options.h"
#include "output.h"
#include "status_table.h"
#include "terminal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_note(const struct terminal *t, enum style style, const char *text)
{
	fputs("  ", stdout);
	terminal_style(t, style);
	terminal_wrap(t, 2, text);
	terminal_style(t, STYLE_PLAIN);
}

static void print_error(const struct terminal *t, const struct status_row *r)
{
	char text[1024], ago[DURATION_TEXT_SIZE] = "", next[DURATION_TEXT_SIZE], status[32] = "";
	size_t n;

	if (!*r->error_class && !*r->error_words)
		return;
	if (r->error_ago != STATUS_ABSENT)
		duration_text(r->error_ago, ago);
	if (r->error_status > 0)
		snprintf(status, sizeof(status), ", HTTP %.0f", r->error_status);
	n = (size_t)snprintf(text, sizeof(text), "%s%s%s%s%s%s", ago, *ago ? " ago: " : "",
		r->error_class, status, *r->error_words ? ": " : "", r->error_words);
	if (*r->correlation_id)
		n += (size_t)snprintf(
			text + n, sizeof(text) - n, " (correlation id %s)", r->correlation_id);
	if (r->next_attempt_in != STATUS_ABSENT) {
		status_time_text(r->next_attempt_in, "now", next);
		snprintf(text + n, sizeof(text) - n, "; next attempt %s%s",
			r->next_attempt_in > 0 ? "in " : "", next);
	}
	print_note(t, !strcmp(r->state, "fresh") ? STYLE_DIM : STYLE_WARN, text);
}

/* A newer token that 'gctoken get' does not give yet. */
static void print_next(const struct terminal *t, const struct status_row *r)
{
	char text[160], wait[DURATION_TEXT_SIZE];

	if (r->next_generation == STATUS_ABSENT)
		return;
	duration_text(r->next_serves_in, wait);
	snprintf(text, sizeof(text), "a newer token, generation %.0f, is served in %s",
		r->next_generation, wait);
	print_note(t, STYLE_DIM, text);
}

/* What a person has to do about the login, if anything. */
static void print_login(const struct terminal *t, const struct status_row *r)
{
	char text[512], ends[DURATION_TEXT_SIZE];

	if (r->login_ends_in != STATUS_ABSENT) {
		duration_text(r->login_ends_in, ends);
		snprintf(text, sizeof(text),
			"this login ends in %s and cannot be refreshed: gctoken --profile %s login",
			ends, r->name);
		print_note(t, STYLE_WARN, text);
	} else if (*r->login_state && !strcmp(r->state, "login_required")) {
		snprintf(text, sizeof(text), "somebody has to log in: gctoken --profile %s login",
			r->name);
		print_note(t, STYLE_WARN, text);
	}
	if (*r->login_problem)
		print_note(t, STYLE_BAD, r->login_problem);
}

/* Also of a profile that was removed and is there again: nobody remembers that it is revoked. */
static void print_revoked(const struct terminal *t, const struct status_row *r)
{
	char text[256];

	if (strcmp(r->state, "revoked") != 0)
		return;
	snprintf(text, sizeof(text),
		"an administrator revoked it; to let it work again: gctoken --profile %s refresh",
		r->name);
	print_note(t, STYLE_WARN, text);
}

/* How it is with the hosts that share its token. */
static void print_fleet(const struct terminal *t, const struct status_row *r)
{
	bool good = !strcmp(r->fleet_state, "up");
	char text[640], lasts[DURATION_TEXT_SIZE], hosts[40] = "";

	if (!*r->fleet_state)
		return;
	duration_text(r->fleet_for, lasts);
	if (r->fleet_hosts != STATUS_ABSENT)
		snprintf(hosts, sizeof(hosts), ", %.0f host%s", r->fleet_hosts,
			r->fleet_hosts == 1 ? "" : "s");
	snprintf(text, sizeof(text), "fleet: %s for %s%s; this host is a %s and %s the token%s%s",
		r->fleet_state, lasts, hosts, r->fleet_role,
		r->fetched_here ? "fetched" : "was given", *r->fleet_problem ? ": " : "",
		r->fleet_problem);
	print_note(t, good ? STYLE_DIM : STYLE_WARN, text);
}

static void print_broker(const struct terminal *t, const struct status_report *r)
{
	char text[640], up[DURATION_TEXT_SIZE];

	if (!*r->version)
		return;
	duration_text(r->uptime, up);
	snprintf(text, sizeof(text), "gctokend %s, up %s, %.0f connection%s, %.0f waiting",
		r->version, up, r->connections, r->connections == 1 ? "" : "s", r->waiting);
	terminal_style(t, STYLE_DIM);
	terminal_wrap(t, 0, text);
	terminal_style(t, STYLE_PLAIN);
	if (*r->unknown_names) {
		snprintf(text, sizeof(text),
			"The rules name users or groups that this system does not know; nothing is "
			"granted to them: %s",
			r->unknown_names);
		terminal_style(t, STYLE_BAD);
		terminal_wrap(t, 0, text);
		terminal_style(t, STYLE_PLAIN);
	}
	if (*r->reload_problem) {
		snprintf(text, sizeof(text),
			"The latest reload was refused; the previous configuration is still in "
			"force: %s",
			r->reload_problem);
		terminal_style(t, STYLE_BAD);
		terminal_wrap(t, 0, text);
		terminal_style(t, STYLE_PLAIN);
	}
}

/* Leaves only the profile that an option names; false if it is not there. */
static bool select_row(struct status_report *r, const char *name)
{
	size_t i;

	for (i = 0; i < r->count; i++)
		if (!strcmp(r->rows[i].name, name)) {
			r->rows[0] = r->rows[i];
			r->count = 1;
			return true;
		}
	return false;
}

static int print_report(const struct settings *s, struct status_report *r)
{
	struct terminal t;
	struct status_layout l;
	size_t i;

	if (s->profile_named && !select_row(r, s->profile)) {
		complain("profile %s: there is none that this user may see. 'gctoken status' lists "
			 "those that there are",
			s->profile);
		return EXIT_CONFIG;
	}
	terminal_look(s, &t);
	status_table_lay_out(r, &t, &l);
	if (r->count)
		status_table_print_row(&l, &t, NULL);
	else
		puts("There is no profile that this user may see.");
	for (i = 0; i < r->count; i++) {
		status_table_print_row(&l, &t, &r->rows[i]);
		print_next(&t, &r->rows[i]);
		print_error(&t, &r->rows[i]);
		print_login(&t, &r->rows[i]);
		print_revoked(&t, &r->rows[i]);
		print_fleet(&t, &r->rows[i]);
	}
	print_broker(&t, r);
	return EXIT_OK;
}

/* For completion in a shell: only valid names. */
static void print_names(const struct status_report *r)
{
	size_t i;

	for (i = 0; i < r->count; i++)
		if (profile_name_valid(r->rows[i].name))
			puts(r->rows[i].name);
}

static int show(const struct settings *s, const struct daemon_reply *reply, const void *context)
{
	struct status_report r = STATUS_REPORT_NONE;
	const bool *names = context;
	int code = EXIT_OK;

	if (status_report_read(reply->body, reply->length, &r))
		code = daemon_reply_odd(s);
	else if (*names)
		print_names(&r);
	else
		code = print_report(s, &r);
	status_report_fini(&r);
	return code;
}

int command_status(const struct command *self, struct settings *s, int argc, char **argv)
{
	const struct daemon_request request = {
		.method = "GET",
		.path = "/v1/status",
		.wait_s = -1,
		.timeout_s = 5,
		.repeatable = true,
	};
	bool names = false;
	const struct option_spec own[] = {
		{"names", OPTION_FLAG, &names, NULL, "only the profiles' names", 0},
	};
	int code = options_read_alone(self, s, own, 1, argc, argv);

	return code == GO_ON ? daemon_show(s, &request, show, &names) : code;
}
