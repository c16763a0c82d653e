/* Is a file fit to hold a secret? The one judgement, used when the configuration is checked and
 * again on the opened file when the secret is read. */
#ifndef GCTOKEND_CORE_SECRET_FILE_H
#define GCTOKEND_CORE_SECRET_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct stat;

#define SECRET_FILE_MAX 4096 /* bytes of content, a final newline not counted */

/* Who is going to read it. */
struct secret_file_reader {
	uid_t uid;
	gid_t gid;
	gid_t socket_gid; /* the group of the sockets' callers; (gid_t)-1: none */
};

/* `file` is what fstat said of it. True where it is strict: a regular file of root's or the
 * reader's own, nothing for the world, at most readable for a group, which then is the reader's own
 * and not that of the sockets; not empty and not above SECRET_FILE_MAX. Else false and `problem` is
 * a phrase that goes on after the file's name: what is wrong and what to do. */
bool secret_file_judge(const struct stat *file, const struct secret_file_reader *reader,
	char *problem, size_t problem_size);

/* Is there something at the ends of what a file holds that editors, shells and web pages leave
 * there: a byte order mark, blanks of any kind, quotes? It may belong to the secret, so it is no
 * error. True, and `doubt` is a phrase that goes on after the file's name: it names those bytes and
 * no other. */
bool secret_file_doubt(const char *value, size_t length, char *doubt, size_t doubt_size);

#endif
