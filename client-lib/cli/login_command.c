/* login: a person allows a profile to act for them, in a browser; logout ends that. */
#include "../clocks.h"
#include "browser.h"
#include "command.h"
#include "daemon_call.h"
#include "interrupt.h"
#include "login.h"
#include "options.h"
#include "output.h"
#include "redirect_listener.h"
#include "secret_line.h"
#include "terminal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PASTE_TRIES 3
#define LOGOUT_TIMEOUT_S 120

/* Where the words for the person go: with --json standard output is for programs. */
static FILE *talk(const struct settings *s)
{
	return s->json ? stderr : stdout;
}

/* What to type for another try: "gctoken login", with the profile if one was named. */
static const char *again(const struct settings *s)
{
	static char words[96];

	snprintf(words, sizeof(words), "gctoken %s%s%slogin", s->profile_named ? "--profile " : "",
		s->profile_named ? s->profile : "", s->profile_named ? " " : "");
	return words;
}

static void show_url(const struct settings *s, const struct login *l, bool opened)
{
	fprintf(talk(s),
		opened ? "A browser should open now. If none does, open this address to log\n"
			 "profile %s in:\n\n"
		       : "Open this address in a browser to log profile %s in:\n\n",
		s->profile);
	fprintf(talk(s), "  %s\n\n", l->url);
}

static int explain_end(const struct settings *s, const struct login *l, int error)
{
	char lasted[DURATION_TEXT_SIZE];

	if (error == -ETIMEDOUT) {
		duration_text(l->expires_in, lasted);
		complain("login: nobody came back from the login page within %s, so this login has "
			 "ended. Start again with: %s",
			lasted, again(s));
	} else if (error == -EINTR) {
		complain("login: given up");
	} else {
		complain("login: %s", strerror(-error));
	}
	return EXIT_FAILED;
}

/* Words of somebody else's server, or of whoever made up the address. */
static void print_foreign(const char *text)
{
	for (; *text; text++)
		fputc(*text >= 0x20 && *text <= 0x7e ? *text : '?', stderr);
}

/* The login server said no. The daemon is told, so that it drops this login. */
static void explain_denial(const struct settings *s, const struct redirect_response *response)
{
	fprintf(stderr, "gctoken: profile %s: ", s->profile);
	fputs(strcmp(response->error, "access_denied")
			? "the login server refused the login"
			: "the login was not allowed at the login page",
		stderr);
	fputs(": ", stderr);
	print_foreign(response->error);
	if (*response->description) {
		fputs(", ", stderr);
		print_foreign(response->description);
	}
	fprintf(stderr, "\n  Was it the right account? Start again with: %s\n", again(s));
}

static int finish(const struct settings *s, const struct login *l,
	const struct redirect_response *response, enum redirect_page *ret_page)
{
	int code;

	if (*response->error) {
		explain_denial(s, response);
		login_abandon(s, l, response);
		*ret_page = PAGE_DENIED;
		return EXIT_FAILED;
	}
	code = login_finish(s, l, response);
	*ret_page = code == EXIT_OK ? PAGE_LOGGED_IN : PAGE_FAILED;
	return code;
}

static int explain_listen(const struct settings *s, const struct login *l, int error)
{
	if (error == -EADDRINUSE)
		complain("login: another program has port %u of %s, to which the browser has to "
			 "come back (redirect_uri). Stop that program, or run: %s --no-browser",
			l->target.port, l->target.host, again(s));
	else
		complain("login: cannot listen at %s, to which the browser has to come back: %s. "
			 "To do without, run: %s --no-browser",
			l->redirect_uri, strerror(-error), again(s));
	return EXIT_FAILED;
}

static void show_waiting(const struct settings *s, const struct login *l, bool opened)
{
	bool six = strchr(l->target.host, ':') != NULL;
	char left[DURATION_TEXT_SIZE];

	duration_text(l->expires_in, left);
	if (!opened)
		fprintf(talk(s),
			"The browser has to run on this machine, or reach it, for instance by\n"
			"ssh -L %u:%s%s%s:%u THIS-MACHINE. If it cannot:\n%s --no-browser\n\n",
			l->target.port, six ? "[" : "", l->target.host, six ? "]" : "",
			l->target.port, again(s));
	fprintf(talk(s), "Waiting for it to come back (%s; Ctrl-C gives up) ...\n", left);
	fflush(talk(s));
}

static int with_listening(const struct settings *s, const struct login *l)
{
	struct redirect_listener listener = REDIRECT_LISTENER_NONE;
	struct redirect_response response;
	struct interrupt stop;
	struct redirect_wait wait = {&l->target, l->state, l->deadline_ms, &stop};
	enum redirect_page page;
	int error, fd = -1, code;
	struct browser_file file = BROWSER_FILE_NONE;
	bool opened;

	/* Before the browser: a quick one would find nobody. */
	error = redirect_listen(&l->target, &listener);
	if (error)
		return explain_listen(s, l, error);
	/* And before its file, which is removed whatever comes. */
	error = interrupt_begin(&stop);
	if (error) {
		redirect_listener_fini(&listener);
		return explain_end(s, l, error);
	}
	opened = browser_open(l->url, &file);
	show_url(s, l, opened);
	show_waiting(s, l, opened);
	error = redirect_listener_wait(&listener, &wait, &response, &fd);
	browser_file_remove(&file);
	code = error ? explain_end(s, l, error) : EXIT_OK;
	interrupt_end(&stop);
	if (error)
		return code;
	code = finish(s, l, &response, &page);
	redirect_response_wipe(&response);
	redirect_reply(fd, page, s->profile);
	return code;
}

static int explain_pasted(const struct login *l, int verdict)
{
	if (verdict == REDIRECT_WRONG_STATE)
		complain("login: the state in that address is not this login's: it belongs to an "
			 "older one, or is forged. Open the address above again");
	else
		complain("login: that is not the address that the browser ends at, which begins "
			 "with %.*s?",
			(int)l->target.base.length, l->target.base.at);
	return EXIT_FAILED;
}

/* EXIT_OK and *ret, GO_ON: what came is not it, or the exit code; complaints have been made. */
static int read_pasted(const struct settings *s, const struct login *l,
	const struct interrupt *stop, struct redirect_response *ret)
{
	char line[REDIRECT_PASTED_MAX];
	size_t length = 0;
	int error = secret_line_read(line, sizeof(line), l->deadline_ms, stop, &length);
	int code = EXIT_OK, verdict;

	if (isatty(STDIN_FILENO))
		fputc('\n', stderr);
	if (error == -ENODATA) {
		complain("login: no address was given");
		code = EXIT_FAILED;
	} else if (error == -EMSGSIZE) {
		complain("login: that is too long for an address");
		code = EXIT_FAILED;
	} else if (error) {
		code = explain_end(s, l, error);
	} else {
		verdict = redirect_pasted_read(line, length, &l->target, l->state, ret);
		if (verdict) {
			explain_pasted(l, verdict);
			code = GO_ON;
		}
	}
	explicit_bzero(line, sizeof(line));
	return code;
}

static int without_listening(const struct settings *s, const struct login *l, bool no_browser)
{
	struct redirect_response response;
	struct browser_file file = BROWSER_FILE_NONE;
	struct interrupt stop;
	enum redirect_page page;
	int error, code = GO_ON, tries = isatty(STDIN_FILENO) ? PASTE_TRIES : 1;

	error = interrupt_begin(&stop);
	if (error)
		return explain_end(s, l, error);
	show_url(s, l, !no_browser && browser_open(l->url, &file));
	fprintf(talk(s),
		"In the end the browser goes to an address that begins with\n\n  %.*s\n\n"
		"and may say that it cannot show the page. That is expected: copy the whole\n"
		"address.\n\n",
		(int)l->target.base.length, l->target.base.at);
	fflush(talk(s));
	while (code == GO_ON && tries-- > 0) {
		fputs("Paste it here (it is not shown): ", stderr);
		code = read_pasted(s, l, &stop, &response);
	}
	browser_file_remove(&file);
	interrupt_end(&stop);
	if (code == GO_ON)
		code = EXIT_FAILED;
	if (code != EXIT_OK)
		return code;
	code = finish(s, l, &response, &page);
	redirect_response_wipe(&response);
	return code;
}

int command_login(const struct command *self, struct settings *s, int argc, char **argv)
{
	bool no_browser = false;
	const struct option_spec own[] = {
		{"no-browser", OPTION_FLAG, &no_browser, NULL,
			"there is none on this machine: you paste the address that it ends at", 0},
	};
	struct login l;
	int code = options_read_of_profile(self, s, own, 1, argc, argv);

	if (code != GO_ON)
		return code;
	code = login_begin(s, &l);
	if (code != EXIT_OK)
		return code;
	if (!no_browser && l.target.local)
		return with_listening(s, &l);
	return without_listening(s, &l, no_browser);
}

static int show_logged_out(
	const struct settings *s, const struct daemon_reply *reply, const void *context)
{
	(void)reply;
	(void)context;
	printf("%s: logged out; its tokens are gone.\n", s->profile);
	return EXIT_OK;
}

int command_logout(const struct command *self, struct settings *s, int argc, char **argv)
{
	const struct daemon_request request = {
		.method = "POST",
		.path = "/v1/logout",
		.of_profile = true,
		.wait_s = -1, /* the daemon replies when the token has been revoked */
		.timeout_s = LOGOUT_TIMEOUT_S,
		.denied = login_denied,
		.repeatable = false,
	};
	int code = options_read_of_profile(self, s, NULL, 0, argc, argv);

	return code == GO_ON ? daemon_show(s, &request, show_logged_out, NULL) : code;
}
