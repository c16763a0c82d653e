/* api: one call of the Genesys Cloud API, with the care that every caller should take. It gets a
 * token from the daemon; on a 401 it rejects that and calls once more with the new one, and a
 * moment later again, as an API may learn of a new token late; on a 429 it waits. Both statuses
 * mean that the call was not carried out, so repeating it is safe whatever its method. */
#include "api_options.h"
#include "api_pages.h"
#include "api_transfer.h"
#include "command.h"
#include "daemon_call.h"
#include "json_indent.h"
#include "json_read.h"
#include "options.h"
#include "output.h"
#include "token_json.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* How long the login server may take to give a token: it throttles for that long at times. */
#define API_WAIT_S 60
/* How often a 401 is taken for the token's fault, and the pause before that is believed again. */
#define REFUSALS_MOST 2
#define KNOWN_AFTER_MS 2000

/* A server that keeps sending empty pages is left after so many in a row. */
#define EMPTY_PAGES_MAX 3

struct session {
	const struct settings *s;
	const struct api_options *o;
	struct api_client *client;
};

/* Asks for a token, or for the one that replaces the generation `bad`, and waits as long as the
 * user said, or as it makes sense. 0, or as daemon_ask. */
static int ask_for_token(const struct session *x, const struct settings *quiet, double bad,
	struct daemon_request *request, struct daemon_reply *ret)
{
	char query[40] = "";
	bool own_wait = x->o->wait_s < 0;
	int64_t wait_s = own_wait ? API_WAIT_S : x->o->wait_s;
	int error;

	*request = (struct daemon_request){
		.method = bad > 0 ? "POST" : "GET",
		.path = bad > 0 ? "/v1/token/reject" : "/v1/token",
		.of_profile = true,
		.query = query,
		.wait_s = wait_s,
		.timeout_s = wait_s + 1,
		.patience_ms = wait_s < 5 ? wait_s * 1000 : PATIENCE_MAX_MS,
		.repeatable = true,
	};
	if (bad > 0)
		snprintf(query, sizeof(query), "&generation=%.0f", bad);
	error = daemon_ask(quiet, request, ret);
	if (!error && ret->status == 400 && own_wait) {
		/* that was more than its max_wait */
		daemon_reply_fini(ret);
		request->wait_s = -1;
		error = daemon_ask(quiet, request, ret);
	}
	request->query = NULL; /* ends with this call */
	return error;
}

/* The token, or with `bad` the one that replaces it. GO_ON: that is not replaced. */
static int get_token(const struct session *x, double bad, struct token_parts *ret)
{
	struct daemon_reply reply = DAEMON_REPLY_NONE;
	struct daemon_request request;
	struct settings quiet = *x->s;
	int code = EXIT_OK, error;

	quiet.json = false; /* standard output is for what the API says */
	error = ask_for_token(x, &quiet, bad, &request, &reply);
	if (error)
		return daemon_explain_silence(&quiet, &request, error);
	if (reply.status == 429 && bad > 0) {
		code = GO_ON;
	} else if (reply.status != 200) {
		code = daemon_explain_refusal(&quiet, &request, &reply);
	} else if (!token_json_read(reply.body, reply.length, ret) || ret->generation < 1) {
		code = daemon_reply_odd(x->s);
	} else if (strncmp(ret->api_url, "https://", 8)) {
		complain("profile %s has no api_url: give it a region, an environment or an "
			 "api_url in gctokend.conf",
			x->s->profile);
		code = EXIT_CONFIG;
	}
	daemon_reply_fini(&reply);
	return code;
}

static void sleep_ms(int64_t ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &t) == EINTR)
		;
}

/* After the `refused`-th 401 in a row to `token`: the one to try next. */
static int next_token(const struct session *x, int refused, struct token_parts *token)
{
	int code = refused == 1 ? get_token(x, token->generation, token) : GO_ON;

	if (code != GO_ON)
		return code;
	sleep_ms(KNOWN_AFTER_MS);
	return get_token(x, 0, token);
}

/* Sleeps as long as the 429 asks, or for a growing time if it does not say; a little longer, so
 * that those who were told the same do not come back together. An API that asks for no time at all
 * is not called at full speed either. False if that is more than is left. */
static bool wait_for_rate(const struct api_response *r, int64_t *left_ms, int64_t *pause_ms)
{
	int64_t ms = r->retry_after_s >= 0 ? (int64_t)(r->retry_after_s * 1000) : *pause_ms;
	struct timespec t;

	if (ms < *pause_ms / 8)
		ms = *pause_ms / 8;
	*pause_ms = *pause_ms < 30000 ? *pause_ms * 2 : 60000;
	if (ms > *left_ms)
		return false;
	clock_gettime(CLOCK_MONOTONIC, &t);
	ms += t.tv_nsec / 1000 % (ms / 8 + 50);
	*left_ms -= ms;
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "gctoken: the API asks to wait %.1f s\n", (double)ms / 1000);
	sleep_ms(ms);
	return true;
}

/* One call with all its repetitions. EXIT_OK: *ret is the last response; *ret_api_url takes 512
 * bytes. Else the exit code; a body in *ret is still to be shown. */
static int call_api(const struct session *x, const char *path, bool hold, struct api_response *ret,
	char *ret_api_url)
{
	int64_t left_ms = x->o->retry_wait_s * 1000, pause_ms = 2000;
	struct token_parts token;
	int refused = 0;
	int code = get_token(x, 0, &token);

	while (code == EXIT_OK) {
		const struct api_call call = {
			.method = x->o->method,
			.api_url = token.api_url,
			.path = path,
			.body = x->o->body,
			.body_length = x->o->body_length,
			.content_type = x->o->content_type,
			.ca_file = x->o->ca_file,
			.timeout_s = x->o->timeout_s,
			.hold = hold,
		};

		api_response_fini(ret);
		code = api_exchange(x->client, &call, token.token, ret);
		strcpy(ret_api_url, token.api_url);
		if (code != EXIT_OK)
			break;
		if (ret->status == 401 && refused < REFUSALS_MOST) {
			code = next_token(x, ++refused, &token);
		} else if (ret->status != 429 || !wait_for_rate(ret, &left_ms, &pause_ms)) {
			break;
		}
	}
	explicit_bzero(&token, sizeof(token));
	return code;
}

static int code_of_status(int status)
{
	switch (status) {
	case 401:
	case 403:
		return EXIT_DENIED;
	case 408:
	case 429:
	case 502:
	case 503:
	case 504:
		return EXIT_TRY_LATER;
	default:
		return status >= 200 && status < 300 ? EXIT_OK : EXIT_FAILED;
	}
}

/* Says nothing of a 2xx. */
static int tell_status(const struct session *x, const char *path, const struct api_response *r)
{
	int code = code_of_status(r->status);

	if (code == EXIT_OK)
		return code;
	fprintf(stderr, "gctoken: %s %s: HTTP %d", x->o->method, path, r->status);
	if (*r->correlation_id)
		fprintf(stderr, " (correlation id %s)", r->correlation_id);
	if (r->status == 401)
		fputs(". It was tried with a new token, too, so the token is not the cause",
			stderr);
	else if (r->status == 403)
		fputs(". The OAuth client's roles or divisions do not permit this", stderr);
	else if (r->status == 429 && r->retry_after_s > (double)x->o->retry_wait_s)
		fprintf(stderr, ". It asks to wait %.0f s, --retry-wait is %" PRId64,
			r->retry_after_s, x->o->retry_wait_s);
	else if (r->status == 429)
		fprintf(stderr, ", even after %" PRId64 " s of waiting (--retry-wait)",
			x->o->retry_wait_s);
	else if (r->status >= 300 && r->status < 400)
		fputs(". Redirects are not followed: the token is for this API only", stderr);
	fputc('\n', stderr);
	return code;
}

/* JSON with a line for each member, in place of the body; what is none stays. */
static void indent(struct api_response *r)
{
	size_t length = 0;
	char *text = r->length ? json_indent(r->body, r->length, &length) : NULL;

	if (!text)
		return;
	free(r->body);
	r->body = text;
	r->length = r->capacity = length;
}

static int call_single(const struct session *x)
{
	struct api_response response = API_RESPONSE_NONE;
	char api_url[512];
	bool for_people = isatty(STDOUT_FILENO) && !x->s->json;
	int code = call_api(x, x->o->path, for_people, &response, api_url);
	bool ends_line = response.ends_line;

	if (for_people)
		indent(&response);

	if (response.length) {
		if (!api_print(response.body, response.length) && code == EXIT_OK)
			code = EXIT_FAILED;
		ends_line = response.body[response.length - 1] == '\n';
	}
	/* The API sends no newline after its JSON, and a prompt belongs at the start of a line. */
	if ((response.printed || response.length) && !ends_line && isatty(STDOUT_FILENO))
		api_print("\n", 1);
	if (code == EXIT_OK)
		code = tell_status(x, x->o->path, &response);
	api_response_fini(&response);
	return code;
}

struct listing {
	char path[API_PATH_MAX]; /* of the page under way */
	char api_url[512];
	int pages, empty; /* pages so far; how many of the latest had no item */
	bool begun;       /* an item was printed */
};

static bool print_items(const struct api_page *page, struct listing *l)
{
	size_t i;

	for (i = 0; i < page->count; i++) {
		if (fputs(l->begun ? ",\n" : "[\n", stdout) < 0 ||
			fwrite(page->items[i].at, 1, page->items[i].length, stdout) !=
				page->items[i].length)
			break;
		l->begun = true;
	}
	if (i == page->count && !fflush(stdout))
		return true;
	complain_of_output(-errno);
	return false;
}

/* Prints the items of the page. GO_ON: there is another one, at l->path; else the exit code. */
static int take_items(const struct api_page *page, struct listing *l)
{
	char next[API_PATH_MAX];

	if (!print_items(page, l))
		return EXIT_FAILED;
	l->pages++;
	l->empty = page->count ? 0 : l->empty + 1;
	switch (api_page_next(page, l->api_url, l->path, next)) {
	case API_NEXT_ODD:
		complain("GET %s: the next page that it names is not a path of this API", l->path);
		return EXIT_FAILED;
	case API_NEXT_PAGE:
		if (l->empty < EMPTY_PAGES_MAX && strcmp(next, l->path)) {
			strcpy(l->path, next);
			return GO_ON;
		}
		return EXIT_OK;
	default:
		return EXIT_OK;
	}
}

static int take_page(const struct api_response *response, struct listing *l)
{
	struct api_page *page = malloc(sizeof(*page));
	int code = EXIT_FAILED,
	    error = page ? api_page_read(response->body, response->length, page) : -ENOMEM;

	if (error == -ENOMEM)
		complain("out of memory");
	else if (error || (!page->has_list && !l->pages))
		complain("GET %s: the response is not a list of entities, resources, conversations "
			 "or results: try it without --paginate",
			l->path);
	else
		code = take_items(page, l);
	if (page)
		api_page_fini(page);
	free(page);
	return code;
}

static int call_pages(const struct session *x)
{
	struct api_response response = API_RESPONSE_NONE;
	struct listing l = {.pages = 0};
	int code = GO_ON;

	strcpy(l.path, x->o->path);
	while (code == GO_ON) {
		code = call_api(x, l.path, true, &response, l.api_url);
		if (code == EXIT_OK)
			code = tell_status(x, l.path, &response);
		if (code == EXIT_OK)
			code = take_page(&response, &l);
		else if (!l.begun && response.length)
			api_print(response.body, response.length);
		api_response_fini(&response);
	}
	/* A list that was cut short stays open, so that nobody takes it for whole. */
	if (code == EXIT_OK)
		fputs(l.begun ? "\n]\n" : "[]\n", stdout);
	return code;
}

int command_api(const struct command *self, struct settings *s, int argc, char **argv)
{
	struct api_options options = API_OPTIONS_NONE;
	struct session x = {.s = s, .o = &options};
	int code = api_options_read(self, s, argc, argv, &options);

	if (code == GO_ON) {
		x.client = api_client_new();
		code = !x.client          ? EXIT_FAILED
		       : options.paginate ? call_pages(&x)
					  : call_single(&x);
		api_client_free(x.client);
	}
	api_options_fini(&options);
	return code;
}
