/* Secrets and keys, whose files have to be strict, and what is kept in the same way and is no
 * secret. All of it blocks; for starts and reloads. */
#ifndef GCTOKEND_HOST_SECRET_READER_H
#define GCTOKEND_HOST_SECRET_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Where one value of the configuration is kept, and where to say what is wrong with it. */
struct secret_source {
	const char *key;        /* of the configuration, for messages; NULL: they are phrases that
				   go on after the path */
	const char *path;       /* NULL where there is a credential */
	const char *credential; /* a name in $CREDENTIALS_DIRECTORY: systemd has set owner and
				   mode; NULL: none */
	bool is_public;         /* no secret: any regular file will do */
	gid_t socket_gid;       /* the group that must not read a secret; (gid_t)-1: none */
	char *problem;          /* gets a sentence that names the key, the file, what is wrong and
				   what to do; never a byte of the content */
	size_t problem_size;
};

/* Reads at most `size` bytes, of a secret only where secret_file_judge finds its file strict and
 * folders_fit its folders. 0; negative errno, the problem told and *ret_length untouched. The
 * caller wipes `bytes` in any case. */
int secret_read(const struct secret_source *source, char *bytes, size_t size, size_t *ret_length);
/* Tells of a problem: `what` goes on after the file's name. Returns `error`. */
int secret_complain(const struct secret_source *source, int error, const char *what);

#endif
