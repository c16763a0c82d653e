/* Secrets from real files: what is read, and what is refused with which words. Owners other than
 * one's own need root; without it those cases are skipped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/config.h"
#include "core/secret_file.h"
#include "host/credential.h"
#include "host/secret_reader.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[] = "/tmp/test_credential.XXXXXX";

static const char *path_of(const char *name)
{
	static char path[2][256];
	static unsigned turn;

	turn = !turn;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", directory, name);
	return path[turn];
}

static void write_file(const char *name, const char *bytes, size_t length, mode_t mode)
{
	const char *path = path_of(name);
	int fd;

	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, length), (ssize_t)length);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void write_text(const char *name, const char *text, mode_t mode)
{
	write_file(name, text, strlen(text), mode);
}

/* A profile with an id of its own and the file "secret". Paths are borrowed. */
static struct profile_settings a_profile(char *secret_path)
{
	static char id[] = "the id";

	return (struct profile_settings){
		.client_id = id,
		.client_secret_file = secret_path,
		.socket_gid = (gid_t)-1,
	};
}

static char *secret_path(void)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/secret", directory);
	return path;
}

static void must_load(const struct profile_settings *p, const char *id, const char *secret)
{
	struct credential c = CREDENTIAL_NONE;
	char problem[512] = "";

	assert_int_equal(credential_load(p, &c, problem, sizeof(problem)), 0);
	assert_string_equal(problem, "");
	assert_string_equal(c.client_id, id);
	assert_string_equal(c.client_secret, secret);
	credential_fini(&c);
	assert_null(c.client_id);
	assert_null(c.client_secret);
	credential_fini(&c);
}

/* `words`: a part of the problem. The result must stay as it was. */
static void must_fail(const struct profile_settings *p, int error, const char *words)
{
	char marker[] = "untouched";
	struct credential c = {marker, marker, marker};
	char problem[512] = "";

	assert_int_equal(credential_load(p, &c, problem, sizeof(problem)), error);
	assert_ptr_equal(c.client_id, marker);
	assert_ptr_equal(c.client_secret, marker);
	assert_ptr_equal(c.proxy_password, marker);
	assert_non_null(strstr(problem, words));
	assert_null(strstr(problem, "hunter2"));
}

static void contents(void **state)
{
	char longest[SECRET_FILE_MAX + 8];
	const struct profile_settings p = a_profile(secret_path());

	(void)state;
	write_text("secret", "hunter2", 0600);
	must_load(&p, "the id", "hunter2");
	write_text("secret", "hunter2\n", 0600);
	must_load(&p, "the id", "hunter2");
	write_text("secret", "hunter2\r\n", 0600);
	must_load(&p, "the id", "hunter2");
	write_text("secret", "s3cr3t:+/% with \303\251\n", 0600);
	must_load(&p, "the id", "s3cr3t:+/% with \303\251");
	write_text("secret", " spaces are kept \n", 0400);
	must_load(&p, "the id", " spaces are kept ");

	memset(longest, 'x', sizeof(longest));
	memcpy(longest + SECRET_FILE_MAX, "\r\n", 3);
	write_file("secret", longest, SECRET_FILE_MAX + 2, 0600);
	longest[SECRET_FILE_MAX] = '\0';
	must_load(&p, "the id", longest);

	memset(longest, 'x', sizeof(longest));
	write_file("secret", longest, SECRET_FILE_MAX + 1, 0600);
	must_fail(&p, -EFBIG, "is longer than 4096 bytes");
	write_file("secret", longest, SECRET_FILE_MAX + 8, 0600);
	must_fail(&p, -EPERM, "is longer than 4096 bytes");
	write_text("secret", "", 0600);
	must_fail(&p, -EPERM, "is empty");
	write_text("secret", "\n", 0600);
	must_fail(&p, -EINVAL, "is empty");
	write_text("secret", "\r\n", 0600);
	must_fail(&p, -EINVAL, "is empty");
	write_text("secret", "hunter2\n\n", 0600);
	must_fail(&p, -EINVAL, "has more than one line");
	write_text("secret", "hunter2\nhunter2\n", 0600);
	must_fail(&p, -EINVAL, "has more than one line");
	write_text("secret", "hunter2\r", 0600);
	must_fail(&p, -EINVAL, "has more than one line");
	write_file("secret", "hunter2\0x", 9, 0600);
	must_fail(&p, -EINVAL, "has a control character");
	write_file("secret", "hunter2\0", 8, 0600);
	must_fail(&p, -EINVAL, "has a control character");
	write_text("secret", "hunter2\t", 0600);
	must_fail(&p, -EINVAL, "has a control character");
	write_text("secret", "hunter2\177", 0600);
	must_fail(&p, -EINVAL, "has a control character");
}

static void a_password_for_the_proxy(void **state)
{
	struct profile_settings p = a_profile(secret_path());
	struct credential c = CREDENTIAL_NONE;
	char problem[512], path[256];

	(void)state;
	write_text("secret", "a secret", 0600);
	write_text("password", "hunter2\n", 0600);
	snprintf(path, sizeof(path), "%s", path_of("password"));
	assert_int_equal(credential_load(&p, &c, problem, sizeof(problem)), 0);
	assert_null(c.proxy_password);
	credential_fini(&c);
	p.proxy_password_file = path;
	assert_int_equal(credential_load(&p, &c, problem, sizeof(problem)), 0);
	assert_string_equal(c.proxy_password, "hunter2");
	assert_string_equal(c.client_secret, "a secret");
	credential_fini(&c);
	assert_null(c.proxy_password);
	assert_int_equal(chmod(path, 0644), 0);
	must_fail(&p, -EPERM, "proxy_password_file: /tmp/test_credential.");
	unlink(path);
}

/* It may be meant so; the problem is a doubt then. */
static void what_was_hardly_meant_is_told(void **state)
{
	char problem[512] = "";
	const struct secret_source source = {
		.path = secret_path(),
		.socket_gid = (gid_t)-1,
		.problem = problem,
		.problem_size = sizeof(problem),
	};

	(void)state;
	write_text("secret", "hunter2\n", 0600);
	assert_int_equal(credential_check(&source), 0);
	assert_string_equal(problem, "");
	write_text("secret", "hunter2 \n", 0600);
	assert_int_equal(credential_check(&source), 0);
	assert_non_null(strstr(problem, "ends with a blank (20)"));
	assert_null(strstr(problem, "hunter2"));
}

static void modes(void **state)
{
	const struct profile_settings p = a_profile(secret_path());

	(void)state;
	/* The file's group is our own (the folder has no setgid bit). */
	for (mode_t mode = 0; mode <= 0777; mode++) {
		write_text("secret", "hunter2", 0600);
		assert_int_equal(chmod(secret_path(), mode), 0);
		if (!(mode & 0400) && geteuid() != 0)
			must_fail(&p, -EACCES, "cannot be read: Permission denied");
		else if (mode & 0037)
			must_fail(&p, -EPERM, "client_secret_file: /tmp/test_credential.");
		else
			must_load(&p, "the id", "hunter2");
	}
}

static void owners_and_groups(void **state)
{
	struct profile_settings p = a_profile(secret_path());

	(void)state;
	if (geteuid() != 0)
		skip();
	write_text("secret", "hunter2", 0640);
	assert_int_equal(chown(secret_path(), 0, getegid()), 0);
	must_load(&p, "the id", "hunter2");

	p.socket_gid = getegid();
	must_fail(&p, -EPERM, "is readable by the socket's group");
	p.socket_gid = 54321;
	must_load(&p, "the id", "hunter2");
	assert_int_equal(chown(secret_path(), 0, 54321), 0);
	must_fail(&p, -EPERM, "is readable by the socket's group (gid 54321)");
	p.socket_gid = (gid_t)-1;
	must_fail(&p, -EPERM, "is readable by gid 54321; only the daemon's own group");
	assert_int_equal(chmod(secret_path(), 0600), 0);
	must_load(&p, "the id", "hunter2");

	assert_int_equal(chown(secret_path(), 54321, 0), 0);
	must_fail(&p, -EPERM, "belongs to uid 54321");
	/* As that user it is one's own, and root's would be fine as well. */
	assert_int_equal(chmod(directory, 0755), 0);
	assert_int_equal(setegid(54321), 0);
	assert_int_equal(seteuid(54321), 0);
	must_load(&p, "the id", "hunter2");
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(chown(secret_path(), 0, 54321), 0);
	assert_int_equal(chmod(secret_path(), 0640), 0);
	assert_int_equal(seteuid(54321), 0);
	must_load(&p, "the id", "hunter2");
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(chmod(secret_path(), 0600), 0);
	assert_int_equal(seteuid(54321), 0);
	must_fail(&p, -EACCES, "cannot be read: Permission denied");
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(setegid(0), 0);
	assert_int_equal(chmod(directory, 0700), 0);
}

static void things_that_are_no_files(void **state)
{
	const struct profile_settings p = a_profile(secret_path());

	(void)state;
	unlink(secret_path());
	must_fail(&p, -ENOENT, "cannot be read: No such file or directory");
	assert_int_equal(mkdir(secret_path(), 0700), 0);
	must_fail(&p, -EPERM, "is not a regular file");
	assert_int_equal(rmdir(secret_path()), 0);
	/* Nobody writes into it: a blocking open would never return. */
	assert_int_equal(mkfifo(secret_path(), 0600), 0);
	must_fail(&p, -EPERM, "is not a regular file");
	assert_int_equal(unlink(secret_path()), 0);
	assert_int_equal(symlink("/dev/zero", secret_path()), 0);
	must_fail(&p, -EPERM, "is not a regular file");
	assert_int_equal(unlink(secret_path()), 0);
}

/* Configuration management links; what counts is the file at the end. */
static void links_are_followed_and_judged_at_their_end(void **state)
{
	const struct profile_settings p = a_profile(secret_path());

	(void)state;
	unlink(secret_path());
	write_text("real", "hunter2\n", 0600);
	assert_int_equal(symlink(path_of("real"), secret_path()), 0);
	must_load(&p, "the id", "hunter2");
	write_text("real", "hunter2\n", 0644);
	must_fail(&p, -EPERM, "is open to everybody");
	unlink(path_of("real"));
	must_fail(&p, -ENOENT, "cannot be read");
	unlink(secret_path());
}

static void an_id_from_a_file(void **state)
{
	struct profile_settings p = a_profile(secret_path());
	static const char *const unfit[] = {
		"an id\n", " id", "id \n", "\xef\xbb\xbfid", "i\xc3\xa9"};
	char id_path[256], text[255 + 2];

	(void)state;
	snprintf(id_path, sizeof(id_path), "%s/id", directory);
	p.client_id = NULL;
	p.client_id_file = id_path;
	write_text("secret", "hunter2\n", 0600);
	write_text("id", "id-from-a-file\n", 0644);
	must_load(&p, "id-from-a-file", "hunter2");
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	write_text("id", text, 0644);
	must_fail(&p, -EINVAL, "is too long; it must hold only the client's id");
	text[sizeof(text) - 2] = '\0';
	write_text("id", text, 0644);
	must_load(&p, text, "hunter2");
	for (size_t i = 0; i < sizeof(unfit) / sizeof(*unfit); i++) {
		write_text("id", unfit[i], 0644);
		must_fail(&p, -EINVAL, "/id holds a space or a byte that is not printable ASCII");
	}
	write_text("id", "", 0644);
	must_fail(&p, -EINVAL, "client_id_file: /tmp/test_credential.");
	unlink(id_path);
	must_fail(&p, -ENOENT, "client_id_file: /tmp/test_credential.");
	assert_int_equal(mkdir(id_path, 0700), 0);
	must_fail(&p, -EINVAL, "is not a regular file");
	assert_int_equal(rmdir(id_path), 0);
}

static void systemd_credentials(void **state)
{
	char name[] = "genesys";
	struct profile_settings p = a_profile(NULL);

	(void)state;
	p.client_secret_credential = name;
	assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
	must_fail(&p, -ENOENT, "CREDENTIALS_DIRECTORY is not set");
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", directory, 1), 0);
	unlink(path_of("genesys"));
	must_fail(&p, -ENOENT, "client_secret_credential: /tmp/test_credential.");
	/* Owner and mode are the manager's business. */
	write_text("genesys", "hunter2\n", 0444);
	must_load(&p, "the id", "hunter2");
	write_text("genesys", "\n", 0400);
	must_fail(&p, -EINVAL, "is empty");
	assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
}

static void a_small_buffer_for_the_problem(void **state)
{
	const struct profile_settings p = a_profile(secret_path());
	struct credential c = CREDENTIAL_NONE;
	char problem[24];

	(void)state;
	unlink(secret_path());
	memset(problem, 'x', sizeof(problem));
	assert_int_equal(credential_load(&p, &c, problem, sizeof(problem)), -ENOENT);
	assert_string_equal(problem, "client_secret_file: /tm");
}

static int make_directory(void **state)
{
	(void)state;
	return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
	static const char *const names[] = {"secret", "real", "id", "genesys"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(path_of(names[i]));
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(contents),
		cmocka_unit_test(a_password_for_the_proxy),
		cmocka_unit_test(what_was_hardly_meant_is_told),
		cmocka_unit_test(modes),
		cmocka_unit_test(owners_and_groups),
		cmocka_unit_test(things_that_are_no_files),
		cmocka_unit_test(links_are_followed_and_judged_at_their_end),
		cmocka_unit_test(an_id_from_a_file),
		cmocka_unit_test(systemd_credentials),
		cmocka_unit_test(a_small_buffer_for_the_problem),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
