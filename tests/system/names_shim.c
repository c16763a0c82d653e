/* A name service that does what a test says: preloaded into the daemon. In the folder named by
 * GCTOKEN_TEST_NAMES a file that is called like a user or group tells what becomes of a look-up of
 * that name: "slow" (until the file says something else), "error", "none", or a number. Names
 * without a file are the system's. Each look-up is a line of the file "log". */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { REAL = -1 };

static void read_word(const char *name, char *word, size_t size)
{
	const char *folder = getenv("GCTOKEN_TEST_NAMES");
	char path[512];
	FILE *file;

	*word = '\0';
	snprintf(path, sizeof(path), "%s/%s", folder ? folder : "/nowhere", name);
	file = fopen(path, "re");
	if (!file)
		return;
	if (!fgets(word, (int)size, file))
		*word = '\0';
	fclose(file);
}

static void note(const char *name)
{
	const char *folder = getenv("GCTOKEN_TEST_NAMES");
	char path[512], line[300];
	int length = snprintf(line, sizeof(line), "%s\n", name), fd;

	snprintf(path, sizeof(path), "%s/log", folder ? folder : "/nowhere");
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0) {
		if (write(fd, line, (size_t)length) < 0)
			abort();
		close(fd);
	}
}

/* REAL; 0 with *ret_found; or an errno. */
static int judge(const char *name, unsigned *ret_id, int *ret_found)
{
	const struct timespec moment = {.tv_nsec = 10000000};
	char word[32];

	note(name);
	for (read_word(name, word, sizeof(word)); !strcmp(word, "slow");
		read_word(name, word, sizeof(word)))
		nanosleep(&moment, NULL);
	*ret_found = 0;
	if (!strcmp(word, "error"))
		return EIO;
	if (!strcmp(word, "none"))
		return 0;
	if (!*word)
		return REAL;
	*ret_id = (unsigned)strtoul(word, NULL, 10);
	*ret_found = 1;
	return 0;
}

int getpwnam_r(
	const char *name, struct passwd *entry, char *buffer, size_t size, struct passwd **ret)
{
	int (*real)(const char *, struct passwd *, char *, size_t, struct passwd **);
	unsigned id = 0;
	int found, error = judge(name, &id, &found);

	if (error == REAL) {
		*(void **)&real = dlsym(RTLD_NEXT, "getpwnam_r");
		return real(name, entry, buffer, size, ret);
	}
	memset(entry, 0, sizeof(*entry));
	entry->pw_uid = id;
	*ret = found ? entry : NULL;
	return error;
}

int getgrnam_r(const char *name, struct group *entry, char *buffer, size_t size, struct group **ret)
{
	int (*real)(const char *, struct group *, char *, size_t, struct group **);
	unsigned id = 0;
	int found, error = judge(name, &id, &found);

	if (error == REAL) {
		*(void **)&real = dlsym(RTLD_NEXT, "getgrnam_r");
		return real(name, entry, buffer, size, ret);
	}
	memset(entry, 0, sizeof(*entry));
	entry->gr_gid = id;
	*ret = found ? entry : NULL;
	return error;
}
