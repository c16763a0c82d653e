/* The subcommands: what one is, and the list of them. */
#ifndef GCTOKEN_CLI_COMMAND_H
#define GCTOKEN_CLI_COMMAND_H

struct command;
struct settings;

/* argv[0] is the command's name. Returns an exit code. */
typedef int command_function(const struct command *self, struct settings *s, int argc, char **argv);

struct command {
	const char *name;
	const char *arguments; /* for the usage line, "" if none */
	const char *summary;   /* one line */
	const char *details;   /* further lines of its help, "" if none */
	command_function *run;
	const char *examples; /* lines for the help, indented by 2; NULL: none */
};

/* completion_command.c */
command_function command_completion;
/* token_commands.c */
command_function command_get, command_header, command_exec;
/* change_commands.c */
command_function command_reject, command_refresh, command_revoke;
/* login_command.c */
command_function command_login, command_logout;
/* monitor_commands.c */
command_function command_check, command_metrics;
/* status_command.c, why_command.c, skew_command.c, watch_command.c */
command_function command_status, command_why, command_skew, command_watch;
/* These need the network's libraries. In gctoken: net_commands.c, which runs gctoken-net. In
 * gctoken-net: api_command.c and doctor_command.c. */
command_function command_api, command_doctor;

#endif
