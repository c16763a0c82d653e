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

#define QUERY_SIZE 40

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
			"the token must be good for that many seconds, else it is renewed",
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

static int token_request(const struct settings *s, const struct token_options *o,
	char query[QUERY_SIZE], struct daemon_request *ret)
{
	int64_t wait_s = o->wait_s < 0 ? WAIT_DEFAULT_S : o->wait_s;

	*query = '\0';
	if (o->min_ttl_s)
		snprintf(query, QUERY_SIZE, "&min_ttl=%lld", (long long)o->min_ttl_s);
	*ret = (struct daemon_request){
		.method = "GET",
		.path = "/v1/token",
		.of_profile = true,
		.query = query,
		.wait_s = wait_s,
		.wait_by_default = o->wait_s < 0,
		.timeout_s = wait_s + 1,
		.patience_ms = wait_s < 5 ? wait_s * 1000 : PATIENCE_MAX_MS,
		.repeatable = true,
	};
	return options_check_profile(s);
}

static int show_line(
	const struct settings *s, const struct daemon_reply *reply, const void *context)
{
	const char *prefix = context;
	char line[64 + GCTOKEN_TOKEN_MAX];
	size_t n = strlen(prefix);
	int code;

	if (!reply->length || reply->body[reply->length - 1] != '\n' ||
		!is_token(reply->body, reply->length - 1))
		return daemon_reply_odd(s);
	/* In one write, so that whoever reads the pipe gets a whole line or none. */
	memcpy(line, prefix, n);
	memcpy(line + n, reply->body, reply->length);
	code = print_bytes(line, n + reply->length);
	explicit_bzero(line, sizeof(line));
	return code;
}

static int print_token(
	const struct command *self, struct settings *s, int argc, char **argv, const char *prefix)
{
	struct daemon_request request;
	struct token_options o;
	char query[QUERY_SIZE];
	int code = read_options(self, s, false, &argc, &argv, &o);

	if (code == GO_ON)
		code = token_request(s, &o, query, &request);
	if (code != GO_ON)
		return code;
	if (!s->json)
		request.accept = "text/plain";
	return daemon_show(s, &request, show_line, prefix);
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
	struct daemon_reply reply = DAEMON_REPLY_NONE;
	struct daemon_request request;
	struct token_parts token;
	struct settings quiet;
	struct token_options o;
	char query[QUERY_SIZE];
	bool good;
	int code = read_options(self, s, true, &argc, &argv, &o);

	if (code != GO_ON)
		return code;
	if (!argc) {
		complain("exec: no command given: gctoken exec -- COMMAND [ARGUMENTS]");
		return EXIT_USAGE;
	}
	code = token_request(s, &o, query, &request);
	if (code != GO_ON)
		return code;
	quiet = *s;
	quiet.json = false; /* standard output is the command's */
	code = daemon_call(&quiet, &request, &reply);
	if (code != EXIT_OK)
		return code;
	good = token_json_read(reply.body, reply.length, &token);
	daemon_reply_fini(&reply);
	if (!good)
		return daemon_reply_odd(s);
	if (token_environment_set(&token)) {
		complain("out of memory");
		return EXIT_FAILED;
	}
	complain("exec: the token is good for %.0f s and is not renewed meanwhile",
		token.expires_in);
	explicit_bzero(&token, sizeof(token));
	execvp(argv[0], argv);
	code = errno == ENOENT ? 127 : 126;
	complain("cannot run %s: %s", argv[0], strerror(errno));
	return code;
}
