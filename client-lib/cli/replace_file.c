#include "replace_file.h"

#include "cli.h"
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A device, a pipe or what a link such as /dev/stdout leads to: for whoever names one, a file in
 * its place is no use, and to others it is lost. */
static bool is_more_than_a_file(const char *path)
{
	char target[16];
	struct stat file;
	ssize_t n = readlink(path, target, sizeof(target));

	if (n >= 6 && !memcmp(target, "/proc/", 6))
		return true;
	return !stat(path, &file) && !S_ISREG(file.st_mode) && !S_ISDIR(file.st_mode);
}

static int make_and_rename(
	char *name, const char *path, mode_t mode, const char *bytes, size_t length, bool quiet)
{
	int fd = mkostemp(name, O_CLOEXEC), error;

	if (fd < 0) {
		if (!quiet)
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
		if (!quiet)
			complain("cannot write %s: %s", path, strerror(-error));
		return EXIT_FAILED;
	}
	return EXIT_OK;
}

int replace_file(const char *option, const char *path, mode_t mode, const char *bytes,
	size_t length, bool quiet)
{
	/* What people and service managers end a program with. The other file has a secret, and is
	 * not to be left behind. */
	static const int ends[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
	char name[4096];
	int code, n = snprintf(name, sizeof(name), "%s.XXXXXX", path);
	sigset_t blocked, mask;

	if (!*path || is_more_than_a_file(path)) {
		complain("%s: \"%s\" is not the path of a file, which is what would be put there",
			option, path);
		return EXIT_USAGE;
	}
	if (n < 0 || (size_t)n >= sizeof(name)) {
		complain("%s: the path is too long", option);
		return EXIT_USAGE;
	}
	sigemptyset(&blocked);
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
		sigaddset(&blocked, ends[i]);
	sigprocmask(SIG_BLOCK, &blocked, &mask);
	code = make_and_rename(name, path, mode, bytes, length, quiet);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	return code;
}
