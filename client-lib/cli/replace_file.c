#include "replace_file.h"

#include "cli.h"
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int replace_file(
	const char *option, const char *path, mode_t mode, const char *bytes, size_t length)
{
	char name[4096];
	int fd, error, n = snprintf(name, sizeof(name), "%s.XXXXXX", path);

	if (n < 0 || (size_t)n >= sizeof(name)) {
		complain("%s: the path is too long", option);
		return EXIT_USAGE;
	}
	fd = mkostemp(name, O_CLOEXEC);
	if (fd < 0) {
		complain("cannot make %s: %s", name, strerror(errno));
		return EXIT_FAILED;
	}
	error = write_all(fd, bytes, length);
	if (!error && fchmod(fd, mode))
		error = -errno;
	if (close(fd) && !error)
		error = -errno;
	if (!error && rename(name, path))
		error = -errno;
	if (error) {
		complain("cannot write %s: %s", path, strerror(-error));
		unlink(name);
		return EXIT_FAILED;
	}
	return EXIT_OK;
}
