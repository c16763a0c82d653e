/* status: a table of profiles that fits the terminal. What is wrong stands under the row it belongs
 * to. Columns that do not fit are left out, the least telling first. */
#include "daemon_call.h"
#include "options.h"
#include "status_report.h"
#include "terminal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void count_text(double n, char *ret)
{
	if (n == STATUS_ABSENT)
		strcpy(ret, "-");
	else
		snprintf(ret, STATUS_CELL_SIZE, "%.0f", n);
}

static void time_text(double seconds, const char *past, char *ret)
{
	if (seconds == STATUS_ABSENT)
		strcpy(ret, "-");
	else if (seconds <= 0)
		strcpy(ret, past);
	else
		duration_text(seconds, ret);
}

static void cell_profile(const struct status_row *r, char *ret)
{
	strcpy(ret, r->name);
}

static void cell_state(const struct status_row *r, char *ret)
{
	strcpy(ret, *r->state ? r->state : "unknown");
}

static void cell_expires(const struct status_row *r, char *ret)
{
	time_text(r->expires_in, "-", ret);
}

static void cell_refresh(const struct status_row *r, char *ret)
{
	time_text(r->refresh_in, "due", ret);
}

static void cell_generation(const struct status_row *r, char *ret)
{
	count_text(r->generation > 0 ? r->generation : STATUS_ABSENT, ret);
}

static void cell_region(const struct status_row *r, char *ret)
{
	strcpy(ret, *r->region ? r->region : "-");
}

static void cell_skew(const struct status_row *r, char *ret)
{
	if (r->skew == STATUS_ABSENT)
		strcpy(ret, "-");
	else
		offset_text(r->skew, ret);
}

static void cell_served(const struct status_row *r, char *ret)
{
	count_text(r->served, ret);
}

static void cell_fetches(const struct status_row *r, char *ret)
{
	count_text(r->fetches, ret);
}

static void cell_failures(const struct status_row *r, char *ret)
{
	count_text(r->failures, ret);
}

static void cell_rejections(const struct status_row *r, char *ret)
{
	count_text(r->rejections, ret);
}

static void cell_fingerprint(const struct status_row *r, char *ret)
{
	strcpy(ret, *r->fingerprint ? r->fingerprint : "-");
}

struct column {
	const char *title;
	void (*cell)(
		const struct status_row *r, char *ret); /* ret: STATUS_CELL_SIZE bytes, ASCII */
	bool right;
	int rank; /* the highest goes first where not all fit; 0 always stays */
};

#define RANK_OF_TIMES 2
#define NAME_MIN 12

static const struct column columns[] = {
	{"PROFILE", cell_profile, false, 0},
	{"STATE", cell_state, false, 0},
	{"EXPIRES", cell_expires, true, 1},
	{"REFRESH", cell_refresh, true, 2},
	{"GEN", cell_generation, true, 4},
	{"REGION", cell_region, false, 5},
	{"SKEW", cell_skew, true, 3},
	{"SERVED", cell_served, true, 6},
	{"FETCHES", cell_fetches, true, 8},
	{"FAILED", cell_failures, true, 7},
	{"REJECTED", cell_rejections, true, 9},
	{"FINGERPRINT", cell_fingerprint, false, 10},
};

#define COLUMN_COUNT (sizeof(columns) / sizeof(columns[0]))

struct layout {
	int width[COLUMN_COUNT];
	bool shown[COLUMN_COUNT];
};

static int total_width(const struct layout *l)
{
	int total = -2;
	size_t i;

	for (i = 0; i < COLUMN_COUNT; i++)
		if (l->shown[i])
			total += l->width[i] + 2;
	return total;
}

/* Leaves out columns by rank. Before the times go that the table is read for, a long name is cut;
 * it stays long enough to be told apart. */
static void fit(const struct terminal *t, struct layout *l)
{
	int name = l->width[0], least = name < NAME_MIN ? name : NAME_MIN, room;

	while (t->width && total_width(l) > t->width) {
		size_t worst = 0, c;

		for (c = 1; c < COLUMN_COUNT; c++)
			if (l->shown[c] && columns[c].rank > columns[worst].rank)
				worst = c;
		if (columns[worst].rank <= RANK_OF_TIMES)
			l->width[0] = least;
		if (!columns[worst].rank || total_width(l) <= t->width)
			break;
		l->shown[worst] = false;
	}
	room = t->width - total_width(l);
	if (l->width[0] < name && room > 0)
		l->width[0] += name - l->width[0] < room ? name - l->width[0] : room;
}

static void lay_out(const struct status_report *r, const struct terminal *t, struct layout *l)
{
	char cell[STATUS_CELL_SIZE];
	size_t c, i;

	for (c = 0; c < COLUMN_COUNT; c++) {
		l->shown[c] = true;
		l->width[c] = (int)strlen(columns[c].title);
		for (i = 0; i < r->count; i++) {
			int width;

			columns[c].cell(&r->rows[i], cell);
			width = (int)strlen(cell);
			if (width > l->width[c])
				l->width[c] = width;
		}
	}
	fit(t, l);
}

static enum style state_style(const char *state)
{
	if (!strcmp(state, "fresh"))
		return STYLE_GOOD;
	if (!strcmp(state, "stale") || !strcmp(state, "waiting"))
		return STYLE_WARN;
	return STYLE_BAD;
}

static void print_cell(const struct terminal *t, const char *text, int width, bool right, bool last)
{
	int length = (int)strlen(text);

	if (length > width)
		printf("%.*s%s", t->utf8 ? width - 1 : width - 2, text,
			t->utf8 ? "\xe2\x80\xa6" : "..");
	else if (right)
		printf("%*s", width, text);
	else
		printf("%-*s", last ? 0 : width, text);
}

static void print_row(
	const struct layout *l, const struct terminal *t, const struct status_row *row)
{
	char cell[STATUS_CELL_SIZE];
	size_t c, last = 0;

	for (c = 0; c < COLUMN_COUNT; c++)
		if (l->shown[c])
			last = c;
	for (c = 0; c <= last; c++) {
		enum style style = STYLE_PLAIN;

		if (!l->shown[c])
			continue;
		if (!row)
			style = STYLE_DIM;
		else if (columns[c].cell == cell_state)
			style = state_style(row->state);
		else if (!c)
			style = STYLE_BOLD;
		if (row)
			columns[c].cell(row, cell);
		else
			strcpy(cell, columns[c].title);
		if (c)
			fputs("  ", stdout);
		if (style != STYLE_PLAIN)
			terminal_style(t, style);
		print_cell(t, cell, l->width[c], columns[c].right, c == last);
		if (style != STYLE_PLAIN)
			terminal_style(t, STYLE_PLAIN);
	}
	putchar('\n');
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
		time_text(r->next_attempt_in, "now", next);
		snprintf(text + n, sizeof(text) - n, "; next attempt %s%s",
			r->next_attempt_in > 0 ? "in " : "", next);
	}
	fputs("  ", stdout);
	terminal_style(t, !strcmp(r->state, "fresh") ? STYLE_DIM : STYLE_WARN);
	terminal_wrap(t, 2, text);
	terminal_style(t, STYLE_PLAIN);
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
	if (*r->reload_problem) {
		snprintf(text, sizeof(text),
			"The latest reload was refused, the configuration before "
			"it is still in force: %s",
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
	struct layout l;
	size_t i;

	if (s->profile_named && !select_row(r, s->profile)) {
		complain("profile %s: there is none that this user may see. 'gctoken status' lists "
			 "those there are",
			s->profile);
		return EXIT_CONFIG;
	}
	terminal_look(s, &t);
	lay_out(r, &t, &l);
	if (r->count)
		print_row(&l, &t, NULL);
	else
		puts("There is no profile that this user may see.");
	for (i = 0; i < r->count; i++) {
		print_row(&l, &t, &r->rows[i]);
		print_error(&t, &r->rows[i]);
	}
	print_broker(&t, r);
	return EXIT_OK;
}

/* For completion in a shell: only what is a name. */
static void print_names(const struct status_report *r)
{
	size_t i;

	for (i = 0; i < r->count; i++)
		if (profile_name_is_valid(r->rows[i].name))
			puts(r->rows[i].name);
}

int command_status(const struct command *self, struct settings *s, int argc, char **argv)
{
	const struct daemon_request request = {
		.method = "GET",
		.target = "/v1/status",
		.accept = "application/json",
		.wait_s = -1,
		.timeout_s = 5,
		.repeatable = true,
	};
	struct daemon_answer answer = DAEMON_ANSWER_NONE;
	struct status_report r = STATUS_REPORT_NONE;
	bool names = false;
	const struct option_spec own[] = {
		{"names", OPTION_FLAG, &names, NULL, "nothing but the profiles' names", 0},
	};
	int code = options_read_alone(self, s, own, 1, argc, argv);

	if (code != GO_ON)
		return code;
	code = daemon_call(s, &request, &answer);
	if (code != EXIT_OK)
		return code;
	if (s->json) {
		code = print_bytes(answer.body, answer.length);
	} else if (status_report_read(answer.body, answer.length, &r)) {
		code = daemon_answer_odd(s);
	} else if (names) {
		print_names(&r);
	} else {
		code = print_report(s, &r);
	}
	status_report_fini(&r);
	daemon_answer_fini(&answer);
	return code;
}
