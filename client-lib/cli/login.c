#include "login.h"

#include "../clocks.h"
#include "core/text.h"
#include "daemon_call.h"
#include "json_read.h"
#include "output.h"
#include "terminal.h"

#include <stdio.h>
#include <string.h>

/* The daemon replies when the login server has answered it, for as long as fetch_timeout allows. */
#define FINISH_TIMEOUT_S 120

const char login_denied[] = "In gctokend.conf, login_users and login_groups of the profile say who "
			    "may log it in and out, besides administrators";

/* An address or a state is taken whole or not at all: cut or repaired it would be another. */
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
	const struct daemon_request request = {
		.method = "POST",
		.path = "/v1/login",
		.of_profile = true,
		.wait_s = -1,
		.timeout_s = WAIT_DEFAULT_S + 1,
		.patience_ms = 2000,
		.denied = login_denied,
		.repeatable = true, /* one that nobody comes back to ends by itself */
	};
	struct daemon_reply reply = DAEMON_REPLY_NONE;
	int code = daemon_call(s, &request, &reply);

	if (code != EXIT_OK)
		return code;
	memset(ret, 0, sizeof(*ret));
	if (!json_read(reply.body, reply.length, see_begun, ret) ||
		strncmp(ret->url, "https://", 8) != 0 || !*ret->state || ret->expires_in < 1 ||
		ret->expires_in > 86400 || redirect_target_read(ret->redirect_uri, &ret->target))
		code = daemon_reply_odd(s);
	else if (s->json)
		code = print_bytes(reply.body, reply.length);
	ret->deadline_ms = gctoken_monotonic_ms() + (int64_t)ret->expires_in * 1000;
	daemon_reply_fini(&reply);
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

static int show_finished(
	const struct settings *s, const struct daemon_reply *reply, const void *context)
{
	struct finished f = {.expires_in = 0};
	char lasts[DURATION_TEXT_SIZE];

	(void)context;
	if (!json_read(reply->body, reply->length, see_finished, &f))
		return daemon_reply_odd(s);
	printf("%s: logged in.", s->profile);
	if (f.login_ends_in > 0) {
		duration_text(f.login_ends_in, lasts);
		printf(" This login lasts %s and cannot be extended, because the login server gave "
		       "no\nrefresh token: log in again before it ends.\n",
			lasts);
	} else {
		printf(" The daemon keeps the login alive from now on.\n");
	}
	return EXIT_OK;
}

static bool append(char *query, const char *name, const char *value)
{
	size_t used = strlen(query);

	if (used + strlen(name) + 2 + percent_length(PERCENT_URL, value) >= DAEMON_QUERY_MAX)
		return false;
	used += (size_t)snprintf(query + used, DAEMON_QUERY_MAX - used, "&%s=", name);
	*percent_write(PERCENT_URL, query + used, value) = '\0';
	return true;
}

static bool write_query(const struct login *l, const struct redirect_response *response, char *ret)
{
	bool has_code = *response->code != '\0';

	*ret = '\0';
	return append(ret, "state", l->state) &&
	       append(ret, has_code ? "code" : "error",
		       has_code ? response->code : response->error) &&
	       (!*response->iss || append(ret, "iss", response->iss));
}

static int finish(const struct settings *s, const struct login *l,
	const struct redirect_response *response, bool quiet)
{
	char query[DAEMON_QUERY_MAX];
	const struct daemon_request request = {
		.method = "POST",
		.path = "/v1/login/finish",
		.of_profile = true,
		.query = query,
		.wait_s = -1,
		.timeout_s = FINISH_TIMEOUT_S,
		.denied = login_denied,
		.repeatable = false, /* a code is good once */
		.quiet = quiet,
	};
	int code = EXIT_FAILED;

	if (write_query(l, response, query))
		code = daemon_show(s, &request, quiet ? NULL : show_finished, NULL);
	else
		complain("login: the login server's response is too long");
	explicit_bzero(query, sizeof(query));
	/* The daemon's 400 is about the login, and not about how this command was called. */
	return code == EXIT_USAGE ? EXIT_FAILED : code;
}

int login_finish(
	const struct settings *s, const struct login *l, const struct redirect_response *response)
{
	return finish(s, l, response, false);
}

void login_abandon(
	const struct settings *s, const struct login *l, const struct redirect_response *response)
{
	finish(s, l, response, true);
}
