/* Options from a table, which is also what --help prints. */
#ifndef GCTOKEN_CLI_OPTIONS_H
#define GCTOKEN_CLI_OPTIONS_H

#include "cli.h"
#include <stddef.h>
#include <stdint.h>

enum option_kind {
	OPTION_FLAG,   /* bool */
	OPTION_TEXT,   /* const char * */
	OPTION_NUMBER, /* int64_t: decimal, 0 to `max` */
};

struct command;

struct option_spec {
	const char *name; /* without the dashes; one letter: a short option, -d VALUE or -dVALUE */
	enum option_kind kind;
	void *value;          /* set where the option is given, else untouched */
	const char *argument; /* for the help; NULL for a flag */
	const char *help;
	int64_t max;
};

#define GO_ON (-1)

/* Reads the options of a command, its own and those that all have, from argv[1] on. --name VALUE
 * and --name=VALUE; "--" ends them. Where `in_order`, so does the first word that is no option;
 * else options and words may be mixed. GO_ON: the words that are left are at *argv[0 .. *argc-1].
 * Anything else is the exit code to end with: --help and --version have been served, an error has
 * been explained. */
int options_read(const struct command *command, struct settings *s, const struct option_spec *own,
	size_t own_count, bool in_order, int *argc, char ***argv);

/* For a command that takes options only. */
int options_read_alone(const struct command *command, struct settings *s,
	const struct option_spec *own, size_t own_count, int argc, char **argv);
/* GO_ON, or EXIT_CONFIG with the complaint made: no profile can have that name. Also makes it safe
 * to put into a request as it is. */
int options_check_profile(const struct settings *s);
/* Both: what a command about one profile begins with. */
int options_read_of_profile(const struct command *command, struct settings *s,
	const struct option_spec *own, size_t own_count, int argc, char **argv);

#endif
