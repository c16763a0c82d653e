/* A file that is there whole, as it was or as it is to be, at every moment. */
#ifndef GCTOKEN_CLI_REPLACE_FILE_H
#define GCTOKEN_CLI_REPLACE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Puts those bytes in the place of `path`, if it is there; its folder takes another file meanwhile.
 * A link is replaced and not followed; devices and pipes are left alone, and that is a wrong usage.
 * The umask does not matter, and signals that end the program wait until it is done. EXIT_OK, or
 * the exit code with the complaint made, which names `option`: EXIT_FAILED, of which nothing is
 * said where `quiet`, may pass. */
int replace_file(const char *option, const char *path, mode_t mode, const char *bytes,
	size_t length, bool quiet);

#endif
