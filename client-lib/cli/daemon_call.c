#include "daemon_call.h"

#include "../clocks.h"
#include "../defaults.h"
#include "../http_client.h"
#include "json_read.h"
#include "output.h"
#include "user_names.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TARGET_SIZE (DAEMON_QUERY_MAX + 192)
#define STORAGE_SIZE (RESPONSE_HEAD_MAX + RESPONSE_BODY_MAX)
/* No reply with a token is longer. */
#define PARTIAL_MAX (2 * RESPONSE_HEAD_MAX)

void daemon_reply_fini(struct daemon_reply *r)
{
	if (r->storage) {
		explicit_bzero(r->storage, r->used);
		free(r->storage);
	}
	*r = DAEMON_REPLY_NONE;
}

int daemon_reply_odd(const struct settings *s)
{
	complain("the program at %s is not gctokend, or is another version of it: its reply makes "
		 "no sense",
		s->socket);
	return EXIT_FAILED;
}

int daemon_explain_silence(
	const struct settings *s, const struct daemon_request *request, int error)
{
	switch (error) {
	case -ENOMEM:
		complain("out of memory");
		return EXIT_FAILED;
	case -EACCES:
	case -EPERM:
		complain("may not connect to %s: %s. Only root and the members of the socket's "
			 "group may: 'gctoken doctor' says more",
			s->socket, strerror(-error));
		return EXIT_DENIED;
	case -EINVAL:
	case -ENAMETOOLONG:
		complain("\"%s\" cannot be a socket: a path of 1 to 107 bytes is needed (--socket, "
			 "GCTOKEN_SOCKET)",
			s->socket);
		return EXIT_USAGE;
	case -ETIMEDOUT:
		complain("the daemon at %s did not reply within %" PRId64
			 " s. Is it running properly? (systemctl status gctokend)",
			s->socket, request->timeout_s);
		return EXIT_UNREACHABLE;
	case -EBADMSG:
		return daemon_reply_odd(s);
	case -EMSGSIZE:
		complain("the reply of the daemon at %s is too long", s->socket);
		return EXIT_FAILED;
	case -ECONNRESET:
		complain("the daemon at %s closed the connection without a reply. Is it running "
			 "properly? (systemctl status gctokend)",
			s->socket);
		return EXIT_UNREACHABLE;
	default:
		complain(
			"cannot reach the daemon at %s: %s. Is gctokend running? (systemctl status "
			"gctokend)",
			s->socket, strerror(-error));
		return EXIT_UNREACHABLE;
	}
}

struct error_words {
	char code[64];
	char description[1024];
	double retry_after;
	bool has_retry_after;
};

static void see_error(void *context, const struct json_value *v)
{
	struct error_words *w = context;

	json_take_text(v, "error", w->code, sizeof(w->code));
	json_take_text(v, "error_description", w->description, sizeof(w->description));
	if (json_take_number(v, "retry_after", &w->retry_after))
		w->has_retry_after = true;
}

struct remedy {
	int status;
	const char *code; /* NULL: whatever code */
	int exit_code;
	const char *what; /* where the daemon did not say */
	const char
		*todo; /* NULL: nothing but to wait or to read; of the profile where a % stands */
};

/* The first row that fits counts. */
static const struct remedy remedies[] = {
	{400, NULL, EXIT_USAGE, "the daemon does not accept this request", NULL},
	{403, NULL, EXIT_DENIED, "access denied",
		"In gctokend.conf, allow_users and allow_groups of the profile say who may have "
		"its token"},
	{404, "not_found", EXIT_FAILED, "the daemon does not know this request",
		"Is it older than this command?"},
	{404, NULL, EXIT_CONFIG, "unknown profile",
		"'gctoken status' lists the profiles; choose one with --profile or "
		"GCTOKEN_PROFILE"},
	{408, NULL, EXIT_TRY_LATER, "the request took too long", NULL},
	{429, NULL, EXIT_TRY_LATER, "too many requests", NULL},
	{503, "login_required", EXIT_FAILED, "a person has to log this profile in",
		"Somebody who may log it in has to run: gctoken% login"},
	{503, "client_rejected", EXIT_FAILED, "Genesys Cloud refuses the client's credentials",
		"Correct the profile's region, if the client is of another one (which is refused "
		"in the same words), or client_id and client_secret_file; then run: systemctl "
		"reload "
		"gctokend"},
	{503, "revoked", EXIT_FAILED, "the token has been revoked",
		"An administrator brings the profile back with: gctoken% refresh"},
	{503, NULL, EXIT_TRY_LATER, "no token is available now",
		"'gctoken% status' shows what is wrong"},
	{504, NULL, EXIT_TRY_LATER, "no token came within the wait",
		"--wait sets how long to wait"},
	{0, NULL, EXIT_FAILED, "the request failed", NULL},
};

static const struct remedy *find_remedy(int status, const char *code)
{
	const struct remedy *r = remedies;

	while (r->status && (r->status != status || (r->code && strcmp(r->code, code))))
		r++;
	return r;
}

const char daemon_denied_no_admin[] =
	"Only administrators may: root, and those in admin_users or admin_groups of [broker] in "
	"gctokend.conf.\n  Use sudo, or ask to be added there";

/* With the option that names the profile, where it is not the default, in place of a %. */
static void print_todo(const struct settings *s, const char *todo)
{
	int before = (int)strcspn(todo, "%");

	fprintf(stderr, "\n  %.*s", before, todo);
	if (!todo[before])
		return;
	if (strcmp(s->profile, GCTOKEN_DEFAULT_PROFILE))
		fprintf(stderr, " --profile %s", s->profile);
	fputs(todo + before + 1, stderr);
}

static bool ends_sentence(const char *text)
{
	size_t n = strlen(text);

	return n && strchr(".!?", text[n - 1]);
}

int daemon_explain_refusal(const struct settings *s, const struct daemon_request *request,
	const struct daemon_reply *reply)
{
	struct error_words w = {.code = ""};
	const struct remedy *remedy;
	const char *what, *todo;
	char named[1200];

	json_read(reply->body, reply->length, see_error, &w);
	remedy = find_remedy(reply->status, w.code);
	if (s->json)
		print_bytes(reply->body, reply->length);
	if (request->quiet)
		return remedy->exit_code;
	what = *w.description ? w.description : remedy->what;
	todo = remedy->exit_code == EXIT_DENIED && request->denied ? request->denied : remedy->todo;
	user_names_put(what, named, sizeof(named));
	what = named;
	fprintf(stderr, "gctoken: profile %s: %s%s", s->profile, what,
		ends_sentence(what) ? "" : ".");
	fprintf(stderr, " (%s%sHTTP %d)", w.code, *w.code ? ", " : "", reply->status);
	if (w.has_retry_after && w.retry_after > 0)
		fprintf(stderr, " Try again in %.0f s.", w.retry_after);
	if (todo)
		print_todo(s, todo);
	fputs(todo && !ends_sentence(todo) ? ".\n" : "\n", stderr);
	return remedy->exit_code;
}

void daemon_error_code(const struct daemon_reply *reply, char *ret, size_t size)
{
	struct error_words w = {.code = ""};

	json_read(reply->body, reply->length, see_error, &w);
	if (*w.code)
		snprintf(ret, size, "%s", w.code);
	else
		snprintf(ret, size, "%d", reply->status);
}

static int make_target(
	const struct settings *s, const struct daemon_request *request, char ret[TARGET_SIZE])
{
	const char *query = request->query ? request->query : "";
	int n = request->of_profile ? snprintf(ret, TARGET_SIZE, "%s?profile=%s%s", request->path,
					      s->profile, query)
				    : snprintf(ret, TARGET_SIZE, "%s", request->path);

	return n >= 0 && n < TARGET_SIZE ? 0 : -EMSGSIZE;
}

int daemon_ask(
	const struct settings *s, const struct daemon_request *request, struct daemon_reply *ret)
{
	char target[TARGET_SIZE];
	int64_t now_ms = gctoken_monotonic_ms();
	struct http_call call = {
		.method = request->method,
		.target = target,
		.accept = request->accept ? request->accept : "application/json",
		.deadline_ms = now_ms + request->timeout_s * 1000,
		.patience_ms = now_ms + request->patience_ms,
		.gone_max_ms = request->gone_max_ms,
		.wait_until_ms =
			request->wait_s < 0 ? HTTP_CALL_NO_WAIT : now_ms + request->wait_s * 1000,
		.wait_is_default = request->wait_by_default,
		.repeatable = request->repeatable,
	};
	struct http_client client;
	struct http_result result;
	char *storage;
	int error;

	error = make_target(s, request, target);
	if (!error)
		error = gctoken_http_init(&client, s->socket);
	if (error)
		return error;
	storage = malloc(STORAGE_SIZE); /* touched only as far as the reply goes */
	if (!storage)
		return -ENOMEM;
	error = gctoken_http_call(&client, &call, storage, STORAGE_SIZE, &result);
	gctoken_http_fini(&client);
	explicit_bzero(target, sizeof(target)); /* it may hold a login's code */
	if (error) {
		/* A part of a reply with a token may have come. */
		explicit_bzero(storage, PARTIAL_MAX);
		free(storage);
		return error;
	}
	*ret = (struct daemon_reply){
		.status = result.response.status,
		.body = result.response.body.at,
		.length = result.response.body.length,
		.storage = storage,
		.used = result.response.length,
	};
	return 0;
}

int daemon_call(
	const struct settings *s, const struct daemon_request *request, struct daemon_reply *ret)
{
	struct daemon_reply reply = DAEMON_REPLY_NONE;
	int error = daemon_ask(s, request, &reply), code;

	if (error)
		return request->quiet ? EXIT_UNREACHABLE
				      : daemon_explain_silence(s, request, error);
	if (reply.status == 200) {
		*ret = reply;
		return EXIT_OK;
	}
	code = daemon_explain_refusal(s, request, &reply);
	daemon_reply_fini(&reply);
	return code;
}

int daemon_show(const struct settings *s, const struct daemon_request *request, daemon_shown *show,
	const void *context)
{
	struct daemon_reply reply = DAEMON_REPLY_NONE;
	int code = daemon_call(s, request, &reply);

	if (code == EXIT_OK && s->json)
		code = print_bytes(reply.body, reply.length);
	else if (code == EXIT_OK && show)
		code = show(s, &reply, context);
	daemon_reply_fini(&reply);
	return code;
}
