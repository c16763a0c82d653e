/* gctoken: the command for people and shell scripts. Shells call it in loops, so it has to start
 * fast: it links the C library and the small yajl, loads libcrypto only to make a fingerprint, and
 * leaves what needs libcurl to gctoken-net, the same program with that linked in. */
#include "cli.h"

#include "../defaults.h"
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

static command_function command_help;

static const struct command commands[] = {
	{"get", "", "Prints the token.",
		"The token is valid now. The daemon renews it in time, so ask whenever you\n"
		"need one and do not store it.\n",
		command_get,
		"  gctoken get\n"
		"  gctoken get --min-ttl 600         # for a job of ten minutes\n"
		"  TOKEN=$(gctoken --profile reports get) || exit\n"},
	{"header", "", "Prints the header line \"Authorization: Bearer ...\".",
		"Keeps the token off the command line, where other users would see it.\n",
		command_header,
		"  gctoken header | curl -H @- https://api.usw2.pure.cloud/api/v2/users/me\n"},
	{"exec", "-- COMMAND [ARGUMENTS]", "Runs COMMAND with the token in its environment.",
		"Sets GENESYSCLOUD_ACCESS_TOKEN and GENESYSCLOUD_REGION for COMMAND only. The\n"
		"token is not renewed while COMMAND runs: standard error says how long it is good\n"
		"for, and --min-ttl asks for more. Exits with COMMAND's own code: 127\n"
		"if it is not found, 126 if it cannot be run. --json has no effect.\n",
		command_exec,
		"  gctoken exec -- terraform plan\n"
		"  gctoken exec --min-ttl 3600 -- ./nightly-report\n"},
	{"api", "METHOD PATH", "Calls the Genesys Cloud API and prints the response.",
		"On a 401 it rejects the token and calls again with a new one: at once, and a\n"
		"moment later, since an API may learn of it late. On a 429 it waits as long as\n"
		"the API asks. The exit code follows the status: 0 for 2xx, 77 for 401 and 403,\n"
		"75 for 429, 408, 502, 503, 504 and a server that cannot be reached, otherwise\n"
		"1. The token goes to the profile's own API and nowhere else, and gets there\n"
		"through the proxy that https_proxy or all_proxy names, unless no_proxy has the\n"
		"host. On a terminal JSON is indented; with --json, or into a file or pipe, it\n"
		"is as it came.\n",
		command_api,
		"  gctoken api GET /api/v2/users/me\n"
		"  gctoken api GET '/api/v2/routing/queues?pageSize=100' --paginate\n"
		"  gctoken api POST /api/v2/routing/queues -d @queue.json\n"},
	{"reject", "", "Tells the daemon that the API rejected a token with 401.",
		"Reads the token from standard input, unless --generation names it. Prints\n"
		"nothing; 'gctoken get' prints the new token. A 403 or 429 is no reason to\n"
		"reject a token.\n",
		command_reject,
		"  printf %s \"$TOKEN\" | gctoken reject\n"
		"  gctoken reject --generation 17\n"},
	{"watch", "", "Prints a line for each new token, until it is stopped.",
		"The first line is for the current token. With --exec CMD it runs sh -c CMD\n"
		"after each line, with GENESYSCLOUD_ACCESS_TOKEN and GENESYSCLOUD_REGION set\n"
		"and nothing on standard input. It runs one CMD at a time; if several tokens\n"
		"come meanwhile, the next run is for the newest. If CMD fails, watch says so\n"
		"and goes on. It passes TERM and HUP on to CMD, and waits for a daemon that\n"
		"restarts. The lines contain no token. With --file PATH, for programs that only\n"
		"read files, the token is in PATH before its line is printed: the file is\n"
		"replaced in one step. It stays when watch ends.\n",
		command_watch,
		"  gctoken watch --exec 'systemctl reload my-service'\n"
		"  gctoken watch --file $XDG_RUNTIME_DIR/token\n"},
	{"status", "", "Shows the profiles that this user may see.", "", command_status,
		"  gctoken status\n"
		"  gctoken status --json | jq '.profiles[].state'\n"},
	{"why", "", "Shows what happened to a profile and why (administrators).",
		"The latest 128 events, newest last, and the state now.\n", command_why,
		"  sudo gctoken --profile reports why\n"},
	{"skew", "", "Shows how far this clock is from the login server's.", "", command_skew,
		"  gctoken skew --probe              # measure now\n"},
	{"check", "", "Says in one line whether the token is good, for monitoring.",
		"Exits 0 if it is fresh; 1 if it is stale or expires within --min-ttl; 2 if\n"
		"there is no token or no daemon; 3 for wrong usage. Fetches no token and\n"
		"changes nothing.\n",
		command_check, "  gctoken --profile reports check --min-ttl 300\n"},
	{"metrics", "", "Prints the daemon's metrics, in Prometheus' text format.",
		"For a timer that feeds the textfile collector: --output replaces the file in\n"
		"one step. --json has no effect.\n",
		command_metrics,
		"  gctoken metrics --output /var/lib/prometheus/node-exporter/gctokend.prom\n"},
	{"login", "", "Logs a profile in: a person allows it in a browser.",
		"Opens the login page in a browser ($BROWSER, or the desktop's) and waits for\n"
		"the browser to return to this machine. With --no-browser you open the page\n"
		"on any machine, and paste the address that the browser ends at. From then on\n"
		"the daemon keeps the profile logged in. --json prints the daemon's two\n"
		"replies, one per line.\n",
		command_login,
		"  gctoken --profile agent login\n"
		"  gctoken --profile agent login --no-browser\n"},
	{"logout", "", "Ends a login: its tokens are revoked and erased.", "", command_logout,
		"  gctoken --profile agent logout\n"},
	{"refresh", "", "Fetches a new token now (administrators).",
		"Does not wait out the pause after a failure. The old token stays valid, and\n"
		"is served for some seconds more, until no server's clock can take the new one\n"
		"for a token from the future.\n",
		command_refresh, "  sudo gctoken --profile reports refresh\n"},
	{"revoke", "", "Revokes the token and stops the profile (administrators).",
		"From then on nobody gets a token, until an administrator runs 'gctoken\n"
		"refresh'. Earlier tokens, and those that others obtained with the client, stay\n"
		"valid at Genesys Cloud until they expire.\n",
		command_revoke, "  sudo gctoken --profile reports revoke\n"},
	{"doctor", "", "Checks the installation, and says what to do.",
		"Checks configuration, credentials, sockets, daemon, DNS, TLS and clock. Root\n"
		"can check more; what could not be checked is listed. Exits 0 if nothing is\n"
		"wrong, otherwise 1.\n",
		command_doctor, "  sudo gctoken doctor\n"},
	{"help", "[COMMAND]", "Says more about a command.", "", command_help,
		"  gctoken help exec\n"},
	{"completion", "bash|zsh|fish", "Prints the completion script for a shell.",
		"The packages install it; elsewhere let the shell read it when it starts.\n",
		command_completion,
		"  gctoken completion bash >~/.local/share/bash-completion/completions/gctoken\n"
		"  gctoken completion zsh >\"${fpath[1]}/_gctoken\"\n"
		"  gctoken completion fish >~/.config/fish/completions/gctoken.fish\n"},
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

/* If one of descriptors 0 to 2 were closed, the socket would get its number, and messages would be
 * written into it. Opened read-only, so that writing there fails instead of being lost. */
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

	for (i = 0; i < COMMAND_COUNT && length < size; i++)
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

static const struct command *find_command(const char *name)
{
	size_t i;

	for (i = 0; i < COMMAND_COUNT; i++)
		if (!strcmp(name, commands[i].name))
			return &commands[i];
	return NULL;
}

static int dispatch(struct settings *s, int argc, char **argv)
{
	char list[2048], details[2560];
	const struct command general = {.arguments = "COMMAND",
		.summary = "Gets Genesys Cloud tokens from gctokend.",
		.details = details,
		.examples = "  gctoken status\n"
			    "  gctoken api GET /api/v2/users/me\n"
			    "  gctoken --profile reports exec -- ./nightly-report\n"};
	const struct command *command;
	int result;

	list_commands(list, sizeof(list));
	snprintf(details, sizeof(details),
		"%s\n'gctoken help COMMAND' says more.\n\n"
		"Exit codes: 0 ok, 1 failed, 2 usage, 69 daemon unreachable, 75 try again later,\n"
		"77 denied, 78 configuration or unknown profile.\n",
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
	command = find_command(argv[0]);
	return command ? command->run(command, s, argc, argv) : unknown_command(argv[0]);
}

/* As --help behind the command, or alone. */
static int command_help(const struct command *self, struct settings *s, int argc, char **argv)
{
	char program[] = "gctoken", option[] = "--help";
	const struct command *command;
	int code = options_read(self, s, NULL, 0, false, &argc, &argv);

	if (code != GO_ON)
		return code;
	if (argc > 1) {
		complain("help: \"%s\" is one word too many", argv[1]);
		return EXIT_USAGE;
	}
	if (!argc)
		return dispatch(s, 2, (char *[]){program, option, NULL});
	command = find_command(argv[0]);
	return command ? command->run(command, s, 2, (char *[]){argv[0], option, NULL})
		       : unknown_command(argv[0]);
}

int main(int argc, char **argv)
{
	struct settings s = {
		.socket = environment_or("GCTOKEN_SOCKET", GCTOKEN_DEFAULT_SOCKET),
		.profile = environment_or("GCTOKEN_PROFILE", GCTOKEN_DEFAULT_PROFILE),
		.color = "auto",
	};
	int result;

	fill_standard_descriptors();
	result = dispatch(&s, argc, argv);
	if ((fflush(stdout) || ferror(stdout)) && result == EXIT_OK)
		result = complain_of_output(-errno);
	return result;
}
