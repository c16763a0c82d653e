/* What is written: tokens and the daemon's replies to standard output, complaints to stderr. */
#ifndef GCTOKEN_CLI_OUTPUT_H
#define GCTOKEN_CLI_OUTPUT_H

#include <stddef.h>

/* "gctoken: ..." and a newline on stderr. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Standard output cannot be written to, for that negative errno. EXIT_FAILED. */
int complain_of_output(int error);

/* Every byte to `fd`. 0; negative errno. */
int write_all(int fd, const char *bytes, size_t length);
/* Every byte to standard output, unbuffered. EXIT_OK, or EXIT_FAILED with the complaint made. */
int print_bytes(const char *bytes, size_t length);

#endif
