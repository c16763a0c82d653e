#include "file_fit.h"

#include "core/secret.h"
#include "credential.h"
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

bool file_fit(enum config_file what, bool thorough, const char *path, gid_t socket_gid,
	char *problem, size_t problem_size)
{
	const struct secret_source s = {
		.path = path,
		.is_public = what != CONFIG_FILE_SECRET && what != CONFIG_FILE_KEY &&
			     what != CONFIG_FILE_TLS_KEY,
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

static bool ours(const struct stat *st)
{
	return st->st_uid == 0 || st->st_uid == geteuid();
}

/* `what` is "" or names a folder, before the phrase. */
static bool guarded(const struct stat *st, const char *what, char *problem, size_t size)
{
	const unsigned mode = (unsigned)(st->st_mode & 07777);

	if (!ours(st))
		snprintf(problem, size,
			"%sbelongs to uid %lu; it must belong to root or to the daemon's user (uid "
			"%lu)",
			what, (unsigned long)st->st_uid, (unsigned long)geteuid());
	else if (mode & 0022)
		snprintf(problem, size,
			"%shas mode %04o: others could change what is in it; allowed: writable for "
			"its owner alone (chmod go-w)",
			what, mode);
	else
		return true;
	return false;
}

/* Cuts the last part of `path` off. False: there is none above. */
static bool go_up(char *path)
{
	char *slash = strrchr(path, '/');

	if (!slash || !path[1])
		return false;
	slash[slash == path] = '\0';
	return true;
}

/* As /tmp is: others cannot take away or replace there what is not theirs. */
static bool is_sticky(const struct stat *st)
{
	return (st->st_mode & S_ISVTX) && st->st_uid == 0;
}

static bool folders_fit(char *folder, char *problem, size_t size)
{
	char what[300];
	struct stat st;

	for (bool nearest = true; go_up(folder); nearest = false) {
		if (stat(folder, &st))
			return tell_errno(errno, problem, size);
		snprintf(what, sizeof(what), "lies in %.250s, which ", folder);
		if (is_sticky(&st))
			continue;
		if (nearest && !guarded(&st, what, problem, size))
			return false;
		if (st.st_mode & 0002) {
			snprintf(problem, size, "%severybody can change (mode %04o)", what,
				(unsigned)(st.st_mode & 07777));
			return false;
		}
	}
	return true;
}

bool config_file_fit(const char *path, const struct stat *file, char *problem, size_t problem_size)
{
	char *folder;
	bool fit;

	if (!guarded(file, "", problem, problem_size))
		return false;
	/* Without symbolic links: the folder that counts is the one it lies in. */
	folder = realpath(path, NULL);
	if (!folder)
		return tell_errno(errno, problem, problem_size);
	fit = folders_fit(folder, problem, problem_size);
	free(folder);
	return fit;
}

bool state_dir_fit(const char *path, char *problem, size_t problem_size)
{
	struct stat st;

	/* Who cannot look is told when it is opened. */
	if (stat(path, &st))
		return true;
	return is_sticky(&st) || guarded(&st, "", problem, problem_size);
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
	return guarded(&st, what, problem, problem_size);
}
