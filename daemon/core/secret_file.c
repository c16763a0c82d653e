#include "secret_file.h"
#include <stdio.h>
#include <sys/stat.h>

bool secret_file_judge(const struct stat *file, const struct secret_file_reader *reader,
	char *problem, size_t problem_size)
{
	unsigned mode = (unsigned)(file->st_mode & 07777);

	if (!S_ISREG(file->st_mode)) {
		snprintf(problem, problem_size, "is not a regular file");
		return false;
	}
	if (file->st_uid != 0 && file->st_uid != reader->uid) {
		snprintf(problem, problem_size,
			"belongs to uid %lu; it must belong to root or to the daemon's user (uid "
			"%lu)",
			(unsigned long)file->st_uid, (unsigned long)reader->uid);
		return false;
	}
	if (mode & 0007) {
		snprintf(problem, problem_size,
			"has mode %04o, which is open to everybody; at most 0640 is allowed, 0600 "
			"is "
			"best",
			mode);
		return false;
	}
	if (mode & 0030) {
		snprintf(problem, problem_size,
			"has mode %04o, but its group may at most read it; at most 0640 is "
			"allowed, "
			"0600 is best",
			mode);
		return false;
	}
	/* Before the general rule: the daemon's own group may be the sockets' too, and then the
	 * reason is that every client could read the secret. */
	if ((mode & 0040) && file->st_gid == reader->socket_gid) {
		snprintf(problem, problem_size,
			"is readable by the socket's group (gid %lu): every caller could read it; "
			"make it mode 0600 or give it another group",
			(unsigned long)file->st_gid);
		return false;
	}
	if ((mode & 0040) && file->st_gid != reader->gid) {
		snprintf(problem, problem_size,
			"is readable by gid %lu; only the daemon's own group (gid %lu) may read it",
			(unsigned long)file->st_gid, (unsigned long)reader->gid);
		return false;
	}
	if (file->st_size <= 0) {
		snprintf(problem, problem_size, "is empty; it must hold the secret");
		return false;
	}
	if (file->st_size > SECRET_FILE_MAX + 2) { /* 2: CRLF */
		snprintf(problem, problem_size,
			"is longer than %d bytes; it must hold only the secret", SECRET_FILE_MAX);
		return false;
	}
	return true;
}
