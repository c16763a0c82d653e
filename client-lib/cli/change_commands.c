/* reject, refresh, revoke: have the token replaced or ended. */
#include "command.h"
#include "daemon_call.h"
#include "fingerprint.h"
#include "json_read.h"
#include "options.h"
#include "output.h"
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
		complain("reject: which token? Give it on standard input, or --generation");
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
		complain("reject: which token? Standard input is empty; give it there, or "
			 "--generation");
		return EXIT_USAGE;
	}
	if (!is_token(ret, length)) {
		complain("reject: what standard input has is no token");
		return EXIT_USAGE;
	}
	*ret_length = length;
	return EXIT_OK;
}

static int fingerprint_from_input(char *ret)
{
	char token[TOKEN_MAX + 3];
	size_t length = 0;
	int code = read_token(token, sizeof(token), &length);

	if (code == EXIT_OK)
		code = fingerprint_make(token, length, ret);
	explicit_bzero(token, sizeof(token));
	return code;
}

int command_reject(const struct command *self, struct settings *s, int argc, char **argv)
{
	int64_t generation = 0, wait_s = -1;
	const struct option_spec own[] = {
		{"generation", OPTION_NUMBER, &generation, "G",
			"the token's generation, instead of the token", GENERATION_MAX},
		{"wait", OPTION_NUMBER, &wait_s, "S",
			"how long to wait for the new token, in seconds (5)", WAIT_MAX_S},
	};
	struct daemon_answer answer = DAEMON_ANSWER_NONE;
	char target[200], fingerprint[FINGERPRINT_LENGTH + 1];
	struct daemon_request request = {
		.method = "POST",
		.target = target,
		.accept = s->json ? "application/json" : "text/plain",
		.repeatable = true, /* a second report of the same token changes nothing */
	};
	int code = options_read_alone(self, s, own, 2, argc, argv);

	if (code != GO_ON)
		return code;
	code = check_profile_name(s);
	if (code != EXIT_OK)
		return code;
	if (generation) {
		snprintf(target, sizeof(target), "/v1/token/reject?profile=%s&generation=%" PRId64,
			s->profile, generation);
	} else {
		code = fingerprint_from_input(fingerprint);
		if (code != EXIT_OK)
			return code;
		snprintf(target, sizeof(target), "/v1/token/reject?profile=%s&fingerprint=%s",
			s->profile, fingerprint);
	}
	if (s->json)
		request.accept = "application/json";
	request.wait_s = wait_s;
	request.timeout_s = (wait_s < 0 ? WAIT_DEFAULT_S : wait_s) + 1;
	request.patience_ms = request.timeout_s < 3 ? (request.timeout_s - 1) * 1000 : 2000;
	code = daemon_call(s, &request, &answer);
	if (code == EXIT_OK && s->json)
		code = print_bytes(answer.body, answer.length);
	daemon_answer_fini(&answer);
	return code;
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

int command_refresh(const struct command *self, struct settings *s, int argc, char **argv)
{
	int64_t wait_s = 60;
	const struct option_spec own[] = {
		{"wait", OPTION_NUMBER, &wait_s, "S",
			"how long to wait for the daemon's answer, in seconds (60)", WAIT_MAX_S},
	};
	struct daemon_answer answer = DAEMON_ANSWER_NONE;
	struct new_token t = {.generation = 0};
	char target[160], good_for[DURATION_TEXT_SIZE];
	struct daemon_request request = {
		.method = "POST",
		.target = target,
		.accept = "application/json",
		.wait_s = -1, /* the daemon answers when the fetch has ended */
		.repeatable = false,
		.denied = daemon_denied_no_admin,
	};
	int code = options_read_alone(self, s, own, 1, argc, argv);

	if (code != GO_ON)
		return code;
	code = check_profile_name(s);
	if (code != EXIT_OK)
		return code;
	snprintf(target, sizeof(target), "/v1/refresh?profile=%s", s->profile);
	request.timeout_s = wait_s + 1;
	code = daemon_call(s, &request, &answer);
	if (code != EXIT_OK)
		return code;
	if (s->json) {
		code = print_bytes(answer.body, answer.length);
	} else if (!json_read(answer.body, answer.length, see_new_token, &t) || t.generation < 1) {
		code = daemon_answer_odd(s);
	} else {
		duration_text(t.expires_in, good_for);
		printf("%s: new token, generation %.0f, good for %s (fingerprint %s)\n", s->profile,
			t.generation, good_for, t.fingerprint);
	}
	daemon_answer_fini(&answer);
	return code;
}

int command_revoke(const struct command *self, struct settings *s, int argc, char **argv)
{
	struct daemon_answer answer = DAEMON_ANSWER_NONE;
	char target[160];
	const struct daemon_request request = {
		.method = "POST",
		.target = target,
		.accept = "application/json",
		.wait_s = -1,
		.timeout_s = 60, /* Genesys Cloud has to be told */
		.repeatable = false,
		.denied = daemon_denied_no_admin,
	};
	int code = options_read_alone(self, s, NULL, 0, argc, argv);

	if (code != GO_ON)
		return code;
	code = check_profile_name(s);
	if (code != EXIT_OK)
		return code;
	snprintf(target, sizeof(target), "/v1/revoke?profile=%s", s->profile);
	code = daemon_call(s, &request, &answer);
	if (code != EXIT_OK)
		return code;
	if (s->json)
		code = print_bytes(answer.body, answer.length);
	else
		printf("%s: the token is revoked; 'gctoken refresh' brings the profile back\n",
			s->profile);
	daemon_answer_fini(&answer);
	return code;
}
