/* What every file of the gctoken command may know: exit codes, and the settings that all
 * subcommands share. */
#ifndef GCTOKEN_CLI_H
#define GCTOKEN_CLI_H

#include <stdbool.h>

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
	bool json;           /* print the daemon's reply as it is */
	const char *color;   /* auto, always or never */
};

#endif
