/* The daemon's own program, asked by the doctor. */
#ifndef GCTOKEN_CLI_DOCTOR_PROGRAM_H
#define GCTOKEN_CLI_DOCTOR_PROGRAM_H

#include <stdbool.h>

/* Runs gctokend with that option and collects what it prints, for `ret_text` to be freed; its
 * errors among it, or else nowhere. It sees the running service's credentials, where this user may.
 * Its exit code, or -1. */
int doctor_run_daemon(
	const char *config_file, const char *option, bool with_errors, char **ret_text);

#endif
