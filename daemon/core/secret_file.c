#include "secret_file.h"
#include <stdio.h>
#include <string.h>
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

static const struct {
	const char *bytes, *name;
} left_behind[] = {
	{"\xef\xbb\xbf", "a byte order mark (EF BB BF)"},
	{" ", "a blank (20)"},
	{"\xc2\xa0", "a no-break space (C2 A0)"},
	{"\xe2\x80\x8b", "a zero width space (E2 80 8B)"},
	{"\xe2\x80\x9c", "a quotation mark (E2 80 9C)"},
	{"\xe2\x80\x9d", "a quotation mark (E2 80 9D)"},
};

/* What stands at that end, or NULL. */
static const char *end_doubt(const char *value, size_t length, bool at_end)
{
	for (size_t i = 0; i < sizeof(left_behind) / sizeof(*left_behind); i++) {
		size_t n = strlen(left_behind[i].bytes);

		if (n <= length &&
			!memcmp(value + (at_end ? length - n : 0), left_behind[i].bytes, n))
			return left_behind[i].name;
	}
	return NULL;
}

bool secret_file_doubt(const char *value, size_t length, char *doubt, size_t doubt_size)
{
	static const char advice[] =
		"which is sent as a part of it; take it out unless it belongs there";
	const char *what = end_doubt(value, length, false);

	if (what) {
		snprintf(doubt, doubt_size, "begins with %s, %s", what, advice);
		return true;
	}
	what = end_doubt(value, length, true);
	if (what) {
		snprintf(doubt, doubt_size, "ends with %s, %s", what, advice);
		return true;
	}
	if (length < 2 || value[0] != value[length - 1] || !strchr("\"'`", value[0]))
		return false;
	snprintf(doubt, doubt_size, "stands in quotes (%02X at both ends), %s", value[0],
		"which are sent as a part of it; take them out unless they belong there");
	return true;
}
