#include "helper.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_ours(const char *path, const struct stat *self)
{
	struct stat other;

	return !stat(path, &other) && S_ISREG(other.st_mode) &&
	       (!other.st_uid || other.st_uid == self->st_uid) && !(other.st_mode & S_IWOTH) &&
	       !access(path, X_OK);
}

void helper_find(const char *name, const char *installed, char *ret)
{
	ssize_t n = readlink("/proc/self/exe", ret, PATH_MAX - 1);
	struct stat self;
	char *slash;

	if (n > 0) {
		ret[n] = '\0';
		slash = strrchr(ret, '/');
		if (slash && !stat(ret, &self) &&
			(size_t)(slash + 1 - ret) + strlen(name) < PATH_MAX) {
			strcpy(slash + 1, name);
			if (is_ours(ret, &self))
				return;
		}
	}
	snprintf(ret, PATH_MAX, "%s", installed);
}
