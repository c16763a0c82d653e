#include "state_key.h"

#include "core/config.h"
#include "core/secret_file.h"
#include "core/state_key.h"
#include "core/text.h"
#include "durable_file.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct key_file {
	const char *path;
	const char *key; /* of the configuration; "state_dir" for the daemon's own */
	bool by_systemd; /* which has set owner and mode */
	gid_t socket_gid;
	char *problem;
	size_t problem_size;
};

static int complain(const struct key_file *f, int error, const char *what)
{
	snprintf(f->problem, f->problem_size, "%s: %s %s", f->key, f->path, what);
	return error;
}

static int judge(const struct key_file *f, int fd)
{
	struct secret_file_reader reader = {geteuid(), getegid(), f->socket_gid};
	struct secret_file_facts facts;
	char what[256];
	struct stat st;

	if (fstat(fd, &st) < 0)
		return complain(f, -errno, "cannot be examined");
	facts = (struct secret_file_facts){st.st_mode, st.st_uid, st.st_gid, st.st_size};
	if (!S_ISREG(st.st_mode))
		return complain(f, -EINVAL, "is not a regular file");
	if (!f->by_systemd && !secret_file_judge(&facts, &reader, what, sizeof(what)))
		return complain(f, -EPERM, what);
	return 0;
}

/* -ENOENT without a complaint where there is no file. */
static int read_key(const struct key_file *f, unsigned char *ret_key)
{
	char bytes[STATE_KEY_FILE_MAX + 1], what[160];
	size_t length = 0;
	ssize_t n = 1;
	int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int error;

	if (fd < 0) {
		error = -errno;
		snprintf(what, sizeof(what), "cannot be read: %s", strerror(-error));
		return complain(f, error, what);
	}
	error = judge(f, fd);
	while (!error && n > 0 && length < sizeof(bytes)) {
		n = read(fd, bytes + length, sizeof(bytes) - length);
		if (n < 0 && errno != EINTR)
			error = complain(f, -errno, "cannot be read");
		length += n > 0 ? (size_t)n : 0;
		n = n < 0 ? 1 : n;
	}
	if (!error && !state_key_parse(bytes, length, ret_key))
		error = complain(f, -EINVAL, "holds no key; allowed: " STATE_KEY_ALLOWED);
	OPENSSL_cleanse(bytes, sizeof(bytes));
	close(fd);
	return error;
}

/* In hexadecimal, so that people can copy it to a safe place. */
static int make_key(const struct key_file *f, const char *directory, unsigned char *ret_key)
{
	char text[2 * SEALED_KEY_LENGTH + 2];
	int directory_fd, error;

	if (RAND_priv_bytes(ret_key, SEALED_KEY_LENGTH) != 1)
		return complain(f, -EIO, "cannot be made: no random numbers are to be had");
	hex_write(ret_key, SEALED_KEY_LENGTH, text);
	text[sizeof(text) - 2] = '\n';
	error = durable_directory_open(directory, &directory_fd);
	if (!error) {
		error = durable_write(directory_fd, STATE_KEY_NAME, text, sizeof(text) - 1);
		close(directory_fd);
	}
	OPENSSL_cleanse(text, sizeof(text));
	return error ? complain(f, error, "cannot be written") : 0;
}

static int load_own(
	struct key_file *f, const char *directory, unsigned char *ret_key, bool *ret_made)
{
	char *path;
	int error;

	if (asprintf(&path, "%s/" STATE_KEY_NAME, directory) < 0)
		return -ENOMEM;
	f->key = "state_dir";
	f->path = path;
	error = read_key(f, ret_key);
	if (error == -ENOENT) {
		error = make_key(f, directory, ret_key);
		*ret_made = error == 0;
	}
	free(path);
	return error;
}

int state_key_load(const struct broker_settings *s, const char *directory, unsigned char *ret_key,
	bool *ret_made, char *problem, size_t problem_size)
{
	struct key_file f = {
		.socket_gid = s->socket_gid,
		.problem = problem,
		.problem_size = problem_size,
	};
	const char *credentials = getenv("CREDENTIALS_DIRECTORY");
	char *path;
	int error;

	*ret_made = false;
	snprintf(problem, problem_size, "the state key: out of memory");
	if (s->state_key_file) {
		f.key = "state_key_file";
		f.path = s->state_key_file;
		return read_key(&f, ret_key);
	}
	if (!s->state_key_credential)
		return load_own(&f, directory, ret_key, ret_made);
	if (!credentials || !*credentials) {
		snprintf(problem, problem_size,
			"state_key_credential: CREDENTIALS_DIRECTORY is not set; run the daemon "
			"from a systemd unit with LoadCredential=%s:PATH",
			s->state_key_credential);
		return -ENOENT;
	}
	if (asprintf(&path, "%s/%s", credentials, s->state_key_credential) < 0)
		return -ENOMEM;
	f.key = "state_key_credential";
	f.path = path;
	f.by_systemd = true;
	error = read_key(&f, ret_key);
	free(path);
	return error;
}
