#include "credential.h"
#include "core/config.h"
#include "core/config_keys.h"
#include "core/secret.h"
#include "core/secret_file.h"
#include "secret_reader.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define READ_SIZE (SECRET_FILE_MAX + 3) /* CRLF, and one byte more to see that there is more */

/* The one value a file holds, a final newline cut off. */
static int check_content(const struct secret_source *s, const char *bytes, size_t *length)
{
	size_t n = *length;

	if (n > 0 && bytes[n - 1] == '\n')
		n--;
	if (n < *length && n > 0 && bytes[n - 1] == '\r')
		n--;
	if (n == 0)
		return secret_complain(s, -EINVAL, "is empty; it must hold the value");
	if (n > SECRET_FILE_MAX)
		return secret_complain(
			s, -EFBIG, "is longer than 4096 bytes; it must hold only the value");
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if (c == '\n' || c == '\r')
			return secret_complain(
				s, -EINVAL, "has more than one line; it must hold only the value");
		if (c < 0x20 || c == 0x7f)
			return secret_complain(s, -EINVAL,
				"has a control character; it must hold only the value, as text");
	}
	*length = n;
	return 0;
}

static int keep(const struct secret_source *s, const char *bytes, size_t length, char **ret)
{
	char *value = secret_copy(bytes, length);

	if (!value) {
		snprintf(s->problem, s->problem_size, "%s: out of memory", s->key);
		return -ENOMEM;
	}
	*ret = value;
	return 0;
}

int credential_read(const struct secret_source *s, char **ret)
{
	char *bytes = secret_alloc(READ_SIZE);
	size_t length;
	int error;

	if (!bytes)
		return secret_complain(s, -ENOMEM, "cannot be read: out of memory");
	error = secret_read(s, bytes, READ_SIZE, &length);
	if (!error)
		error = check_content(s, bytes, &length);
	if (!error)
		error = keep(s, bytes, length, ret);
	secret_free(bytes, READ_SIZE);
	return error;
}

/* The same rules as for an id in the configuration. */
static int read_id_file(const struct secret_source *s, char **ret)
{
	const char *problem;
	char *id = NULL, words[160];
	int error = credential_read(s, &id);

	if (error)
		return error;
	problem = client_id_problem(id);
	if (problem) {
		secret_text_free(id);
		snprintf(words, sizeof(words), "%s; it must hold only the client's id", problem);
		return secret_complain(s, -EINVAL, words);
	}
	*ret = id;
	return 0;
}

static int read_id(const struct profile_settings *profile, struct secret_source s, char **ret)
{
	s.key = profile->client_id ? "client_id" : "client_id_file";
	s.path = profile->client_id_file;
	s.is_public = true;
	if (profile->client_id)
		return keep(&s, profile->client_id, strlen(profile->client_id), ret);
	return read_id_file(&s, ret);
}

static int read_client_secret(
	const struct profile_settings *profile, struct secret_source s, char **ret)
{
	s.credential = profile->client_secret_credential;
	s.path = profile->client_secret_file;
	s.key = s.credential ? "client_secret_credential" : "client_secret_file";
	if (!s.credential && !s.path)
		return keep(&s, "", 0, ret);
	return credential_read(&s, ret);
}

static int read_proxy_password(
	const struct profile_settings *profile, struct secret_source s, char **ret)
{
	s.key = "proxy_password_file";
	s.path = profile->proxy_password_file;
	return s.path ? credential_read(&s, ret) : 0;
}

int credential_load(const struct profile_settings *profile, struct credential *ret, char *problem,
	size_t problem_size)
{
	struct credential credential = CREDENTIAL_NONE;
	const struct secret_source s = {
		.socket_gid = profile->socket_gid,
		.problem = problem,
		.problem_size = problem_size,
	};
	int error = read_id(profile, s, &credential.client_id);

	if (error == 0)
		error = read_client_secret(profile, s, &credential.client_secret);
	if (error == 0)
		error = read_proxy_password(profile, s, &credential.proxy_password);
	if (error < 0) {
		credential_fini(&credential);
		return error;
	}
	*ret = credential;
	return 0;
}

static int check(const struct secret_source *source,
	int (*read_value)(const struct secret_source *source, char **ret))
{
	char *value = NULL, doubt[160];
	int error = read_value(source, &value);

	if (!error && secret_file_doubt(value, strlen(value), doubt, sizeof(doubt)))
		secret_complain(source, 0, doubt);
	secret_text_free(value);
	return error;
}

int credential_check(const struct secret_source *source)
{
	return check(source, credential_read);
}

int credential_check_id(const struct secret_source *source)
{
	return check(source, read_id_file);
}

void credential_fini(struct credential *c)
{
	secret_text_free(c->client_id);
	secret_text_free(c->client_secret);
	secret_text_free(c->proxy_password);
	*c = CREDENTIAL_NONE;
}
