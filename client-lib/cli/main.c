/* gctoken: the command that people and shell scripts use. Shells call it in loops, so it starts
 * fast: it links the C library and the small yajl, and loads libcrypto only where a fingerprint
 * has to be made. */
#include "cli.h"
#include "options.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct command commands[] = {
	{"get", "", "Prints the token.",
		"The token is valid now, and the daemon refreshes it ahead of its end: ask for it "
		"when\n"
		"it is needed, do not store it.\n",
		command_get},
	{"header", "", "Prints the header line \"Authorization: Bearer ...\".",
		"Keeps the token off the command line of others:\n"
		"  gctoken header | curl -H @- https://api.usw2.pure.cloud/api/v2/...\n",
		command_header},
	{"exec", "-- COMMAND [ARGUMENTS]", "Runs COMMAND with the token in its environment.",
		"Sets GENESYSCLOUD_ACCESS_TOKEN and GENESYSCLOUD_REGION for COMMAND alone. The "
		"token is\n"
		"not replaced while COMMAND runs. Exits with COMMAND's own code; 127 where there "
		"is no\n"
		"such command, 126 where it cannot be run. --json has no effect.\n",
		command_exec},
	{"reject", "", "Reports that the API answered 401 to a token.",
		"The token is read from standard input, or named by --generation. Prints nothing; "
		"get\n"
		"the new token with 'gctoken get'. 403 and 429 are no reason to report a token.\n",
		command_reject},
	{"status", "", "Shows the profiles that this user may see.", "", command_status},
	{"skew", "", "Shows how far this machine's clock is from the login server's.", "",
		command_skew},
	{"login", "", "Logs a profile in: a person allows it in a browser.",
		"Opens a browser ($BROWSER, else the desktop's) at the login page and waits on "
		"this\n"
		"machine for it to come back. Without a browser here use --no-browser: the address "
		"is\n"
		"opened anywhere, and the one it ends at pasted. From then on the daemon keeps "
		"the\n"
		"profile supplied. With --json it prints the daemon's two answers, one per line.\n",
		command_login},
	{"logout", "", "Ends a login: its tokens are revoked and erased.", "", command_logout},
	{"refresh", "", "Fetches a new token now (administrators).",
		"Ignores the pause after a failure. The old token stays valid.\n", command_refresh},
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

void complain(const char *format, ...)
{
	va_list arguments;

	fputs("gctoken: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
}

int print_bytes(const char *bytes, size_t length)
{
	while (length) {
		ssize_t n = write(STDOUT_FILENO, bytes, length);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			complain("cannot write to standard output: %s", strerror(errno));
			return EXIT_FAILED;
		}
		bytes += n;
		length -= (size_t)n;
	}
	return EXIT_OK;
}

/* A descriptor 0 to 2 that is closed would go to the socket, and a token would be written to where
 * a message was meant to go. Read-only, so that writing there is an error and not a loss. */
static void fill_standard_descriptors(void)
{
	int fd;

	for (fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) != fd)
			_exit(EXIT_FAILED);
}

static const char *environment_or(const char *variable, const char *otherwise)
{
	const char *value = getenv(variable);

	return value && *value ? value : otherwise;
}

/* Where the names of the commands and their summaries go in the general help. */
static const char *list_commands(void)
{
	static char text[2048];
	size_t length, i;

	length = (size_t)snprintf(text, sizeof(text), "Commands:\n");
	for (i = 0; i < COMMAND_COUNT; i++)
		length += (size_t)snprintf(text + length, sizeof(text) - length, "  %-18s %s\n",
			commands[i].name, commands[i].summary);
	snprintf(text + length, sizeof(text) - length,
		"\n'gctoken COMMAND --help' says more.\n\n"
		"Exit codes: 0 ok, 1 failed, 2 usage, 69 the daemon cannot be reached, 75 try "
		"again\n"
		"later, 77 denied, 78 configuration or unknown profile.\n");
	return text;
}

static int dispatch(struct settings *s, int argc, char **argv)
{
	const struct command general = {
		NULL, "COMMAND", "Gets Genesys Cloud tokens from gctokend.", list_commands(), NULL};
	int result = options_read(&general, s, NULL, 0, true, &argc, &argv);
	size_t i;

	if (result != GO_ON)
		return result;
	if (!argc) {
		complain("no command given");
		fputs("Try 'gctoken --help'.\n", stderr);
		return EXIT_USAGE;
	}
	for (i = 0; i < COMMAND_COUNT; i++)
		if (!strcmp(argv[0], commands[i].name))
			return commands[i].run(&commands[i], s, argc, argv);
	complain("unknown command \"%s\"", argv[0]);
	fputs("Try 'gctoken --help'.\n", stderr);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	struct settings s = {
		.socket = environment_or("GCTOKEN_SOCKET", "/run/gctokend/gctokend.sock"),
		.profile = environment_or("GCTOKEN_PROFILE", "default"),
		.color = "auto",
	};
	int result;

	fill_standard_descriptors();
	result = dispatch(&s, argc, argv);
	if ((fflush(stdout) || ferror(stdout)) && result == EXIT_OK) {
		complain("cannot write to standard output: %s", strerror(errno));
		result = EXIT_FAILED;
	}
	return result;
}
