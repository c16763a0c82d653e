/* reject, refresh, revoke: the token is replaced or ended. */
#include "command.h"
#include "daemon_call.h"
#include "fingerprint.h"
#include "json_read.h"
#include "options.h"
#include "output.h"
#include "status_report.h"
#include "terminal.h"
#include "token_json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define GENERATION_MAX (INT64_C(1) << 53)

/* A token and at most one line end from standard input. */
static int read_token(char *ret, size_t size, size_t *ret_length)
{
	size_t length = 0;

	if (isatty(STDIN_FILENO)) {
		complain("reject: which token? Give it on standard input, or use --generation");
		return EXIT_USAGE;
	}
	while (length < size) {
		ssize_t n = read(STDIN_FILENO, ret + length, size - length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			complain("cannot read standard input: %s", strerror(errno));
			return EXIT_FAILED;
		}
		if (!n)
			break;
		length += (size_t)n;
	}
	if (length && ret[length - 1] == '\n')
		length--;
	if (length && ret[length - 1] == '\r')
		length--;
	if (!length) {
		complain("reject: which token? Standard input is empty; give it there, or use "
			 "--generation");
		return EXIT_USAGE;
	}
	if (!is_token(ret, length)) {
		complain("reject: standard input does not hold a token");
		return EXIT_USAGE;
	}
	*ret_length = length;
	return EXIT_OK;
}

static int fingerprint_from_input(char *ret)
{
	char token[GCTOKEN_TOKEN_MAX + 3];
	size_t length = 0;
	int code = read_token(token, sizeof(token), &length);

	if (code == EXIT_OK)
		code = fingerprint_make(token, length, ret);
	explicit_bzero(token, sizeof(token));
	return code;
}

int command_reject(const struct command *self, struct settings *s, int argc, char **argv)
{
	int64_t generation = -1, wait_s = -1;
	const struct option_spec own[] = {
		{"generation", OPTION_NUMBER, &generation, "G",
			"the token's generation, instead of the token", GENERATION_MAX},
		{"wait", OPTION_NUMBER, &wait_s, "S",
			"how long to wait for the new token, in seconds (5)", WAIT_MAX_S},
	};
	char query[64], fingerprint[FINGERPRINT_LENGTH + 1];
	struct daemon_request request = {
		.method = "POST",
		.path = "/v1/token/reject",
		.of_profile = true,
		.query = query,
		.repeatable = true, /* a second report of the same token changes nothing */
	};
	int code = options_read_of_profile(self, s, own, 2, argc, argv);

	if (code != GO_ON)
		return code;
	if (generation >= 0) {
		snprintf(query, sizeof(query), "&generation=%" PRId64, generation);
	} else {
		code = fingerprint_from_input(fingerprint);
		if (code != EXIT_OK)
			return code;
		snprintf(query, sizeof(query), "&fingerprint=%s", fingerprint);
	}
	if (!s->json)
		request.accept = "text/plain";
	request.wait_by_default = wait_s < 0;
	if (wait_s < 0)
		wait_s = WAIT_DEFAULT_S;
	request.wait_s = wait_s;
	request.timeout_s = wait_s + 1;
	request.patience_ms = wait_s < 5 ? wait_s * 1000 : PATIENCE_MAX_MS;
	return daemon_show(s, &request, NULL, NULL);
}

struct new_token {
	double generation;
	double expires_in;
	char fingerprint[24];
};

static void see_new_token(void *context, const struct json_value *v)
{
	struct new_token *t = context;

	json_take_number(v, "generation", &t->generation);
	json_take_number(v, "expires_in", &t->expires_in);
	json_take_text(v, "fingerprint", t->fingerprint, sizeof(t->fingerprint));
}

/* In how many seconds it is served; 0: it is already, or that cannot be told. */
static double serves_in(const struct settings *s, double generation)
{
	struct status_report report = STATUS_REPORT_NONE;
	const struct status_row *row = NULL;
	double seconds = 0;

	if (!status_report_ask(s, 2, 0, &report))
		row = status_report_find(&report, s->profile);
	if (row && row->next_generation >= generation)
		seconds = row->next_serves_in;
	status_report_fini(&report);
	return seconds;
}

static int show_new_token(
	const struct settings *s, const struct daemon_reply *reply, const void *context)
{
	struct new_token t = {.generation = 0};
	char good_for[DURATION_TEXT_SIZE];
	double wait_s;

	(void)context;
	if (!json_read(reply->body, reply->length, see_new_token, &t) || t.generation < 1)
		return daemon_reply_odd(s);
	duration_text(t.expires_in, good_for);
	printf("%s: new token, generation %.0f, good for %s (fingerprint %s)\n", s->profile,
		t.generation, good_for, t.fingerprint);
	wait_s = serves_in(s, t.generation);
	if (wait_s > 0)
		printf("It is served in %.0f s, when no server's clock can take it for a token "
		       "from\n"
		       "the future. Until then 'get' gives the one before.\n",
			wait_s);
	return EXIT_OK;
}

int command_refresh(const struct command *self, struct settings *s, int argc, char **argv)
{
	int64_t wait_s = 60;
	const struct option_spec own[] = {
		{"wait", OPTION_NUMBER, &wait_s, "S",
			"how long to wait for the daemon's reply, in seconds (60)", WAIT_MAX_S},
	};
	struct daemon_request request = {
		.method = "POST",
		.path = "/v1/refresh",
		.of_profile = true,
		.wait_s = -1, /* the daemon replies when the fetch has ended */
		.repeatable = false,
		.denied = daemon_denied_no_admin,
	};
	int code = options_read_of_profile(self, s, own, 1, argc, argv);

	if (code != GO_ON)
		return code;
	request.timeout_s = wait_s + 1;
	return daemon_show(s, &request, show_new_token, NULL);
}

static int show_revoked(
	const struct settings *s, const struct daemon_reply *reply, const void *context)
{
	(void)reply;
	(void)context;
	printf("%s: the token is revoked, and nobody gets one until an administrator runs\n"
	       "'gctoken --profile %s refresh'.\n"
	       "Earlier tokens, and those that others obtained with this client, stay valid at\n"
	       "Genesys Cloud until they expire.\n",
		s->profile, s->profile);
	return EXIT_OK;
}

int command_revoke(const struct command *self, struct settings *s, int argc, char **argv)
{
	const struct daemon_request request = {
		.method = "POST",
		.path = "/v1/revoke",
		.of_profile = true,
		.wait_s = -1,
		.timeout_s = 60, /* Genesys Cloud has to be told */
		.repeatable = false,
		.denied = daemon_denied_no_admin,
	};
	int code = options_read_of_profile(self, s, NULL, 0, argc, argv);

	return code == GO_ON ? daemon_show(s, &request, show_revoked, NULL) : code;
}
