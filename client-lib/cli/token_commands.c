/* get, header, exec: a token for a script. */
#include "command.h"
#include "daemon_call.h"
#include "options.h"
#include "output.h"
#include "token_json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_MAX_MS 2000

struct token_options {
	int64_t min_ttl_s;
	int64_t wait_s; /* -1: not given */
};

static int read_options(const struct command *self, struct settings *s, bool in_order, int *argc,
	char ***argv, struct token_options *ret)
{
	struct token_options o = {0, -1};
	const struct option_spec own[] = {
		{"min-ttl", OPTION_NUMBER, &o.min_ttl_s, "S",
			"the token must live that many seconds, else it is replaced first",
			INT32_MAX},
		{"wait", OPTION_NUMBER, &o.wait_s, "S",
			"how long to wait for a token, in seconds (5)", WAIT_MAX_S},
	};
	int result;

	if (in_order)
		result = options_read(self, s, own, 2, true, argc, argv);
	else
		result = options_read_alone(self, s, own, 2, *argc, *argv);
	*ret = o;
	return result;
}

static int fetch(const struct settings *s, const struct token_options *o, bool as_json,
	struct daemon_answer *ret)
{
	int64_t wait_s = o->wait_s < 0 ? WAIT_DEFAULT_S : o->wait_s;
	char target[160], min_ttl[40] = "";
	struct daemon_request request = {
		.method = "GET",
		.target = target,
		.accept = as_json ? "application/json" : "text/plain",
		.wait_s = o->wait_s,
		.timeout_s = wait_s + 1,
		.patience_ms = wait_s < 2 ? wait_s * 1000 : PATIENCE_MAX_MS,
		.repeatable = true,
	};
	int code = check_profile_name(s);

	if (code != EXIT_OK)
		return code;
	if (o->min_ttl_s)
		snprintf(min_ttl, sizeof(min_ttl), "&min_ttl=%lld", (long long)o->min_ttl_s);
	snprintf(target, sizeof(target), "/v1/token?profile=%s%s", s->profile, min_ttl);
	return daemon_call(s, &request, ret);
}

static int print_token(
	const struct command *self, struct settings *s, int argc, char **argv, const char *prefix)
{
	struct daemon_answer answer = DAEMON_ANSWER_NONE;
	struct token_options o;
	char line[64 + TOKEN_MAX];
	size_t prefix_length = strlen(prefix);
	int code = read_options(self, s, false, &argc, &argv, &o);

	if (code != GO_ON)
		return code;
	code = fetch(s, &o, s->json, &answer);
	if (code != EXIT_OK)
		return code;
	if (s->json) {
		code = print_bytes(answer.body, answer.length);
	} else if (!answer.length || answer.body[answer.length - 1] != '\n' ||
		   !is_token(answer.body, answer.length - 1)) {
		code = daemon_answer_odd(s);
	} else {
		/* In one write, so that whoever reads the pipe gets a whole line or none. */
		memcpy(line, prefix, prefix_length);
		memcpy(line + prefix_length, answer.body, answer.length);
		code = print_bytes(line, prefix_length + answer.length);
		explicit_bzero(line, sizeof(line));
	}
	daemon_answer_fini(&answer);
	return code;
}

int command_get(const struct command *self, struct settings *s, int argc, char **argv)
{
	return print_token(self, s, argc, argv, "");
}

int command_header(const struct command *self, struct settings *s, int argc, char **argv)
{
	return print_token(self, s, argc, argv, "Authorization: Bearer ");
}

int command_exec(const struct command *self, struct settings *s, int argc, char **argv)
{
	struct daemon_answer answer = DAEMON_ANSWER_NONE;
	struct token_parts token;
	struct settings quiet;
	struct token_options o;
	bool good;
	int code = read_options(self, s, true, &argc, &argv, &o);

	if (code != GO_ON)
		return code;
	if (!argc) {
		complain("exec: no command given: gctoken exec -- COMMAND [ARGUMENTS]");
		return EXIT_USAGE;
	}
	quiet = *s;
	quiet.json = false; /* standard output is the command's */
	code = fetch(&quiet, &o, true, &answer);
	if (code != EXIT_OK)
		return code;
	good = token_json_read(answer.body, answer.length, &token);
	daemon_answer_fini(&answer);
	if (!good)
		return daemon_answer_odd(s);
	if (token_environment_set(&token)) {
		complain("out of memory");
		return EXIT_FAILED;
	}
	explicit_bzero(&token, sizeof(token));
	execvp(argv[0], argv);
	code = errno == ENOENT ? 127 : 126;
	complain("cannot run %s: %s", argv[0], strerror(errno));
	return code;
}
