#include "state_key.h"

#include "core/config.h"
#include "core/secret.h"
#include "core/state_key.h"
#include "core/text.h"
#include "durable_file.h"
#include "secret_reader.h"

#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
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

/* In hexadecimal, so that people can copy it to a safe place. */
static int make_key(const struct secret_source *s, const char *directory, unsigned char *ret_key)
{
	char text[2 * SEALED_KEY_LENGTH + 2];
	int directory_fd, error;

	if (RAND_priv_bytes(ret_key, SEALED_KEY_LENGTH) != 1)
		return secret_complain(
			s, -EIO, "cannot be made: the system gives no random numbers");
	hex_write(ret_key, SEALED_KEY_LENGTH, text);
	text[sizeof(text) - 2] = '\n';
	error = durable_directory_open(directory, &directory_fd);
	if (!error) {
		error = durable_write(directory_fd, STATE_KEY_NAME, text, sizeof(text) - 1);
		close(directory_fd);
	}
	secret_wipe(text, sizeof(text));
	return error ? secret_complain(s, error, "cannot be written") : 0;
}

static int load_own(
	struct secret_source *s, const char *directory, unsigned char *ret_key, bool *ret_made)
{
	char *path;
	int error;

	if (asprintf(&path, "%s/" STATE_KEY_NAME, directory) < 0)
		return -ENOMEM;
	s->key = "state_dir";
	s->path = path;
	error = state_key_read(s, ret_key);
	if (error == -ENOENT) {
		error = make_key(s, directory, ret_key);
		*ret_made = error == 0;
	}
	free(path);
	return error;
}

int state_key_load(const struct broker_settings *settings, const char *directory,
	unsigned char *ret_key, bool *ret_made, char *problem, size_t problem_size)
{
	struct secret_source s = {
		.key = settings->state_key_file ? "state_key_file" : "state_key_credential",
		.path = settings->state_key_file,
		.credential = settings->state_key_credential,
		.socket_gid = settings->socket_gid,
		.problem = problem,
		.problem_size = problem_size,
	};

	*ret_made = false;
	snprintf(problem, problem_size, "the state key: out of memory");
	if (s.path || s.credential)
		return state_key_read(&s, ret_key);
	return load_own(&s, directory, ret_key, ret_made);
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
