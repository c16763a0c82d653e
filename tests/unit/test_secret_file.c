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

/* NULL: no doubt. */
static const struct {
	const char *value, *doubt;
} ends[] = {
	{"s3cret", NULL},
	{"s3 cret", NULL},
	{"a", NULL},
	{"", NULL},
	{"it's", NULL},
	{"\"half", NULL},
	{"'mixed\"", NULL},
	{"r\303\251sum", NULL},
	{"s3cret:+/%=", NULL},
	{"\xef\xbb\xbfs3cret", "begins with a byte order mark (EF BB BF), which is sent"},
	{" s3cret", "begins with a blank (20)"},
	{"s3cret ", "ends with a blank (20)"},
	{" ", "begins with a blank (20)"},
	{"s3cret\xc2\xa0", "ends with a no-break space (C2 A0)"},
	{"\xc2\xa0s3cret", "begins with a no-break space (C2 A0)"},
	{"s3cret\xe2\x80\x8b", "ends with a zero width space (E2 80 8B)"},
	{"\xe2\x80\x9cs3cret\xe2\x80\x9d", "begins with a quotation mark (E2 80 9C)"},
	{"s3cret\303\251", NULL},
	{"\303\251s3cret", NULL},
	{"\"s3cret\"", "stands in quotes (22 at both ends)"},
	{"'s3cret'", "stands in quotes (27 at both ends)"},
	{"`s3cret`", "stands in quotes (60 at both ends)"},
	{"\"\"", "stands in quotes"},
	{"\"", NULL},
};

static void what_was_hardly_meant_is_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		char doubt[160] = "";
		bool doubtful = secret_file_doubt(
			ends[i].value, strlen(ends[i].value), doubt, sizeof(doubt));

		assert_int_equal(doubtful, ends[i].doubt != NULL);
		if (ends[i].doubt && strncmp(doubt, ends[i].doubt, strlen(ends[i].doubt)) != 0)
			fail_msg("%zu: %s", i, doubt);
		assert_null(strstr(doubt, "s3cret"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_holds),
		cmocka_unit_test(no_mode_slips_through),
		cmocka_unit_test(what_was_hardly_meant_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
