#include "file_fit.h"

#include "core/secret.h"
#include "credential.h"
#include "folder_fit.h"
#include "secret_reader.h"
#include "state_key.h"

#include <errno.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool tell_errno(int error, char *problem, size_t size)
{
	snprintf(problem, size, "cannot be read: %s", strerror(error));
	return false;
}

static bool ca_fit(const char *path, bool thorough, char *problem, size_t size)
{
	X509 *first = NULL;
	struct stat st;
	FILE *file;
	int fd, error = file_open(path, &fd, &st);

	if (error)
		return tell_errno(-error, problem, size);
	if (!S_ISREG(st.st_mode)) {
		close(fd);
		snprintf(problem, size, "is not a regular file");
		return false;
	}
	if (!owner_fit(&st, "", problem, size) || !folders_fit(path, problem, size)) {
		close(fd);
		return false;
	}
	file = thorough ? fdopen(fd, "r") : NULL;
	if (!file) {
		close(fd);
		return true;
	}
	first = PEM_read_X509(file, NULL, NULL, NULL);
	fclose(file);
	if (!first)
		snprintf(problem, size, "holds no certificate in PEM form that can be read");
	X509_free(first);
	return first;
}

#define TLS_KEY_MAX 16384 /* RSA with 8192 bits has 6.4 KB */

static int no_passphrase(char *text, int size, int writing, void *context)
{
	(void)text;
	(void)size;
	(void)writing;
	(void)context;
	return -1; /* without this OpenSSL asks at the terminal */
}

static bool tls_key_fit(const struct secret_source *s, bool thorough)
{
	char *bytes = secret_alloc(TLS_KEY_MAX);
	size_t length;
	bool fit = bytes && secret_read(s, bytes, TLS_KEY_MAX, &length) == 0;

	if (!bytes)
		secret_complain(s, -ENOMEM, "cannot be read: out of memory");
	if (fit && thorough) {
		BIO *bio = BIO_new_mem_buf(bytes, (int)length);
		EVP_PKEY *key =
			bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;

		fit = key;
		if (!fit)
			secret_complain(s, -EINVAL,
				"holds no private key in PEM form without a passphrase");
		EVP_PKEY_free(key);
		BIO_free(bio);
	}
	secret_free(bytes, TLS_KEY_MAX);
	return fit;
}

static bool is_secret_file(enum config_file what)
{
	return what == CONFIG_FILE_SECRET || what == CONFIG_FILE_KEY || what == CONFIG_FILE_TLS_KEY;
}

static bool is_fit(enum config_file what, bool thorough, const char *path, gid_t socket_gid,
	char *problem, size_t problem_size)
{
	const struct secret_source s = {
		.path = path,
		.is_public = !is_secret_file(what),
		.socket_gid = socket_gid,
		.problem = problem,
		.problem_size = problem_size,
	};

	switch (what) {
	case CONFIG_FILE_CA:
		return ca_fit(path, thorough, problem, problem_size);
	case CONFIG_FILE_KEY:
	case CONFIG_FILE_KEY_CREDENTIAL:
		return state_key_check(&s, thorough) == 0;
	case CONFIG_FILE_TLS_KEY:
		return tls_key_fit(&s, thorough);
	case CONFIG_FILE_SECRET:
	case CONFIG_FILE_ID:
	case CONFIG_FILE_CREDENTIAL:
		break;
	}
	return credential_check(&s) == 0;
}

bool file_fit(enum config_file what, bool thorough, const char *path, gid_t socket_gid,
	char *problem, size_t problem_size)
{
	if (!is_fit(what, thorough, path, socket_gid, problem, problem_size))
		return false;
	/* Whoever read it has found its folders fit; what is doubtful about them is told here. */
	return !is_secret_file(what) || *problem || folders_fit(path, problem, problem_size);
}

bool config_file_fit(const char *path, const struct stat *file, char *problem, size_t problem_size)
{
	return owner_fit(file, "", problem, problem_size) &&
	       folders_fit(path, problem, problem_size);
}

bool state_dir_fit(const char *path, char *problem, size_t problem_size)
{
	struct stat st;

	/* Who cannot look is told when it is opened. */
	if (stat(path, &st))
		return true;
	return is_sticky(&st) || owner_fit(&st, "", problem, problem_size);
}

bool socket_dir_fit(const char *path, char *problem, size_t problem_size)
{
	const char *slash = strrchr(path, '/');
	int length = slash && slash > path ? (int)(slash - path) : 1;
	char folder[200], what[sizeof(folder) + 20];
	struct stat st;

	/* A socket's path is shorter. */
	snprintf(folder, sizeof(folder), "%.*s", length, slash ? path : ".");
	/* Who cannot look is told when the socket is made. */
	if (stat(folder, &st))
		return true;
	snprintf(what, sizeof(what), "lies in %s, which ", folder);
	return owner_fit(&st, what, problem, problem_size);
}
