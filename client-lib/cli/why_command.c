/* why: the profile's history as a table, newest last, where a person looks first; below it the
 * state now. */
#include "command.h"
#include "daemon_call.h"
#include "json_read.h"
#include "options.h"
#include "output.h"
#include "status_report.h"
#include "terminal.h"
#include "user_names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EVENTS_MAX 1024

struct event {
	char time[32]; /* ISO 8601, UTC */
	char kind[32];
	char words[640];
	double ago, generation, times;
};

struct history_report {
	struct event *events; /* EVENTS_MAX; those beyond are not taken */
	size_t count;
};

static void see_value(void *context, const struct json_value *v)
{
	struct history_report *r = context;
	struct event *e;
	char words[512];

	if (strncmp(v->path, "events[].", 9) || v->index >= EVENTS_MAX)
		return;
	while (r->count <= v->index)
		r->events[r->count++] = (struct event){.times = 1};
	e = &r->events[v->index];
	json_take_text(v, "events[].time", e->time, sizeof(e->time));
	json_take_text(v, "events[].event", e->kind, sizeof(e->kind));
	if (json_take_text(v, "events[].words", words, sizeof(words)))
		user_names_put(words, e->words, sizeof(e->words));
	json_take_number(v, "events[].ago", &e->ago);
	json_take_number(v, "events[].generation", &e->generation);
	json_take_number(v, "events[].times", &e->times);
}

/* The daemon's UTC in this user's time zone; without the date if that is today. */
static void local_time_text(const struct event *e, time_t now, char *ret, size_t size)
{
	struct tm utc = {.tm_isdst = 0}, local, today;
	time_t t;

	if (!strptime(e->time, "%Y-%m-%dT%H:%M:%S", &utc)) {
		snprintf(ret, size, "?");
		return;
	}
	t = timegm(&utc);
	localtime_r(&t, &local);
	localtime_r(&now, &today);
	strftime(ret, size,
		local.tm_year == today.tm_year && local.tm_yday == today.tm_yday ? "%H:%M:%S"
										 : "%d %b %H:%M",
		&local);
}

static enum style kind_style(const char *kind)
{
	static const struct {
		const char *kind;
		enum style style;
	} styles[] = {
		{"token", STYLE_GOOD},
		{"replaced", STYLE_GOOD},
		{"fetch_failed", STYLE_BAD},
		{"client_rejected", STYLE_BAD},
		{"login_required", STYLE_BAD},
		{"expired", STYLE_BAD},
		{"revoked", STYLE_BAD},
		{"state_file", STYLE_BAD},
		{"secrets", STYLE_BAD},
		{"throttled", STYLE_WARN},
		{"mint_limit", STYLE_WARN},
		{"claims_ignored", STYLE_WARN},
		{"reported", STYLE_WARN},
		{"wall_step", STYLE_WARN},
		{"server_step", STYLE_WARN},
		{"clock_foreign", STYLE_WARN},
		{"denied", STYLE_WARN},
	};
	size_t i;

	for (i = 0; i < sizeof(styles) / sizeof(styles[0]); i++)
		if (!strcmp(kind, styles[i].kind))
			return styles[i].style;
	return STYLE_BOLD;
}

struct layout {
	int time, ago, kind, generation; /* widths; 0: the column is left out */
	bool below;                      /* the words stand in a line of their own */
};

static void lay_out(const struct history_report *r, size_t from, time_t now,
	const struct terminal *t, struct layout *l)
{
	char text[DURATION_TEXT_SIZE], when[32];
	size_t i;

	*l = (struct layout){.time = 4, .ago = 3, .kind = 5, .generation = 3};
	for (i = from; i < r->count; i++) {
		const struct event *e = &r->events[i];
		int n;

		local_time_text(e, now, when, sizeof(when));
		n = (int)strlen(when);
		l->time = n > l->time ? n : l->time;
		duration_text(e->ago, text);
		n = (int)strlen(text);
		l->ago = n > l->ago ? n : l->ago;
		n = (int)strlen(e->kind);
		l->kind = n > l->kind ? n : l->kind;
		n = snprintf(text, sizeof(text), "%.0f", e->generation);
		l->generation = n > l->generation ? n : l->generation;
	}
	if (t->width && t->width < 100)
		l->generation = 0;
	l->below = t->width && t->width < 72;
	if (t->width && t->width < 40)
		l->time = 0;
}

static void print_event(
	const struct terminal *t, const struct layout *l, const struct event *e, time_t now)
{
	char ago[DURATION_TEXT_SIZE], when[32], words[700];
	int indent = l->time + 2 + l->ago + 2 + l->kind + 2;

	local_time_text(e, now, when, sizeof(when));
	duration_text(e->ago, ago);
	if (e->times > 1)
		snprintf(words, sizeof(words), "%s (%.0f times)", e->words, e->times);
	else
		snprintf(words, sizeof(words), "%s", e->words);
	terminal_style(t, STYLE_DIM);
	if (l->time)
		printf("%-*s  ", l->time, when);
	printf("%*s  ", l->ago, ago);
	terminal_style(t, STYLE_PLAIN);
	terminal_style(t, kind_style(e->kind));
	printf("%s", e->kind);
	terminal_style(t, STYLE_PLAIN);
	if (l->below) {
		printf("\n  ");
		terminal_wrap(t, 2, words);
		return;
	}
	printf("%*s", l->kind - (int)strlen(e->kind) + 2, "");
	if (l->generation) {
		if (e->generation > 0)
			printf("%*.0f  ", l->generation, e->generation);
		else
			printf("%*s  ", l->generation, "-");
		indent += l->generation + 2;
	}
	terminal_wrap(t, indent, words);
}

static void print_title(const struct terminal *t, const struct layout *l)
{
	terminal_style(t, STYLE_DIM);
	if (l->time)
		printf("%-*s  ", l->time, "TIME");
	printf("%*s  ", l->ago, "AGO");
	if (l->below)
		printf("EVENT");
	else if (l->generation)
		printf("%-*s  %*s  WHY", l->kind, "EVENT", l->generation, "GEN");
	else
		printf("%-*s  WHY", l->kind, "EVENT");
	terminal_style(t, STYLE_PLAIN);
	putchar('\n');
}

/* The state now; nothing if the daemon does not give it: the history has been shown. */
static void print_now(const struct settings *s, const struct terminal *t)
{
	struct status_report report = STATUS_REPORT_NONE;
	const struct status_row *r = NULL;
	char text[256], time[DURATION_TEXT_SIZE];
	size_t n;

	if (!status_report_ask(s, 5, 0, &report))
		r = status_report_find(&report, s->profile);
	if (r) {
		n = (size_t)snprintf(text, sizeof(text), "Now: %s", r->state);
		if (r->expires_in > 0) {
			duration_text(r->expires_in, time);
			n += (size_t)snprintf(
				text + n, sizeof(text) - n, ", the token is good for %s", time);
		}
		if (r->next_attempt_in != STATUS_ABSENT) {
			duration_text(r->next_attempt_in, time);
			snprintf(text + n, sizeof(text) - n, "; the next fetch is due %s%s",
				r->next_attempt_in > 0 ? "in " : "now",
				r->next_attempt_in > 0 ? time : "");
		}
		putchar('\n');
		terminal_style(t, STYLE_BOLD);
		terminal_wrap(t, 0, text);
		terminal_style(t, STYLE_PLAIN);
	}
	status_report_fini(&report);
}

static void print_report(const struct settings *s, const struct history_report *r, int64_t last)
{
	size_t from = last >= 0 && r->count > (size_t)last ? r->count - (size_t)last : 0, i;
	time_t now = time(NULL);
	struct terminal t;
	struct layout l;

	terminal_look(s, &t);
	lay_out(r, from, now, &t, &l);
	if (!r->count)
		printf("%s: nothing has happened yet\n", s->profile);
	else if (from < r->count)
		print_title(&t, &l);
	for (i = from; i < r->count; i++)
		print_event(&t, &l, &r->events[i], now);
	print_now(s, &t);
}

static int show(const struct settings *s, const struct daemon_reply *reply, const void *context)
{
	struct history_report r = {.events = calloc(EVENTS_MAX, sizeof(*r.events))};
	const int64_t *last = context;
	int code = EXIT_FAILED;

	if (!r.events) {
		complain("out of memory");
	} else if (!json_read(reply->body, reply->length, see_value, &r)) {
		code = daemon_reply_odd(s);
	} else {
		print_report(s, &r, *last);
		code = EXIT_OK;
	}
	free(r.events);
	return code;
}

int command_why(const struct command *self, struct settings *s, int argc, char **argv)
{
	int64_t last = -1;
	const struct option_spec own[] = {
		{"last", OPTION_NUMBER, &last, "N", "the latest N events (all)", EVENTS_MAX},
	};
	const struct daemon_request request = {
		.method = "GET",
		.path = "/v1/history",
		.of_profile = true,
		.wait_s = -1,
		.timeout_s = 5,
		.repeatable = true,
		.denied = daemon_denied_no_admin,
	};
	int code = options_read_of_profile(self, s, own, 1, argc, argv);

	return code == GO_ON ? daemon_show(s, &request, show, &last) : code;
}
