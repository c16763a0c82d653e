/* The command line of `gctoken api`, checked. */
#ifndef GCTOKEN_CLI_API_OPTIONS_H
#define GCTOKEN_CLI_API_OPTIONS_H

#include "cli.h"
#include <stddef.h>
#include <stdint.h>

struct command;

struct api_options {
	char method[8]; /* in capitals */
	const char *path;
	char *body; /* NULL: none */
	size_t body_length;
	const char *content_type;
	const char *ca_file; /* NULL: the system's */
	bool paginate;
	int64_t retry_wait_s, timeout_s, wait_s;
};

#define API_OPTIONS_NONE ((struct api_options){.method = ""})

/* GO_ON, or the exit code; *ret is to be ended with api_options_fini in any case. */
int api_options_read(const struct command *self, struct settings *s, int argc, char **argv,
	struct api_options *ret);
void api_options_fini(struct api_options *o);

#endif
