#include "file_fit.h"

#include "core/secret.h"
#include "credential.h"
#include "folder_fit.h"
#include "secret_reader.h"
#include "small_file.h"
#include "state_key.h"

#include <errno.h>
#include <openssl/err.h>
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

/* OpenSSL takes all of such a file or nothing. */
static bool certificates_fit(FILE *file, char *problem, size_t size)
{
	unsigned long error;
	unsigned count = 0;
	X509 *one;

	while ((one = PEM_read_X509_AUX(file, NULL, NULL, NULL))) {
		X509_free(one);
		count++;
	}
	error = ERR_peek_last_error();
	ERR_clear_error();
	if (!count)
		snprintf(problem, size, "holds no certificate in PEM form that can be read");
	else if (ERR_GET_REASON(error) != PEM_R_NO_START_LINE)
		snprintf(problem, size,
			"holds %u that can be read and then one that cannot, and so none of them "
			"would be trusted",
			count);
	return !*problem;
}

static bool ca_fit(const char *path, bool thorough, char *problem, size_t size)
{
	struct stat st;
	FILE *file;
	int fd, error = small_file_open(path, &fd, &st);

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
	certificates_fit(file, problem, size);
	fclose(file);
	return !*problem;
}

/* The folder that `path` would be made in. */
static bool folder_is_missing(const char *path)
{
	char *folder = strdup(path), *end;
	struct stat st;
	bool missing;

	if (!folder)
		return false;
	end = folder + strlen(folder);
	while (end > folder && end[-1] == '/')
		end--;
	while (end > folder && end[-1] != '/')
		end--;
	if (end > folder)
		*end = '\0';
	missing = end > folder && stat(folder, &st) && errno == ENOENT;
	free(folder);
	return missing;
}

/* Who makes it is not known here. The daemon replaces nothing but a socket, and tells so then, too;
 * systemd removes all but a folder. */
static bool socket_fit(const char *path, bool thorough, char *problem, size_t size)
{
	struct stat st;

	if (!thorough)
		return true;
	if (!lstat(path, &st)) {
		if (S_ISSOCK(st.st_mode))
			return true;
		snprintf(problem, size, "is there and is not a socket: remove it, or %s",
			S_ISDIR(st.st_mode) ? "choose another path"
					    : "choose another path, unless systemd makes the "
					      "socket, which removes it");
		return !S_ISDIR(st.st_mode);
	}
	if (errno == ENOENT && folder_is_missing(path))
		snprintf(problem, size,
			"lies in a folder that is not there: create it, unless systemd makes the "
			"socket");
	return true;
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
	case CONFIG_FILE_SOCKET:
		return socket_fit(path, thorough, problem, problem_size);
	case CONFIG_FILE_ID:
		return credential_check_id(&s) == 0;
	case CONFIG_FILE_SECRET:
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

bool state_dir_fit(const char *path, bool thorough, char *problem, size_t problem_size)
{
	struct stat st;

	/* Who cannot look is told when it is opened. */
	if (stat(path, &st)) {
		if (!thorough || errno != ENOENT)
			return true;
		if (folder_is_missing(path))
			snprintf(problem, problem_size,
				"is not there, and neither is the folder that it would be made in: "
				"create that, unless systemd does");
		else if (!lstat(path, &st))
			snprintf(problem, problem_size,
				"is a symbolic link to a folder that is not there: create that, "
				"unless systemd does");
		return true;
	}
	if (!S_ISDIR(st.st_mode)) {
		if (thorough)
			snprintf(problem, problem_size, "is not a directory");
		return !thorough;
	}
	return folder_fit(&st, "", problem, problem_size);
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
