#include "credential.h"
#include "core/config.h"
#include "core/secret.h"
#include "core/secret_file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_SIZE (SECRET_FILE_MAX + 3) /* CRLF, and one byte more to see that there is more */

/* How a file is judged once it is open. */
enum trust {
	TRUST_STRICT,  /* a secret file: as secret_file_judge has it */
	TRUST_SYSTEMD, /* a credential: the manager has set owner and mode */
	TRUST_PUBLIC,  /* a client id is no secret */
};

struct source {
	const char *key; /* of the configuration, for messages */
	const char *path;
	enum trust trust;
	gid_t socket_gid;
	char *problem;
	size_t problem_size;
};

static int complain(const struct source *s, int error, const char *what)
{
	snprintf(s->problem, s->problem_size, "%s: %s %s", s->key, s->path, what);
	return error;
}

static int judge(const struct source *s, int fd)
{
	struct secret_file_reader reader = {geteuid(), getegid(), s->socket_gid};
	struct secret_file_facts facts;
	struct stat st;
	char what[256];

	if (fstat(fd, &st) < 0)
		return complain(s, -errno, "cannot be examined");
	facts = (struct secret_file_facts){st.st_mode, st.st_uid, st.st_gid, st.st_size};
	if (s->trust == TRUST_STRICT && !secret_file_judge(&facts, &reader, what, sizeof(what)))
		return complain(s, -EPERM, what);
	if (!S_ISREG(st.st_mode))
		return complain(s, -EINVAL, "is not a regular file");
	return 0;
}

/* At most READ_SIZE bytes. */
static ssize_t read_some(int fd, char *bytes)
{
	size_t length = 0;

	while (length < READ_SIZE) {
		ssize_t n = read(fd, bytes + length, READ_SIZE - length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		length += (size_t)n;
	}
	return (ssize_t)length;
}

/* The one value a file holds, a final newline cut off. */
static int check_content(const struct source *s, const char *bytes, size_t *length)
{
	size_t n = *length;

	if (n > 0 && bytes[n - 1] == '\n')
		n--;
	if (n < *length && n > 0 && bytes[n - 1] == '\r')
		n--;
	if (n == 0)
		return complain(s, -EINVAL, "is empty; put the value alone into it");
	if (n > SECRET_FILE_MAX)
		return complain(s, -EFBIG, "is longer than 4096 bytes; it holds the value alone");
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if (c == '\n' || c == '\r')
			return complain(
				s, -EINVAL, "has more than one line; put the value alone into it");
		if (c < 0x20 || c == 0x7f)
			return complain(s, -EINVAL,
				"holds a control character; put the value alone, as text, into it");
	}
	*length = n;
	return 0;
}

static int read_value(const struct source *s, char **ret)
{
	char *bytes = NULL, *value = NULL;
	char what[160];
	size_t length = 0;
	ssize_t n;
	int fd, error;

	/* O_NONBLOCK: a FIFO in place of the file must not hold the daemon up. */
	fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		error = -errno;
		snprintf(what, sizeof(what), "cannot be read: %s", strerror(-error));
		return complain(s, error, what);
	}
	/* What has been opened is judged, so that nobody can swap the file in between. */
	error = judge(s, fd);
	if (error < 0)
		goto out;
	bytes = secret_alloc(READ_SIZE);
	if (!bytes) {
		error = complain(s, -ENOMEM, "cannot be read: out of memory");
		goto out;
	}
	n = read_some(fd, bytes);
	if (n < 0) {
		error = (int)n;
		snprintf(what, sizeof(what), "cannot be read: %s", strerror(-error));
		complain(s, error, what);
		goto out;
	}
	length = (size_t)n;
	error = check_content(s, bytes, &length);
	if (error < 0)
		goto out;
	value = secret_alloc(length + 1);
	if (!value) {
		error = complain(s, -ENOMEM, "cannot be read: out of memory");
		goto out;
	}
	memcpy(value, bytes, length);
	value[length] = '\0';
	*ret = value;
out:
	secret_free(bytes, READ_SIZE);
	close(fd);
	return error;
}

/* Into the same kind of memory as a file's, so that there is one way to let go. */
static int copy_value(struct source *s, const char *key, const char *value, char **ret)
{
	*ret = secret_alloc(strlen(value) + 1);
	if (!*ret) {
		snprintf(s->problem, s->problem_size, "%s: out of memory", key);
		return -ENOMEM;
	}
	memcpy(*ret, value, strlen(value) + 1);
	return 0;
}

static int read_id(const struct profile_settings *profile, struct source *s, char **ret)
{
	if (!profile->client_id) {
		s->key = "client_id_file";
		s->path = profile->client_id_file;
		s->trust = TRUST_PUBLIC;
		return read_value(s, ret);
	}
	return copy_value(s, "client_id", profile->client_id, ret);
}

static int read_credential(const struct profile_settings *profile, struct source *s, char **ret)
{
	const char *name = profile->client_secret_credential;
	const char *directory = getenv("CREDENTIALS_DIRECTORY");
	char *path;
	int error;

	if (!directory || !*directory) {
		snprintf(s->problem, s->problem_size,
			"client_secret_credential: CREDENTIALS_DIRECTORY is not set; run the "
			"daemon "
			"from a systemd unit with LoadCredential=%s:PATH",
			name);
		return -ENOENT;
	}
	if (asprintf(&path, "%s/%s", directory, name) < 0) {
		snprintf(s->problem, s->problem_size, "client_secret_credential: out of memory");
		return -ENOMEM;
	}
	s->key = "client_secret_credential";
	s->path = path;
	s->trust = TRUST_SYSTEMD;
	error = read_value(s, ret);
	free(path);
	return error;
}

static int read_secret(const struct profile_settings *profile, struct source *s, char **ret)
{
	if (profile->client_secret_credential)
		return read_credential(profile, s, ret);
	if (!profile->client_secret_file)
		return copy_value(s, "client_secret", "", ret);
	s->key = "client_secret_file";
	s->path = profile->client_secret_file;
	s->trust = TRUST_STRICT;
	return read_value(s, ret);
}

int credential_load(const struct profile_settings *profile, struct credential *ret, char *problem,
	size_t problem_size)
{
	struct credential credential = CREDENTIAL_NONE;
	struct source s = {
		.socket_gid = profile->socket_gid,
		.problem = problem,
		.problem_size = problem_size,
	};
	int error = read_id(profile, &s, &credential.client_id);

	if (error == 0)
		error = read_secret(profile, &s, &credential.client_secret);
	if (error < 0) {
		credential_fini(&credential);
		return error;
	}
	*ret = credential;
	return 0;
}

static void wipe(char *text)
{
	if (text)
		secret_free(text, strlen(text) + 1);
}

void credential_fini(struct credential *c)
{
	wipe(c->client_id);
	wipe(c->client_secret);
	*c = CREDENTIAL_NONE;
}
