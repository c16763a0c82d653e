/* Who could put another file in the place of one that is trusted: folders, and links on the way, as
 * systems have them. Owners other than one's own need root; without it those cases are skipped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/folder_fit.h"
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STRANGER 54321

static char top[] = "/tmp/test_folder_fit.XXXXXX";
static char problem[512];

static void enter(void)
{
	assert_int_equal(chdir(top), 0);
}

static void make_folder(const char *path, mode_t mode)
{
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static void make_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	close(fd);
}

static void make_link(const char *target, const char *path)
{
	assert_int_equal(symlink(target, path), 0);
}

static void give_away(const char *path)
{
	assert_int_equal(lchown(path, STRANGER, STRANGER), 0);
}

/* By its absolute path; where it is below the test's own folder, by the relative one as well. */
static bool fits(const char *path)
{
	char absolute[300], said[sizeof(problem)];
	bool fit;

	enter();
	snprintf(absolute, sizeof(absolute), "%s/%s", top, path);
	memset(problem, 'x', sizeof(problem));
	fit = folders_fit(absolute, problem, sizeof(problem));
	memcpy(said, problem, sizeof(said));
	assert_int_equal(folders_fit(path, problem, sizeof(problem)), fit);
	assert_string_equal(problem, said);
	return fit;
}

static void must_fit(const char *path)
{
	assert_true(fits(path));
	assert_string_equal(problem, "");
}

/* `words` end with a folder of the test's, or name it. */
static void must_not_fit(const char *path, const char *words)
{
	assert_false(fits(path));
	assert_non_null(strstr(problem, words));
}

static void folders_of_ones_own(void **state)
{
	(void)state;
	enter();
	make_folder("own", 0755);
	make_folder("own/below", 0750);
	make_file("own/below/file");
	must_fit("own/below/file");
	must_fit("own//./below/../below/file");
	must_fit("own/below/../../own/below/file");
	must_fit("../../etc/passwd");
}

static void the_nearest_is_writable_for_its_owner_alone(void **state)
{
	static const mode_t modes[] = {0775, 0757, 0777, 02770};

	(void)state;
	enter();
	make_folder("nearest", 0755);
	make_file("nearest/file");
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		assert_int_equal(chmod("nearest", modes[i]), 0);
		must_not_fit("nearest/file", "/nearest, which has mode ");
		assert_non_null(strstr(problem, "others could change what is in it"));
	}
	assert_int_equal(chmod("nearest", 0755), 0);
	must_fit("nearest/file");
}

static void no_folder_above_is_open_to_the_world(void **state)
{
	(void)state;
	enter();
	make_folder("above", 0757);
	make_folder("above/below", 0755);
	make_file("above/below/file");
	must_not_fit("above/below/file", "/above, which everybody can change (mode 0757)");
	/* Debian's /usr/local was a group's */
	assert_int_equal(chmod("above", 02775), 0);
	must_fit("above/below/file");
}

/* A folder that others can change leads on, to where none can. */
static void links_out_of_an_open_folder(void **state)
{
	(void)state;
	enter();
	make_folder("open", 0777);
	make_folder("fine", 0755);
	make_file("fine/file");
	make_link("../fine/file", "open/to_file");
	make_link("../fine", "open/to_folder");
	make_link("open/to_file", "by_way_of");
	must_not_fit("open/to_file", "/open, which has mode 0777");
	must_not_fit("open/to_folder/file", "/open, which everybody can change (mode 0777)");
	must_not_fit("by_way_of", "/open, which has mode 0777");
	assert_int_equal(chmod("open", 0755), 0);
	must_fit("open/to_file");
	must_fit("open/to_folder/file");
	must_fit("by_way_of");
}

/* Kubernetes: the volume's folder is open and sticky, `..data` is exchanged in one step. */
static void a_volume_of_kubernetes(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip(); /* the folder is root's */
	enter();
	make_folder("volume", 01777);
	make_folder("volume/..2026_01_02", 0755);
	make_file("volume/..2026_01_02/secret");
	make_link("..2026_01_02", "volume/..data");
	make_link("..data/secret", "volume/secret");
	must_fit("volume/secret");
	/* in such a folder anybody can make a link */
	give_away("volume/secret");
	must_not_fit("volume/secret", "/volume/secret, which belongs to uid 54321");
	assert_non_null(strstr(problem, "goes by the symbolic link"));
	assert_int_equal(lchown("volume/secret", 0, 0), 0);
	give_away("volume/..data");
	must_not_fit("volume/secret", "/volume/..data, which belongs to uid 54321");
}

static void folders_of_others(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	enter();
	make_folder("theirs", 0755);
	make_folder("theirs/ours", 0755);
	make_file("theirs/file");
	make_file("theirs/ours/file");
	give_away("theirs");
	must_not_fit("theirs/file", "/theirs, which belongs to uid 54321; it must belong to root");
	assert_true(fits("theirs/ours/file"));
	assert_non_null(strstr(
		problem, "/theirs, which belongs to uid 54321, who can put another in its place"));
	/* sticky, but not root's: its owner may take away what is in it */
	assert_int_equal(chmod("theirs", 01777), 0);
	must_not_fit("theirs/file", "/theirs, which belongs to uid 54321");
	/* as that user it is one's own, and root's are as well */
	assert_int_equal(chmod("theirs", 0755), 0);
	assert_int_equal(seteuid(STRANGER), 0);
	must_fit("theirs/file");
	must_fit("theirs/ours/file");
	assert_int_equal(seteuid(0), 0);
}

static bool listens(const char *path, uid_t listener)
{
	char absolute[300];

	enter();
	snprintf(absolute, sizeof(absolute), "%s/%s", top, path);
	return listener_fit(absolute, listener, problem, sizeof(problem));
}

/* Where it is does not matter: who could take their place need not. */
static void root_and_we_listen_anywhere(void **state)
{
	(void)state;
	assert_true(listener_fit("/tmp/absent/s", 0, problem, sizeof(problem)));
	assert_true(listener_fit("/tmp/absent/s", geteuid(), problem, sizeof(problem)));
	assert_false(listener_fit("/tmp/absent/s", STRANGER, problem, sizeof(problem)));
}

/* As Debian has it: /run/redis is the user redis's, and so is what listens in it. Nothing below a
 * folder that is open to the world is for anybody: they could have made it while it was not there.
 */
static void others_listen_where_only_they_could(void **state)
{
	static const char run[] = "/run/test_folder_fit", file[] = "/run/test_folder_fit/s";

	(void)state;
	if (geteuid() != 0)
		skip();
	enter();
	make_folder("redis", 0755);
	make_file("redis/s");
	give_away("redis");
	assert_false(listens("redis/s", STRANGER));
	assert_non_null(strstr(problem, "lies in /tmp, which has mode 1777: others could make it"));
	make_folder(run, 02755);
	make_file(file);
	give_away(run);
	assert_true(listener_fit(file, STRANGER, problem, sizeof(problem)));
	assert_false(listener_fit(file, STRANGER + 1, problem, sizeof(problem)));
	assert_string_equal(problem, "lies in /run/test_folder_fit, which belongs to uid 54321");
	assert_false(listener_fit(file, (uid_t)-1, problem, sizeof(problem)));
	for (unsigned i = 0; i < 3; i++) {
		static const mode_t modes[] = {0775, 0757, 01777};

		assert_int_equal(chmod(run, modes[i]), 0);
		assert_false(listener_fit(file, STRANGER, problem, sizeof(problem)));
		assert_non_null(strstr(problem, "others could make it there"));
	}
	assert_int_equal(remove(file), 0);
	assert_int_equal(remove(run), 0);
}

static void paths_that_lead_nowhere(void **state)
{
	char longest[5000];

	(void)state;
	enter();
	make_link("two", "one");
	make_link("one", "two");
	must_not_fit("one", "cannot be read: Too many levels of symbolic links");
	must_not_fit("absent/file", "cannot be read: No such file or directory");
	make_file("plain");
	must_not_fit("plain/file", "cannot be read: Not a directory");
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_false(folders_fit(longest, problem, sizeof(problem)));
	assert_string_equal(problem, "cannot be read: File name too long");
	longest[300] = '\0';
	assert_false(folders_fit(longest, problem, sizeof(problem)));
	assert_string_equal(problem, "cannot be read: File name too long");
}

static int make_top(void **state)
{
	(void)state;
	return mkdtemp(top) && !chmod(top, 0755) ? 0 : -1;
}

static int remove_top(void **state)
{
	static const char *const names[] = {"own/below/file", "own/below", "own", "nearest/file",
		"nearest", "above/below/file", "above/below", "above", "open/to_file",
		"open/to_folder", "open", "fine/file", "fine", "by_way_of", "volume/secret",
		"volume/..data", "volume/..2026_01_02/secret", "volume/..2026_01_02", "volume",
		"theirs/ours/file", "theirs/ours", "theirs/file", "theirs", "redis/s", "redis",
		"one", "two", "plain"};

	(void)state;
	enter();
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		remove(names[i]);
	return chdir("/") || rmdir(top);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(folders_of_ones_own),
		cmocka_unit_test(the_nearest_is_writable_for_its_owner_alone),
		cmocka_unit_test(no_folder_above_is_open_to_the_world),
		cmocka_unit_test(links_out_of_an_open_folder),
		cmocka_unit_test(a_volume_of_kubernetes),
		cmocka_unit_test(folders_of_others),
		cmocka_unit_test(root_and_we_listen_anywhere),
		cmocka_unit_test(others_listen_where_only_they_could),
		cmocka_unit_test(paths_that_lead_nowhere),
	};

	return cmocka_run_group_tests(tests, make_top, remove_top);
}
