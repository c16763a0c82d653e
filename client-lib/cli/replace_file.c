#include "replace_file.h"

#include "cli.h"
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int make_and_rename(
	char *name, const char *path, mode_t mode, const char *bytes, size_t length)
{
	int fd = mkostemp(name, O_CLOEXEC), error;

	if (fd < 0) {
		complain("cannot make %s: %s", name, strerror(errno));
		return EXIT_FAILED;
	}
	error = write_all(fd, bytes, length);
	if (!error && fchmod(fd, mode))
		error = -errno;
	if (!error && fsync(fd))
		error = -errno;
	if (close(fd) && !error)
		error = -errno;
	if (!error && rename(name, path))
		error = -errno;
	if (error) {
		unlink(name);
		complain("cannot write %s: %s", path, strerror(-error));
		return EXIT_FAILED;
	}
	return EXIT_OK;
}

int replace_file(
	const char *option, const char *path, mode_t mode, const char *bytes, size_t length)
{
	/* What people and service managers end a program with. The other file has a secret, and is
	 * not to be left behind. */
	static const int ends[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
	char name[4096];
	int code, n = snprintf(name, sizeof(name), "%s.XXXXXX", path);
	sigset_t blocked, mask;

	if (n < 0 || (size_t)n >= sizeof(name)) {
		complain("%s: the path is too long", option);
		return EXIT_USAGE;
	}
	sigemptyset(&blocked);
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
		sigaddset(&blocked, ends[i]);
	sigprocmask(SIG_BLOCK, &blocked, &mask);
	code = make_and_rename(name, path, mode, bytes, length);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	return code;
}
