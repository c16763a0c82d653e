/* check and metrics, for monitoring. */
#include "command.h"
#include "daemon_call.h"
#include "options.h"
#include "output.h"
#include "replace_file.h"
#include "status_report.h"
#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* As monitoring plugins have it. */
enum verdict {
	CHECK_OK = 0,
	CHECK_WARNING = 1,
	CHECK_CRITICAL = 2,
	CHECK_UNKNOWN = 3,
};

struct finding {
	enum verdict verdict;
	const char *state; /* NULL: not known */
	char words[800];   /* printable ASCII without quotes or backslashes */
	double expires_in;
};

static void judge(const struct status_row *row, int64_t min_ttl_s, struct finding *ret)
{
	char good_for[DURATION_TEXT_SIZE], error[700] = "";
	bool has_token = row->expires_in != STATUS_ABSENT && row->expires_in > 0;

	duration_text(row->expires_in, good_for);
	if (*row->error_class)
		snprintf(error, sizeof(error), "; latest failure: %s%s%s", row->error_class,
			*row->error_words ? ": " : "", row->error_words);
	ret->state = row->state;
	if (!has_token || (strcmp(row->state, "fresh") && strcmp(row->state, "stale"))) {
		ret->verdict = CHECK_CRITICAL;
		snprintf(ret->words, sizeof(ret->words), "no token (%s)%s", row->state, error);
		return;
	}
	ret->expires_in = row->expires_in;
	if (row->expires_in < (double)min_ttl_s) {
		ret->verdict = CHECK_WARNING;
		snprintf(ret->words, sizeof(ret->words),
			"%s, good for only %s, --min-ttl is %lld s%s", row->state, good_for,
			(long long)min_ttl_s, !strcmp(row->state, "stale") ? error : "");
	} else if (!strcmp(row->state, "stale")) {
		ret->verdict = CHECK_WARNING;
		snprintf(ret->words, sizeof(ret->words), "stale, good for %s%s", good_for, error);
	} else if (*error) {
		ret->verdict = CHECK_WARNING;
		snprintf(ret->words, sizeof(ret->words),
			"fresh, good for %s, but the latest token request failed%s", good_for,
			error);
	} else {
		ret->verdict = CHECK_OK;
		snprintf(ret->words, sizeof(ret->words), "fresh, good for %s, generation %.0f",
			good_for, row->generation);
	}
}

static void look(const struct settings *s, int64_t min_ttl_s, struct finding *ret)
{
	struct status_report report = STATUS_REPORT_NONE;
	const struct status_row *row;
	/* a restart is no reason to wake anybody */
	int r = status_report_ask(s, 5, 2000, &report);

	ret->verdict = r == -EINVAL || r == -ENAMETOOLONG ? CHECK_UNKNOWN : CHECK_CRITICAL;
	if (r == -EPROTO)
		snprintf(ret->words, sizeof(ret->words), "the reply at %s makes no sense",
			s->socket);
	else if (r < 0)
		snprintf(ret->words, sizeof(ret->words), "the daemon at %s cannot be reached: %s",
			s->socket, strerror(-r));
	else if (r)
		snprintf(ret->words, sizeof(ret->words), "the daemon answers HTTP %d", r);
	else if (!(row = status_report_find(&report, s->profile)))
		snprintf(ret->words, sizeof(ret->words),
			"there is no such profile, or this user may not see it");
	else
		judge(row, min_ttl_s, ret);
	/* `state` points into the report: only whether it is one of the two that have a token is
	 * told further. */
	if (ret->state)
		ret->state = !strcmp(ret->state, "fresh")   ? "fresh"
			     : !strcmp(ret->state, "stale") ? "stale"
							    : "none";
	status_report_fini(&report);
}

/* One line, whatever a server's words or a socket's path hold. */
static void make_plain(char *text)
{
	for (; *text; text++)
		if (*text < 0x20 || *text > 0x7e || *text == '|')
			*text = '?';
		else if (*text == '"' || *text == '\\')
			*text = '\'';
}

int command_check(const struct command *self, struct settings *s, int argc, char **argv)
{
	static const char *const names[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};
	int64_t min_ttl_s = 0;
	const struct option_spec own[] = {
		{"min-ttl", OPTION_NUMBER, &min_ttl_s, "S",
			"warn if the token expires sooner than that, in seconds", INT32_MAX},
	};
	struct finding f = {.verdict = CHECK_UNKNOWN};
	int code = options_read_of_profile(self, s, own, 1, argc, argv);

	if (code != GO_ON)
		return code == EXIT_OK ? code : (int)CHECK_UNKNOWN;
	look(s, min_ttl_s, &f);
	make_plain(f.words);
	if (s->json)
		printf("{\"profile\":\"%s\",\"verdict\":\"%s\",\"state\":\"%s\",\"expires_in\":%."
		       "0f,\"words\":\"%s\"}\n",
			s->profile, names[f.verdict], f.state ? f.state : "unknown", f.expires_in,
			f.words);
	else if (f.expires_in > 0)
		printf("%s %s: %s | expires_in=%.0fs\n", names[f.verdict], s->profile, f.words,
			f.expires_in);
	else
		printf("%s %s: %s\n", names[f.verdict], s->profile, f.words);
	return (int)f.verdict;
}

int command_metrics(const struct command *self, struct settings *s, int argc, char **argv)
{
	const char *output = NULL;
	const struct option_spec own[] = {
		{"output", OPTION_TEXT, &output, "FILE",
			"replace FILE with the metrics instead of printing them", 0},
	};
	const struct daemon_request request = {
		.method = "GET",
		.path = "/metrics",
		.accept = "text/plain",
		.wait_s = -1,
		.timeout_s = 10,
		.patience_ms = 2000,
		.repeatable = true,
	};
	struct daemon_reply reply = DAEMON_REPLY_NONE;
	int code = options_read_alone(self, s, own, 1, argc, argv);

	if (code != GO_ON)
		return code;
	code = daemon_call(s, &request, &reply);
	if (code != EXIT_OK)
		return code;
	/* the collector that reads it is another user */
	code = output ? replace_file("--output", output, 0644, reply.body, reply.length, false)
		      : print_bytes(reply.body, reply.length);
	daemon_reply_fini(&reply);
	return code;
}
