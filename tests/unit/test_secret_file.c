#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/secret_file.h"
#include <string.h>
#include <sys/stat.h>

/* The daemon is 100:200, the sockets' group is 300. */
static const struct {
	mode_t mode;
	uid_t uid;
	gid_t gid;
	off_t size;
	gid_t socket_gid;
	const char *problem; /* NULL: strict */
} cases[] = {
	{S_IFREG | 0600, 100, 200, 10, 300, NULL},
	{S_IFREG | 0400, 0, 0, 10, 300, NULL},
	{S_IFREG | 0640, 0, 200, 10, 300, NULL},
	{S_IFREG | 0440, 100, 200, 10, 300, NULL},
	{S_IFREG | 0600, 0, 300, 10, 300, NULL}, /* the group has no bits */
	{S_IFREG | 0640, 0, 200, 10, (gid_t)-1, NULL},
	{S_IFREG | 0600, 100, 200, 1, 300, NULL},
	{S_IFREG | 0600, 100, 200, SECRET_FILE_MAX + 2, 300, NULL},
	{S_IFREG | 0600, 100, 200, SECRET_FILE_MAX + 3, 300, "is longer than 4096 bytes"},
	{S_IFREG | 0600, 100, 200, 0, 300, "is empty"},
	{S_IFDIR | 0600, 100, 200, 10, 300, "is not a regular file"},
	{S_IFIFO | 0600, 100, 200, 10, 300, "is not a regular file"},
	{S_IFSOCK | 0600, 100, 200, 10, 300, "is not a regular file"},
	{S_IFCHR | 0600, 100, 200, 10, 300, "is not a regular file"},
	{S_IFLNK | 0600, 100, 200, 10, 300, "is not a regular file"},
	{S_IFREG | 0600, 101, 200, 10, 300, "belongs to uid 101"},
	{S_IFREG | 0604, 100, 200, 10, 300, "has mode 0604, which is open to everybody"},
	{S_IFREG | 0602, 100, 200, 10, 300, "has mode 0602, which is open to everybody"},
	{S_IFREG | 0601, 100, 200, 10, 300, "has mode 0601, which is open to everybody"},
	{S_IFREG | 0644, 0, 0, 10, 300, "has mode 0644, which is open to everybody"},
	{S_IFREG | 0660, 0, 200, 10, 300, "has mode 0660, but its group may at most read it"},
	{S_IFREG | 0650, 0, 200, 10, 300, "has mode 0650, but its group may at most read it"},
	{S_IFREG | 0620, 0, 200, 10, 300, "has mode 0620, but its group may at most read it"},
	{S_IFREG | 0640, 0, 300, 10, 300, "is readable by the socket's group (gid 300)"},
	/* One group for both: every client is in it. */
	{S_IFREG | 0640, 0, 200, 10, 200, "is readable by the socket's group (gid 200)"},
	{S_IFREG | 0640, 0, 0, 10, 300, "is readable by gid 0; only the daemon's own"},
	{S_IFREG | 0640, 100, 999, 10, 300, "is readable by gid 999; only the daemon's own"},
	{S_IFREG | 0640, 100, 999, 10, (gid_t)-1, "is readable by gid 999; only the daemon's own"},
};

static void the_table_holds(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct stat file = {.st_mode = cases[i].mode,
			.st_uid = cases[i].uid,
			.st_gid = cases[i].gid,
			.st_size = cases[i].size};
		const struct secret_file_reader reader = {100, 200, cases[i].socket_gid};
		char problem[256] = "";
		bool strict = secret_file_judge(&file, &reader, problem, sizeof(problem));

		assert_int_equal(strict, cases[i].problem == NULL);
		if (cases[i].problem)
			assert_int_equal(
				strncmp(problem, cases[i].problem, strlen(cases[i].problem)), 0);
	}
}

/* Over all modes: what passes is closed to the world and closed for writing to the group. */
static void no_mode_slips_through(void **state)
{
	(void)state;
	for (mode_t mode = 0; mode <= 0777; mode++) {
		const struct stat file = {.st_mode = S_IFREG | mode, .st_gid = 200, .st_size = 10};
		const struct secret_file_reader reader = {100, 200, 300};
		char problem[256];

		assert_int_equal(secret_file_judge(&file, &reader, problem, sizeof(problem)),
			(mode & 0037) == 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_holds),
		cmocka_unit_test(no_mode_slips_through),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
