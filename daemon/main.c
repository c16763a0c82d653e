/* Arguments, the process's own protection, and the order of start and stop. */
#include "broker/broker.h"

#include "check_fleet.h"
#include "failed_start.h"
#include "print_config.h"
#include "version.h"

#include "core/buffer.h"
#include "core/config_help.h"
#include "core/wiping.h"
#include "front/closer.h"
#include "host/config_files.h"
#include "host/log.h"
#include "host/name_table.h"
#include "host/no_programs.h"
#include "host/systemd.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <getopt.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

/* A power of two, as OpenSSL asks. Room for the credentials and tokens of about a hundred profiles;
 * what does not fit goes to the ordinary heap, wiped all the same. */
#define SECURE_HEAP_SIZE (1024 * 1024)
#define SECURE_HEAP_SMALLEST 64
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

/* A descriptor 0, 1 or 2 that is closed would be given to the first socket, and then be written to
 * by whatever believes it to be standard error. */
static void open_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

/* What the environment must not decide: where traffic goes and where TLS keys are written. */
static void clear_environment(void)
{
	static const char *const names[] = {"SSLKEYLOGFILE", "http_proxy", "https_proxy",
		"HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY", "CURL_HOME",
		"NETRC"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		unsetenv(names[i]);
}

static void *openssl_realloc(void *p, size_t size, const char *file, int line)
{
	(void)file, (void)line;
	return wiping_realloc(p, size);
}

static void openssl_free(void *p, const char *file, int line)
{
	(void)file, (void)line;
	wiping_free(p);
}

/* False: something used OpenSSL before, which then stays with the allocator that it has. */
static bool wipe_what_openssl_frees(void)
{
	return CRYPTO_set_mem_functions(NULL, openssl_realloc, openssl_free) == 1;
}

/* What every process does that reads a secret. */
static void keep_to_itself(void)
{
	const struct rlimit no_core = {0, 0};

	umask(077);
	signal(SIGPIPE, SIG_IGN);
	clear_environment();
	if (setrlimit(RLIMIT_CORE, &no_core) || prctl(PR_SET_DUMPABLE, 0))
		log_line(LOG_WARNING, "core dumps cannot be turned off: %s", strerror(errno));
}

static void protect_process(void)
{
	struct rlimit files;
	int error;

	keep_to_itself();
	error = no_programs();
	if (error)
		log_line(LOG_WARNING, "this process cannot be kept from starting programs: %s",
			strerror(-error));
	if (!getrlimit(RLIMIT_NOFILE, &files) && files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	switch (CRYPTO_secure_malloc_init(SECURE_HEAP_SIZE, SECURE_HEAP_SMALLEST)) {
	case 1:
		break;
	case 2:
		log_line(LOG_WARNING,
			"memory for secrets cannot be locked: they may reach swap (raise "
			"LimitMEMLOCK)");
		break;
	default:
		log_line(LOG_WARNING, "no memory set apart for secrets; the ordinary heap is used");
	}
}

/* The exit code of what does nothing but print. */
static int printed(void)
{
	if (!fflush(stdout) && !ferror(stdout))
		return 0;
	fprintf(stderr, "gctokend: cannot write to standard output: %s\n", strerror(errno));
	return EX_OSERR;
}

/* Ends `text`. */
static int print_text(struct buffer *text)
{
	int status = EX_OSERR;

	if (buffer_failed(text)) {
		fputs("gctokend: out of memory\n", stderr);
	} else {
		fwrite(text->data, 1, text->length, stdout);
		status = printed();
	}
	buffer_fini(text);
	return status;
}

static int help_config(void)
{
	struct buffer text;

	buffer_init(&text, NULL, 0);
	config_help_write(&text);
	return print_text(&text);
}

static int check_config(const char *path)
{
	struct config_problems problems = CONFIG_PROBLEMS_NONE;
	struct config *config = NULL;
	bool warned = false;
	char reader[128];
	int r = config_become_reader(path, reader, sizeof(reader));

	if (!r)
		r = config_load(path, CONFIG_FOR_CHECK, NULL, &config, &problems);
	config_problems_print(&problems, stdout);
	for (size_t i = 0; i < problems.count; i++)
		warned |= problems.items[i].severity == CONFIG_WARNING;
	if (r < 0)
		fprintf(stderr, "gctokend: %s\n", strerror(-r));
	else if (!r)
		printf("%s: %zu profile%s, %s\n", path, config->profile_count,
			config->profile_count == 1 ? "" : "s",
			warned ? "no error" : "nothing wrong");
	if (*reader)
		printf("(Files are judged as the daemon's %s reads them.)\n", reader);
	config_problems_fini(&problems);
	config_free(config);
	return r ? EX_CONFIG : 0;
}

/* Problems are for --check-config to tell; here they are the reason for an exit code. */
static int print_config(const char *path)
{
	struct config_problems problems = CONFIG_PROBLEMS_NONE;
	struct config *config = NULL;
	struct buffer text;
	char reader[128];
	int status = EX_CONFIG;

	/* as the daemon sees it: what it may read and root may not is no problem */
	if (!config_become_reader(path, reader, sizeof(reader)) &&
		!config_load(path, CONFIG_FOR_CHECK, NULL, &config, &problems)) {
		buffer_init(&text, NULL, 0);
		config_print_json(config, &text);
		status = print_text(&text);
	}
	config_problems_fini(&problems);
	config_free(config);
	return status;
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

static int serve(const char *path, bool wiping)
{
	struct event_base *base = NULL;
	struct broker *broker = NULL;
	struct config *config = NULL;
	struct name_table *names = NULL;
	int status = EX_OSERR, closer_fd = -1, r;

	hold_hangup(SIG_BLOCK);
	open_standard_descriptors();
	log_open(LOG_INFO);
	systemd_open();
	failed_start_open();
	protect_process();
	if (!wiping)
		log_line(LOG_WARNING,
			"what OpenSSL frees is not wiped: something used it before the daemon did");
	/* Now there is neither a secret nor a second thread. */
	r = closer_start(&closer_fd);
	if (r < 0) {
		/* as when those of earlier starts, which cannot be ended, are all there may be */
		log_line(LOG_WARNING,
			"no process that closes descriptors for the daemon can be started: %s. "
			"What "
			"callers pass stays open, and takes their places",
			strerror(-r));
	}
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
	r = broker_new(&broker, base, path, config, names, closer_fd, GCTOKEN_VERSION);
	config = NULL; /* consumed */
	names = NULL;
	closer_fd = -1;
	switch (r) {
	case 0:
		break;
	case -ENOMEM:
	case -EIO:
		goto out;
	case -EADDRINUSE:
	case -EBUSY: /* the state directory, by another daemon */
		status = EX_UNAVAILABLE;
		goto out;
	default: /* a path, a secret or a right that the configuration names */
		status = EX_CONFIG;
		goto out;
	}
	failed_start_forget();
	hold_hangup(SIG_UNBLOCK);
	broker_run(broker);
	broker_free(broker);
	status = 0;
out:
	if (status)
		failed_start_end();
	config_free(config);
	name_table_free(names);
	if (closer_fd >= 0)
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
	bool wiping = wipe_what_openssl_frees(); /* before anything uses it */
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
			return help_config();
		case OPTION_VERSION:
			puts("gctokend " GCTOKEN_VERSION);
			return printed();
		case 'h':
			print_usage(stdout);
			return printed();
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
		return check_config(path);
	case ACTION_CHECK_FLEET:
		keep_to_itself();
		return check_fleet(path);
	case ACTION_PRINT_CONFIG:
		return print_config(path);
	default:
		return serve(path, wiping);
	}
}
