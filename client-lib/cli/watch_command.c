/* watch: asks for the token after the one it knows, again and again; the daemon holds the request
 * until there is one. A daemon that restarts, a login server that is down, or a profile that waits
 * for a person is reported once and waited for, and so is a disk that was full by the time of a
 * later token; what only other arguments or rules can change ends it. */
#include "command.h"
#include "daemon_call.h"
#include "options.h"
#include "output.h"
#include "replace_file.h"
#include "token_json.h"
#include "watch_child.h"

#include "../clocks.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* How long one request is held: so often it is seen whether somebody still reads what is written.
 */
#define HOLD_S 20
#define PAUSE_FIRST_MS 500
#define PAUSE_MAX_MS 15000

struct watch {
	const struct settings *s;
	const char *command; /* NULL: none */
	const char *file;    /* likewise */
	mode_t file_mode;
	bool file_written;
	double generation; /* 0: none seen */
	int64_t hold_s;    /* -1: as long as the daemon holds one that does not say */
	bool reached;      /* the daemon has replied once */
	char told[64];     /* the trouble that was reported last */
	int pause_ms;
};

static void print_line(const struct settings *s, const struct token_parts *t)
{
	time_t now = time(NULL);
	char at[32];
	struct tm utc;

	gmtime_r(&now, &utc);
	strftime(at, sizeof(at), "%Y-%m-%dT%H:%M:%SZ", &utc);
	printf(s->json ? "{\"time\":\"%s\",\"profile\":\"%s\",\"generation\":%.0f,"
			 "\"fingerprint\":\"%s\",\"expires_in\":%.0f,\"state\":\"%s\"}\n"
		       : "%s %s generation %.0f, fingerprint %s, good for %.0f s, %s\n",
		at, s->profile, t->generation, t->fingerprint, t->expires_in, t->state);
}

/* Fingerprint and state go into a line of words, or of JSON. */
static bool is_word(const char *text)
{
	return *text && !text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_")];
}

#define NOT_WRITTEN "--file"

/* EXIT_OK, GO_ON: not now, or the exit code. */
static int write_file(struct watch *w, const struct token_parts *t)
{
	bool told = !strcmp(w->told, NOT_WRITTEN);
	char line[GCTOKEN_TOKEN_MAX + 1];
	size_t length = strlen(t->token);
	int code;

	memcpy(line, t->token, length);
	line[length++] = '\n';
	code = replace_file("--file", w->file, w->file_mode, line, length, told);
	explicit_bzero(line, sizeof(line));
	w->file_written = w->file_written || code == EXIT_OK;
	if (code != EXIT_FAILED || !w->file_written)
		return code;
	if (!told)
		fputs("gctoken: watch goes on trying\n", stderr);
	strcpy(w->told, NOT_WRITTEN);
	return GO_ON;
}

/* The file comes first: whoever reads the line finds it there. GO_ON, or the exit code. */
static int hand_out(struct watch *w, const struct token_parts *t)
{
	int code = w->file ? write_file(w, t) : EXIT_OK;

	if (code != EXIT_OK)
		return code;
	w->generation = t->generation;
	*w->told = '\0';
	w->pause_ms = PAUSE_FIRST_MS;
	print_line(w->s, t);
	if (fflush(stdout))
		return complain_of_output(-errno);
	if (w->command)
		watch_child_run(w->command, t);
	return GO_ON;
}

/* GO_ON, or the exit code. */
static int take_token(struct watch *w, const struct daemon_reply *reply)
{
	struct token_parts token;
	int code = GO_ON;

	if (!token_json_read(reply->body, reply->length, &token) || token.generation < 1 ||
		!is_word(token.fingerprint) || !is_word(token.state)) {
		code = daemon_reply_odd(w->s);
	} else if (token.generation != w->generation) {
		code = hand_out(w, &token);
	}
	explicit_bzero(&token, sizeof(token));
	return code;
}

/* Whether waiting may help. If a profile is gone or may not be seen any more, somebody took it
 * away. */
static bool may_pass(int code)
{
	return code == EXIT_TRY_LATER || code == EXIT_UNREACHABLE || code == EXIT_FAILED;
}

/* The same trouble again and again is reported once. GO_ON, or the exit code. */
static int meet_trouble(
	struct watch *w, const struct daemon_request *r, int error, const struct daemon_reply *a)
{
	struct settings quiet = *w->s;
	char trouble[sizeof(w->told)] = "";
	int code;

	quiet.json = false; /* standard output has lines of tokens only */
	if (error)
		snprintf(trouble, sizeof(trouble), "%d", error);
	else
		daemon_error_code(a, trouble, sizeof(trouble));
	if (!strcmp(trouble, w->told))
		return GO_ON;
	code = error ? daemon_explain_silence(&quiet, r, error)
		     : daemon_explain_refusal(&quiet, r, a);
	if (!may_pass(code) || (error && !w->reached))
		return code;
	fputs("gctoken: watch goes on waiting\n", stderr);
	strcpy(w->told, trouble);
	return GO_ON;
}

/* Ends as a write to a pipe that nobody reads would. */
static void end_if_nobody_reads(void)
{
	struct pollfd p = {.fd = STDOUT_FILENO};

	if (poll(&p, 1, 0) > 0 && p.revents & POLLERR)
		raise(SIGPIPE);
}

/* One request and what comes of it. GO_ON, or the exit code. */
static int step(struct watch *w)
{
	char query[40];
	const struct daemon_request request = {
		.method = "GET",
		.path = "/v1/token",
		.of_profile = true,
		.query = query,
		.wait_s = w->hold_s,
		.timeout_s = HOLD_S + 5,
		.patience_ms = 2000,
		.gone_max_ms = 2000, /* who is held for long is told when it is gone for longer */
		.repeatable = true,
	};
	struct daemon_reply reply = DAEMON_REPLY_NONE;
	int64_t began_ms = gctoken_monotonic_ms();
	bool news = false;
	int error, code = GO_ON;

	snprintf(query, sizeof(query), "&after=%.0f", w->generation);
	error = daemon_ask(w->s, &request, &reply);
	w->reached = w->reached || !error;
	if (!error && reply.status == 200) {
		double before = w->generation;

		code = take_token(w, &reply);
		news = w->generation != before;
	} else if (!error && reply.status == 400 && w->hold_s >= 0) {
		w->hold_s = -1; /* it may be more than max_wait */
	} else if (error || reply.status != 304) {
		code = meet_trouble(w, &request, error, &reply);
	}
	daemon_reply_fini(&reply);
	/* Whoever replies at once without news is not asked again at once. */
	if (code == GO_ON && !news && gctoken_monotonic_ms() - began_ms < 1000) {
		poll(NULL, 0, w->pause_ms);
		w->pause_ms = w->pause_ms * 2 < PAUSE_MAX_MS ? w->pause_ms * 2 : PAUSE_MAX_MS;
	}
	return code;
}

/* Octal, as chmod has it, and only what is about reading and writing. */
static int read_mode(const char *text, mode_t *ret)
{
	size_t length = strlen(text);

	if (length < 3 || length > 4 || strspn(text, "0246") != length ||
		(length == 4 && *text != '0')) {
		complain("--mode: three octal digits are expected, as in 0640, for those who may "
			 "read "
			 "the file: %s",
			text);
		return EXIT_USAGE;
	}
	*ret = (mode_t)strtoul(text, NULL, 8);
	return GO_ON;
}

int command_watch(const struct command *self, struct settings *s, int argc, char **argv)
{
	struct watch w = {.s = s,
		.hold_s = HOLD_S,
		.pause_ms = PAUSE_FIRST_MS,
		.file_mode = S_IRUSR | S_IWUSR};
	const char *mode = NULL;
	const struct option_spec own[] = {
		{"exec", OPTION_TEXT, &w.command, "CMD",
			"run sh -c CMD for each token, with the token in its environment", 0},
		{"file", OPTION_TEXT, &w.file, "PATH",
			"keep the current token in PATH, and a newline behind it", 0},
		{"mode", OPTION_TEXT, &mode, "MODE", "who may read PATH, for example 0640 (0600)",
			0},
	};
	int code = options_read_of_profile(self, s, own, 3, argc, argv);

	if (code == GO_ON && mode && !w.file) {
		complain("--mode is the mode of --file, which is not given");
		return EXIT_USAGE;
	}
	if (code == GO_ON && mode)
		code = read_mode(mode, &w.file_mode);
	while (code == GO_ON) {
		end_if_nobody_reads();
		code = step(&w);
	}
	return code;
}
