/* gctoken: the command that people and shell scripts use. Shells call it in loops, so it starts
 * fast: it links the C library and the small yajl, loads libcrypto only where a fingerprint has to
 * be made, and leaves what needs libcurl to gctoken-net, the same program with that linked in. */
#include "cli.h"
#include "command.h"
#include "core/text.h"
#include "options.h"
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct command commands[] = {
	{"get", "", "Prints the token.",
		"It is valid now, and the daemon replaces it ahead of its end: ask whenever one "
		"is\nneeded, and do not store it.\n",
		command_get},
	{"header", "", "Prints the header line \"Authorization: Bearer ...\".",
		"Keeps the token off the command line of others:\n"
		"  gctoken header | curl -H @- https://api.usw2.pure.cloud/api/v2/users/me\n",
		command_header},
	{"exec", "-- COMMAND [ARGUMENTS]", "Runs COMMAND with the token in its environment.",
		"Sets GENESYSCLOUD_ACCESS_TOKEN and GENESYSCLOUD_REGION for COMMAND alone. The "
		"token\n"
		"is not replaced while COMMAND runs. Exits with COMMAND's own code; 127 where "
		"there is\n"
		"no such command, 126 where it cannot be run. --json has no effect.\n",
		command_exec},
	{"api", "METHOD PATH", "Calls the Genesys Cloud API and prints what it answers.",
		"A 401 is reported to the daemon and the call made once more with a new token. A "
		"429\n"
		"is waited for, as long as the API asks. Exits by the status: 0 for 2xx, 77 for "
		"401\n"
		"and 403, 75 for 429, 408, 502, 503, 504 and a server that cannot be reached, "
		"else 1.\n"
		"The token goes to the profile's own API and nowhere else.\n"
		"  gctoken api GET /api/v2/users/me\n"
		"  gctoken api GET '/api/v2/routing/queues?pageSize=100' --paginate\n"
		"  gctoken api POST /api/v2/analytics/conversations/details/query -d "
		"@query.json\n",
		command_api},
	{"reject", "", "Reports that the API answered 401 to a token.",
		"The token is read from standard input, or named by --generation. Prints nothing; "
		"get\n"
		"the new token with 'gctoken get'. 403 and 429 are no reason to report a token.\n",
		command_reject},
	{"watch", "", "Prints a line for each new token, until it is ended.",
		"The first line is for the token there is now. With --exec CMD, sh -c CMD runs "
		"after\n"
		"each line, with GENESYSCLOUD_ACCESS_TOKEN and GENESYSCLOUD_REGION set and "
		"nothing on\n"
		"standard input; one at a time: tokens that come meanwhile are one run, for the "
		"newest.\n"
		"A CMD that fails is told of, and the next token awaited. TERM and HUP are passed "
		"on\n"
		"to CMD. Restarts of the daemon are waited for. The lines hold no token.\n",
		command_watch},
	{"status", "", "Shows the profiles that this user may see.", "", command_status},
	{"why", "", "Shows what happened to a profile and why (administrators).",
		"The latest 128 events, newest last, and how things stand now.\n", command_why},
	{"skew", "", "Shows how far this machine's clock is from the login server's.", "",
		command_skew},
	{"check", "", "Tells in one line whether the token is good, for monitoring.",
		"Exits 0: fresh; 1: stale, or shorter than --min-ttl; 2: no token, or the daemon "
		"cannot\n"
		"be reached; 3: wrong usage. Asks for no token and changes nothing.\n",
		command_check},
	{"metrics", "", "Prints the daemon's metrics, in Prometheus' text format.",
		"For a timer that feeds the textfile collector: --output replaces the file in one "
		"step.\n"
		"--json has no effect.\n",
		command_metrics},
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
	{"revoke", "", "Ends the token at Genesys Cloud and stops (administrators).",
		"All who use it are refused from now on, and nobody gets another one until "
		"'gctoken\n"
		"refresh'.\n",
		command_revoke},
	{"doctor", "", "Looks for what is wrong with the installation, and says what to do.",
		"Configuration, credentials, sockets, daemon, DNS, TLS, clock. Root sees more of "
		"it;\n"
		"what could not be looked at is said. Exits 0 if nothing is wrong, else 1.\n",
		command_doctor},
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

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

static void list_commands(char *ret, size_t size)
{
	size_t length = (size_t)snprintf(ret, size, "Commands:\n"), i;

	for (i = 0; i < COMMAND_COUNT; i++)
		length += (size_t)snprintf(ret + length, size - length, "  %-18s %s\n",
			commands[i].name, commands[i].summary);
}

static int unknown_command(const char *word)
{
	unsigned best = 3, d;
	const char *near = NULL;
	size_t i;

	for (i = 0; i < COMMAND_COUNT; i++) {
		d = text_distance(word, commands[i].name);
		if (d < best && d < strlen(commands[i].name)) {
			best = d;
			near = commands[i].name;
		}
	}
	complain("unknown command \"%s\"", word);
	if (near)
		fprintf(stderr, "Did you mean '%s'? ", near);
	fputs("Try 'gctoken --help'.\n", stderr);
	return EXIT_USAGE;
}

static int dispatch(struct settings *s, int argc, char **argv)
{
	char list[2048], details[2560];
	const struct command general = {
		NULL, "COMMAND", "Gets Genesys Cloud tokens from gctokend.", details, NULL};
	int result;
	size_t i;

	list_commands(list, sizeof(list));
	snprintf(details, sizeof(details),
		"%s\n'gctoken COMMAND --help' says more.\n\n"
		"Exit codes: 0 ok, 1 failed, 2 usage, 69 the daemon cannot be reached, 75 try "
		"again\nlater, 77 denied, 78 configuration or unknown profile.\n",
		list);
	result = options_read(&general, s, NULL, 0, true, &argc, &argv);
	if (result != GO_ON)
		return result;
	if (!argc) {
		complain("no command given");
		fprintf(stderr, "\nUsage: gctoken [OPTIONS] COMMAND\n\n%s\nTry 'gctoken --help'.\n",
			list);
		return EXIT_USAGE;
	}
	for (i = 0; i < COMMAND_COUNT; i++)
		if (!strcmp(argv[0], commands[i].name))
			return commands[i].run(&commands[i], s, argc, argv);
	return unknown_command(argv[0]);
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
	if ((fflush(stdout) || ferror(stdout)) && result == EXIT_OK)
		result = complain_of_output(-errno);
	return result;
}
