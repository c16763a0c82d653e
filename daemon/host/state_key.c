#include "state_key.h"

#include "core/config.h"
#include "core/secret.h"
#include "core/state_key.h"
#include "core/text.h"
#include "durable_file.h"
#include "folder_fit.h"
#include "secret_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int state_key_read(const struct secret_source *s, unsigned char *ret_key)
{
	char bytes[STATE_KEY_FILE_MAX + 1]; /* one more, to see that there is more */
	size_t length;
	int error = secret_read(s, bytes, sizeof(bytes), &length);

	if (!error && !state_key_parse(bytes, length, ret_key))
		error = secret_complain(s, -EINVAL, "holds no key; allowed: " STATE_KEY_ALLOWED);
	secret_wipe(bytes, sizeof(bytes));
	return error;
}

static int cannot_write(const struct secret_source *s, int error)
{
	char what[160];

	snprintf(what, sizeof(what), "cannot be written: %s", strerror(-error));
	return secret_complain(s, error, what);
}

/* At a start it has been judged; later another one may be in its place. */
static int open_directory(const struct secret_source *s, const char *directory, int *ret_fd)
{
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char what[256];
	struct stat st;
	int error = 0;

	if (fd < 0)
		return cannot_write(s, -errno);
	if (fstat(fd, &st) < 0)
		error = cannot_write(s, -errno);
	else if (!folder_fit(&st, "is not made in a directory that ", what, sizeof(what)))
		error = secret_complain(s, -EPERM, what);
	if (error)
		close(fd);
	else
		*ret_fd = fd;
	return error;
}

/* In hexadecimal, so that people can copy it to a safe place. */
static int write_new(const struct secret_source *s, int directory_fd, unsigned char *ret_key)
{
	char text[2 * SEALED_KEY_LENGTH + 2];
	int error;

	if (RAND_priv_bytes(ret_key, SEALED_KEY_LENGTH) != 1)
		return secret_complain(
			s, -EIO, "cannot be made: the system gives no random numbers");
	hex_write(ret_key, SEALED_KEY_LENGTH, text);
	text[sizeof(text) - 2] = '\n';
	error = durable_write(directory_fd, STATE_KEY_NAME, text, sizeof(text) - 1);
	secret_wipe(text, sizeof(text));
	return error ? cannot_write(s, error) : 0;
}

/* The daemon's own, to be freed; NULL: out of memory, and the problem. */
static char *own_path(const char *directory, char *problem, size_t problem_size)
{
	char *path;

	if (asprintf(&path, "%s/" STATE_KEY_NAME, directory) >= 0)
		return path;
	snprintf(problem, problem_size, "the state key: out of memory");
	return NULL;
}

static int load_own(struct secret_source *s, const char *directory, unsigned char *ret_key)
{
	char *path = own_path(directory, s->problem, s->problem_size);
	int error;

	if (!path)
		return -ENOMEM;
	s->key = "state_dir";
	s->path = path;
	error = state_key_read(s, ret_key);
	free(path);
	return error;
}

int state_key_load(const struct broker_settings *settings, const char *directory,
	unsigned char *ret_key, char *problem, size_t problem_size)
{
	struct secret_source s = {
		.key = settings->state_key_file ? "state_key_file" : "state_key_credential",
		.path = settings->state_key_file,
		.credential = settings->state_key_credential,
		.socket_gid = settings->socket_gid,
		.problem = problem,
		.problem_size = problem_size,
	};

	return s.path || s.credential ? state_key_read(&s, ret_key)
				      : load_own(&s, directory, ret_key);
}

int state_key_make(
	const char *directory, unsigned char *ret_key, char *problem, size_t problem_size)
{
	char *path = own_path(directory, problem, problem_size);
	const struct secret_source s = {
		.key = "state_dir",
		.path = path,
		.problem = problem,
		.problem_size = problem_size,
	};
	int directory_fd, error;

	if (!path)
		return -ENOMEM;
	error = open_directory(&s, directory, &directory_fd);
	if (!error) {
		error = write_new(&s, directory_fd, ret_key);
		close(directory_fd);
	}
	free(path);
	return error;
}

int state_key_check(const struct secret_source *source, bool thorough)
{
	unsigned char key[SEALED_KEY_LENGTH];
	char first;
	size_t length;
	int error =
		thorough ? state_key_read(source, key) : secret_read(source, &first, 1, &length);

	secret_wipe(key, sizeof(key));
	secret_wipe(&first, sizeof(first));
	return error;
}
