#include "output.h"

#include "cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void complain(const char *format, ...)
{
	va_list arguments;

	fputs("gctoken: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
}

int complain_of_output(int error)
{
	complain("cannot write to standard output: %s", strerror(-error));
	return EXIT_FAILED;
}

int write_all(int fd, const char *bytes, size_t length)
{
	while (length) {
		ssize_t n = write(fd, bytes, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		bytes += n;
		length -= (size_t)n;
	}
	return 0;
}

int print_bytes(const char *bytes, size_t length)
{
	int error = write_all(STDOUT_FILENO, bytes, length);

	return error ? complain_of_output(error) : EXIT_OK;
}
