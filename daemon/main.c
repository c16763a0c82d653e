/* Arguments, and the order of start and stop. */
#include "broker/broker.h"

#include "check_fleet.h"
#include "config_commands.h"
#include "failed_start.h"
#include "protection.h"
#include "version.h"

#include "front/closer.h"
#include "host/config_files.h"
#include "host/log.h"
#include "host/name_table.h"
#include "host/systemd.h"

#include <errno.h>
#include <event2/event.h>
#include <getopt.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

/* A start waits that long for the system's name service. */
#define NAMES_PATIENCE_S 1

enum action {
	ACTION_SERVE,
	ACTION_CHECK_CONFIG,
	ACTION_CHECK_FLEET,
	ACTION_PRINT_CONFIG,
};

static void print_usage(FILE *to)
{
	fputs("Usage: gctokend [-c FILE] [--check-config | --check-fleet | --print-config]\n"
	      "       gctokend --help-config | --version | --help\n"
	      "\n"
	      "Obtains OAuth tokens for Genesys Cloud, refreshes them before they expire and\n"
	      "serves them to local processes over a Unix socket.\n"
	      "\n"
	      "  -c, --config FILE  read FILE, then FILE.d/*.conf (" CONFIG_FILE_DEFAULT ")\n"
	      "      --check-config print all that is wrong with the configuration, and exit:\n"
	      "                     0 if nothing is, 78 otherwise\n"
	      "      --check-fleet  print whether this host can be one of its fleet, as JSON\n"
	      "      --print-config print where things are and who may have what, as JSON\n"
	      "      --help-config  list every configuration key, with its default\n"
	      "      --version      print the version\n"
	      "  -h, --help         print this\n"
	      "\n"
	      "SIGHUP reads the configuration and the secrets again, SIGTERM ends the daemon.\n",
		to);
}

/* The first, and how many they are; all of them stand in the log of the first start. */
static void tell_again(const struct config_problems *problems)
{
	char text[1024] = "";

	for (size_t i = 0; i < problems->count && !*text; i++)
		if (problems->items[i].severity == CONFIG_ERROR)
			config_problem_text(&problems->items[i], text, sizeof(text));
	log_line(LOG_ERR,
		"not started: the configuration is still not valid, %zu error%s (all of them: "
		"gctokend --check-config): %s",
		problems->errors, problems->errors == 1 ? "" : "s", text);
}

static struct config *load_or_tell(const char *path, struct name_table *names)
{
	struct config_problems problems = CONFIG_PROBLEMS_NONE;
	struct config *config = NULL;
	char text[1024];
	int r;

	/* Whom the name service knows by then is known before the first request is answered. Who
	 * serves meanwhile must not wait for the others. */
	config_ask_for_names(path, CONFIG_FOR_START, names);
	name_table_wait(names, duration_s(NAMES_PATIENCE_S));
	r = config_load(path, CONFIG_FOR_START, names, &config, &problems);
	/* What does not start anyhow tells all that --check-config would. */
	if (r == CONFIG_INVALID) {
		config_problems_fini(&problems);
		r = config_load(path, CONFIG_FOR_RELOAD, names, &config, &problems);
	}
	for (size_t i = 0; i < problems.count && !(r && failed_starts_before()); i++) {
		config_problem_text(&problems.items[i], text, sizeof(text));
		log_line(config_severity_level(problems.items[i].severity), "%s", text);
	}
	if (r < 0)
		log_line(LOG_ERR, "not started: %s", strerror(-r));
	else if (r && failed_starts_before())
		tell_again(&problems);
	else if (r)
		log_line(LOG_ERR, "not started: the configuration is not valid");
	config_problems_fini(&problems);
	return r ? NULL : config;
}

/* One that comes before anybody can heed it must not end the daemon. It stays pending, and once
 * there is a handler it is a reload. */
static void hold_hangup(int how)
{
	sigset_t hangup;

	sigemptyset(&hangup);
	sigaddset(&hangup, SIGHUP);
	sigprocmask(how, &hangup, NULL);
}

/* -1: there is none, as when those of earlier starts, which cannot be ended, are all there may be.
 */
static int start_closer(void)
{
	int fd = -1;
	int r = closer_start(&fd);

	if (r < 0)
		log_line(LOG_WARNING,
			"no process that closes descriptors for the daemon can be started: %s. "
			"What callers pass stays open, and takes their places",
			strerror(-r));
	return fd;
}

/* The exit code for what broker_new returned. */
static int status_of(int r)
{
	switch (r) {
	case 0:
		return 0;
	case -ENOMEM:
	case -EIO:
		return EX_OSERR;
	case -EADDRINUSE:
	case -EBUSY: /* the state directory, by another daemon */
		return EX_UNAVAILABLE;
	default: /* a path, a secret or a right that the configuration names */
		return EX_CONFIG;
	}
}

static int serve(const char *path, bool wiping)
{
	struct event_base *base = NULL;
	struct broker *broker = NULL;
	struct config *config = NULL;
	struct name_table *names = NULL;
	int status = EX_OSERR, closer_fd = -1;

	hold_hangup(SIG_BLOCK);
	protection_open_standard_descriptors();
	log_open(LOG_INFO);
	systemd_open();
	failed_start_open();
	protection_of_daemon();
	if (!wiping)
		log_line(LOG_WARNING,
			"what OpenSSL frees is not wiped: something used it before the daemon did");
	/* Now there is neither a secret nor a second thread. */
	closer_fd = start_closer();
	base = event_base_new();
	if (!base || name_table_new(&names, base)) {
		log_line(LOG_ERR, "the event loop cannot be made");
		goto out;
	}
	config = load_or_tell(path, names);
	if (!config) {
		status = EX_CONFIG;
		goto out;
	}
	log_set_level(config->broker.log_level);
	status = status_of(
		broker_new(&broker, base, path, config, names, closer_fd, GCTOKEN_VERSION));
	config = NULL; /* consumed */
	names = NULL;
	closer_fd = -1;
	if (status)
		goto out;
	failed_start_forget();
	hold_hangup(SIG_UNBLOCK);
	broker_run(broker);
	broker_free(broker);
out:
	if (status)
		failed_start_end();
	config_free(config);
	name_table_free(names);
	closer_stop(closer_fd);
	if (base)
		event_base_free(base);
	libevent_global_shutdown();
	CRYPTO_secure_malloc_done();
	return status;
}

int main(int argc, char **argv)
{
	enum { OPTION_CHECK = 256, OPTION_FLEET, OPTION_PRINT, OPTION_HELP_CONFIG, OPTION_VERSION };
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"check-config", no_argument, NULL, OPTION_CHECK},
		{"check-fleet", no_argument, NULL, OPTION_FLEET},
		{"print-config", no_argument, NULL, OPTION_PRINT},
		{"help-config", no_argument, NULL, OPTION_HELP_CONFIG},
		{"version", no_argument, NULL, OPTION_VERSION},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	enum action action = ACTION_SERVE;
	const char *path = CONFIG_FILE_DEFAULT;
	bool wiping = protection_wipe_what_openssl_frees(); /* before anything uses it */
	int option;

	while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			path = optarg;
			break;
		case OPTION_CHECK:
			action = ACTION_CHECK_CONFIG;
			break;
		case OPTION_FLEET:
			action = ACTION_CHECK_FLEET;
			break;
		case OPTION_PRINT:
			action = ACTION_PRINT_CONFIG;
			break;
		case OPTION_HELP_CONFIG:
			return config_command_help();
		case OPTION_VERSION:
			puts("gctokend " GCTOKEN_VERSION);
			return config_command_printed();
		case 'h':
			print_usage(stdout);
			return config_command_printed();
		default:
			print_usage(stderr);
			return EX_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "gctokend: %s: no arguments are expected\n", argv[optind]);
		print_usage(stderr);
		return EX_USAGE;
	}
	switch (action) {
	case ACTION_CHECK_CONFIG:
		return config_command_check(path);
	case ACTION_CHECK_FLEET:
		protection_of_readers();
		return check_fleet(path);
	case ACTION_PRINT_CONFIG:
		return config_command_print(path);
	default:
		return serve(path, wiping);
	}
}
