/* The scripts of conf/completion, which the build makes part of the command. */
#ifndef GCTOKEN_CLI_COMPLETION_COMMAND_H
#define GCTOKEN_CLI_COMPLETION_COMMAND_H

struct completion_script {
	const char *shell; /* NULL: the end of the list */
	const char *text;
};

extern const struct completion_script completion_scripts[];

#endif
