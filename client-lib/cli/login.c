#include "login.h"

#include "../clocks.h"
#include "command.h"
#include "core/text.h"
#include "daemon_call.h"
#include "json_read.h"
#include "options.h"
#include "output.h"
#include "terminal.h"

#include <stdio.h>
#include <string.h>

#define TARGET_SIZE 8000
#define ADVICE \
	"login_users and login_groups of the profile in gctokend.conf say who may log it in and " \
	"out, besides administrators"
/* The daemon answers when the login server has answered it, for as long as fetch_timeout allows. */
#define FINISH_TIMEOUT_S 120

/* An address or a state is taken as it is or not at all: cut or mended it would be another. */
static void take_exactly(const struct json_value *v, const char *path, char *ret, size_t size)
{
	size_t i;

	if (v->type != JSON_TEXT || strcmp(v->path, path) || v->length >= size)
		return;
	for (i = 0; i < v->length; i++)
		if (v->text[i] < 0x21 || v->text[i] > 0x7e)
			return;
	memcpy(ret, v->text, v->length);
	ret[v->length] = '\0';
}

static void see_begun(void *context, const struct json_value *v)
{
	struct login *l = context;

	take_exactly(v, "authorize_url", l->url, sizeof(l->url));
	take_exactly(v, "state", l->state, sizeof(l->state));
	take_exactly(v, "redirect_uri", l->redirect_uri, sizeof(l->redirect_uri));
	json_take_number(v, "expires_in", &l->expires_in);
}

int login_begin(const struct settings *s, struct login *ret)
{
	struct daemon_answer answer = DAEMON_ANSWER_NONE;
	char target[160];
	struct daemon_request request = {
		.method = "POST",
		.target = target,
		.accept = "application/json",
		.wait_s = -1,
		.timeout_s = WAIT_DEFAULT_S + 1,
		.patience_ms = 2000,
		.denied = ADVICE,
		.repeatable = true, /* one that nobody comes back to ends by itself */
	};
	int code;

	snprintf(target, sizeof(target), "/v1/login?profile=%s", s->profile);
	code = daemon_call(s, &request, &answer);
	if (code != EXIT_OK)
		return code;
	memset(ret, 0, sizeof(*ret));
	if (!json_read(answer.body, answer.length, see_begun, ret) ||
		strncmp(ret->url, "https://", 8) != 0 || !*ret->state || ret->expires_in < 1 ||
		ret->expires_in > 86400 || redirect_target_read(ret->redirect_uri, &ret->target))
		code = daemon_answer_odd(s);
	else if (s->json)
		code = print_bytes(answer.body, answer.length);
	ret->deadline_ms = gctoken_monotonic_ms() + (int64_t)ret->expires_in * 1000;
	daemon_answer_fini(&answer);
	return code;
}

struct finished {
	double expires_in;
	double login_ends_in; /* 0: it is refreshed */
};

static void see_finished(void *context, const struct json_value *v)
{
	struct finished *f = context;

	json_take_number(v, "expires_in", &f->expires_in);
	json_take_number(v, "login_ends_in", &f->login_ends_in);
}

static int tell(const struct settings *s, const struct daemon_answer *answer)
{
	struct finished f = {.expires_in = 0};
	char lasts[DURATION_TEXT_SIZE];

	if (s->json)
		return print_bytes(answer->body, answer->length);
	if (!json_read(answer->body, answer->length, see_finished, &f))
		return daemon_answer_odd(s);
	printf("%s: logged in.", s->profile);
	if (f.login_ends_in > 0) {
		duration_text(f.login_ends_in, lasts);
		printf(" This login lasts %s and cannot be prolonged, since the login server gave "
		       "no\nrefresh token: log in again before it ends.\n",
			lasts);
	} else {
		printf(" The daemon keeps the login alive from now on.\n");
	}
	return EXIT_OK;
}

static bool append(char *target, const char *name, const char *value)
{
	size_t used = strlen(target);

	if (used + strlen(name) + 2 + percent_length(PERCENT_URL, value) >= TARGET_SIZE)
		return false;
	used += (size_t)snprintf(target + used, TARGET_SIZE - used, "&%s=", name);
	*percent_write(PERCENT_URL, target + used, value) = '\0';
	return true;
}

static bool write_target(const struct settings *s, const struct login *l,
	const struct redirect_answer *answer, char *ret)
{
	bool has_code = *answer->code != '\0';

	snprintf(ret, TARGET_SIZE, "/v1/login/finish?profile=%s", s->profile);
	return append(ret, "state", l->state) &&
	       append(ret, has_code ? "code" : "error", has_code ? answer->code : answer->error) &&
	       (!*answer->iss || append(ret, "iss", answer->iss));
}

static int call_finish(const struct settings *s, const struct login *l,
	const struct redirect_answer *answer, bool quiet, struct daemon_answer *ret)
{
	char target[TARGET_SIZE];
	struct daemon_request request = {
		.method = "POST",
		.target = target,
		.accept = "application/json",
		.wait_s = -1,
		.timeout_s = FINISH_TIMEOUT_S,
		.denied = ADVICE,
		.repeatable = false, /* a code is good once */
		.quiet = quiet,
	};
	int code = EXIT_FAILED;

	if (write_target(s, l, answer, target))
		code = daemon_call(s, &request, ret);
	else
		complain("login: the login server's answer is too long");
	explicit_bzero(target, sizeof(target));
	/* The daemon's 400 is about the login, and not about how this command was called. */
	return code == EXIT_USAGE ? EXIT_FAILED : code;
}

int login_finish(
	const struct settings *s, const struct login *l, const struct redirect_answer *answer)
{
	struct daemon_answer done = DAEMON_ANSWER_NONE;
	int code = call_finish(s, l, answer, false, &done);

	if (code == EXIT_OK)
		code = tell(s, &done);
	daemon_answer_fini(&done);
	return code;
}

void login_abandon(
	const struct settings *s, const struct login *l, const struct redirect_answer *answer)
{
	struct daemon_answer done = DAEMON_ANSWER_NONE;

	if (call_finish(s, l, answer, true, &done) == EXIT_OK && s->json)
		print_bytes(done.body, done.length);
	daemon_answer_fini(&done);
}

int command_logout(const struct command *self, struct settings *s, int argc, char **argv)
{
	struct daemon_answer answer = DAEMON_ANSWER_NONE;
	char target[160];
	struct daemon_request request = {
		.method = "POST",
		.target = target,
		.accept = "application/json",
		.wait_s = -1, /* the daemon answers when the token has been revoked */
		.timeout_s = FINISH_TIMEOUT_S,
		.denied = ADVICE,
		.repeatable = false,
	};
	int code = options_read_alone(self, s, NULL, 0, argc, argv);

	if (code != GO_ON)
		return code;
	code = check_profile_name(s);
	if (code != EXIT_OK)
		return code;
	snprintf(target, sizeof(target), "/v1/logout?profile=%s", s->profile);
	code = daemon_call(s, &request, &answer);
	if (code == EXIT_OK && s->json)
		code = print_bytes(answer.body, answer.length);
	else if (code == EXIT_OK)
		printf("%s: logged out; its tokens are gone.\n", s->profile);
	daemon_answer_fini(&answer);
	return code;
}
