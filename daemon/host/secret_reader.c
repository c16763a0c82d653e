#include "secret_reader.h"

#include "core/secret_file.h"
#include "folder_fit.h"
#include "small_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *credentials_directory(void)
{
	const char *directory = getenv("CREDENTIALS_DIRECTORY");

	return directory ? directory : "";
}

int secret_complain(const struct secret_source *s, int error, const char *what)
{
	if (!s->key)
		snprintf(s->problem, s->problem_size, "%s", what);
	else if (s->credential)
		snprintf(s->problem, s->problem_size, "%s: %s/%s %s", s->key,
			credentials_directory(), s->credential, what);
	else
		snprintf(s->problem, s->problem_size, "%s: %s %s", s->key, s->path, what);
	return error;
}

static int cannot_read(const struct secret_source *s, int error)
{
	char what[160];

	snprintf(what, sizeof(what), "cannot be read: %s", strerror(-error));
	return secret_complain(s, error, what);
}

static int open_source(const struct secret_source *s, int *ret_fd, struct stat *ret_stat)
{
	char *path;
	int error;

	if (!s->credential)
		return small_file_open(s->path, ret_fd, ret_stat);
	if (asprintf(&path, "%s/%s", credentials_directory(), s->credential) < 0)
		return -ENOMEM;
	error = small_file_open(path, ret_fd, ret_stat);
	free(path);
	return error;
}

/* What has been opened is judged, so that nobody can swap the file in between. */
static int judge(const struct secret_source *s, const struct stat *st)
{
	const struct secret_file_reader reader = {geteuid(), getegid(), s->socket_gid};
	const bool strict = !s->is_public && !s->credential;
	char what[512];

	if (strict && !secret_file_judge(st, &reader, what, sizeof(what)))
		return secret_complain(s, -EPERM, what);
	if (strict && !folders_fit(s->path, what, sizeof(what)))
		return secret_complain(s, -EPERM, what);
	if (!S_ISREG(st->st_mode))
		return secret_complain(s, -EINVAL, "is not a regular file");
	return 0;
}

int secret_read(const struct secret_source *s, char *bytes, size_t size, size_t *ret_length)
{
	struct stat st;
	int fd, error;

	if (s->credential && !*credentials_directory()) {
		snprintf(s->problem, s->problem_size,
			"%s: CREDENTIALS_DIRECTORY is not set; run the daemon from a systemd unit "
			"with LoadCredential=%s:PATH",
			s->key, s->credential);
		return -ENOENT;
	}
	error = open_source(s, &fd, &st);
	if (error)
		return cannot_read(s, error);
	error = judge(s, &st);
	if (!error) {
		error = small_file_read(fd, bytes, size, ret_length);
		if (error)
			cannot_read(s, error);
	}
	close(fd);
	return error;
}
