/* What the gctoken command's files share: exit codes, the settings every subcommand knows, and the
 * shape of a subcommand. */
#ifndef GCTOKEN_CLI_H
#define GCTOKEN_CLI_H

#include <stdbool.h>
#include <stddef.h>

enum exit_code {
	EXIT_OK = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_UNREACHABLE = 69, /* sysexits' names: EX_UNAVAILABLE */
	EXIT_TRY_LATER = 75,   /* EX_TEMPFAIL */
	EXIT_DENIED = 77,      /* EX_NOPERM */
	EXIT_CONFIG = 78,      /* EX_CONFIG; also an unknown profile */
};

struct settings {
	const char *socket;  /* never NULL once the options are read */
	const char *profile; /* likewise */
	bool profile_named;  /* by an option, not by the environment or the default */
	bool json;           /* print what the daemon answers as it is */
	const char *color;   /* auto, always or never */
};

struct command {
	const char *name;
	const char *arguments; /* for the usage line, "" if none */
	const char *summary;   /* one line */
	const char *details;   /* further lines of its help, "" if none */
	/* argv[0] is the command's name. Returns an exit code. */
	int (*run)(const struct command *self, struct settings *s, int argc, char **argv);
};

/* token_commands.c */
int command_get(const struct command *self, struct settings *s, int argc, char **argv);
int command_header(const struct command *self, struct settings *s, int argc, char **argv);
int command_exec(const struct command *self, struct settings *s, int argc, char **argv);
/* change_commands.c */
int command_reject(const struct command *self, struct settings *s, int argc, char **argv);
int command_refresh(const struct command *self, struct settings *s, int argc, char **argv);
int command_revoke(const struct command *self, struct settings *s, int argc, char **argv);
/* watch_command.c */
int command_watch(const struct command *self, struct settings *s, int argc, char **argv);
/* monitor_commands.c */
int command_check(const struct command *self, struct settings *s, int argc, char **argv);
int command_metrics(const struct command *self, struct settings *s, int argc, char **argv);
/* why_command.c */
int command_why(const struct command *self, struct settings *s, int argc, char **argv);
/* What needs the network's libraries. In gctoken: helper.c, which runs gctoken-net. In gctoken-net:
 * api_command.c and doctor_command.c. */
int command_api(const struct command *self, struct settings *s, int argc, char **argv);
int command_doctor(const struct command *self, struct settings *s, int argc, char **argv);
/* status_command.c */
int command_status(const struct command *self, struct settings *s, int argc, char **argv);
/* login_command.c, login.c */
int command_login(const struct command *self, struct settings *s, int argc, char **argv);
int command_logout(const struct command *self, struct settings *s, int argc, char **argv);
/* skew_command.c */
int command_skew(const struct command *self, struct settings *s, int argc, char **argv);

/* "gctoken: ..." and a newline on stderr. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Every byte to stdout, unbuffered. 0, or EXIT_FAILED with the complaint made. */
int print_bytes(const char *bytes, size_t length);

#endif
