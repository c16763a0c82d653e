/* The configuration from real files, with this system's users and groups. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/config_files.h"
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[] = "/tmp/test_config_files.XXXXXX";

static const char *path_of(const char *name)
{
	static char path[4][256];
	static unsigned turn;

	turn = (turn + 1) % 4;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", directory, name);
	return path[turn];
}

static void write_file(const char *name, const char *text, mode_t mode)
{
	int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

/* Loads the main file; *ret_words are the problems with "DIR" for the test's directory. */
static int load(const char *name, struct config **ret, char **ret_words)
{
	struct config_problems problems = CONFIG_PROBLEMS_NONE;
	int result = config_load(path_of(name), CONFIG_FOR_RELOAD, NULL, ret, &problems);
	char *words = NULL, *at;
	size_t size;
	FILE *to = open_memstream(&words, &size);

	config_problems_print(&problems, to);
	fclose(to);
	config_problems_fini(&problems);
	while ((at = strstr(words, directory))) {
		memcpy(at, "DIR", 3);
		memmove(at + 3, at + strlen(directory), strlen(at + strlen(directory)) + 1);
	}
	*ret_words = words;
	return result;
}

static struct config *must_load(const char *name)
{
	struct config *config = NULL;
	char *words;
	int result = load(name, &config, &words);

	assert_string_equal(words, "");
	assert_int_equal(result, CONFIG_VALID);
	assert_non_null(config);
	free(words);
	return config;
}

static void must_refuse(const char *name, const char *expected)
{
	struct config *config = NULL;
	char *words;
	int result = load(name, &config, &words);

	assert_string_equal(words, expected);
	assert_int_equal(result, CONFIG_INVALID);
	assert_null(config);
	free(words);
}

/* The main file with a secret beside it, and `more` at its end. */
static void write_main(const char *more)
{
	char text[2048];

	snprintf(text, sizeof(text),
		"[broker]\nsocket_group =\n[profile p]\nregion = us-west-2\nclient_id = id\n"
		"client_secret_file = %s/secret\n%s",
		directory, more);
	write_file("main.conf", text, 0644);
	write_file("secret", "hunter2\n", 0600);
}

static void a_missing_file(void **state)
{
	(void)state;
	must_refuse("absent.conf", "DIR/absent.conf: cannot be read: No such file or directory\n");
}

static void a_directory_in_its_place(void **state)
{
	(void)state;
	assert_int_equal(mkdir(path_of("folder.conf"), 0755), 0);
	must_refuse("folder.conf", "DIR/folder.conf: this is not a regular file\n");
	assert_int_equal(rmdir(path_of("folder.conf")), 0);
}

static void a_file_that_is_too_long(void **state)
{
	(void)state;
	write_file("long.conf", "# long\n", 0644);
	assert_int_equal(truncate(path_of("long.conf"), CONFIG_FILE_MAX + 1), 0);
	must_refuse("long.conf", "DIR/long.conf: this file is longer than 1 MiB\n");
	unlink(path_of("long.conf"));
}

static void the_main_file_alone(void **state)
{
	struct config *c;

	(void)state;
	write_main("");
	c = must_load("main.conf");
	assert_string_equal(c->profiles[0].name, "p");
	assert_int_equal(c->broker.socket_gid, (gid_t)-1);
	config_free(c);
}

static void drop_ins_in_byte_order(void **state)
{
	struct config *c;

	(void)state;
	write_main("");
	assert_int_equal(mkdir(path_of("main.conf.d"), 0755), 0);
	write_file("main.conf.d/B.conf", "[profile p]\nmint_limit = 2\n", 0644);
	write_file("main.conf.d/a.conf", "[profile p]\nmint_limit = 3\n", 0644);
	write_file("main.conf.d/10-x.conf", "[profile p]\nmint_limit = 1\nscope = ten\n", 0644);
	/* None of these counts. */
	write_file("main.conf.d/.hidden.conf", "junk\n", 0644);
	write_file("main.conf.d/z.conf~", "junk\n", 0644);
	write_file("main.conf.d/z.conf.dpkg-dist", "junk\n", 0644);
	write_file("main.conf.d/README", "junk\n", 0644);
	c = must_load("main.conf");
	assert_int_equal(c->profiles[0].mint_limit, 3);
	assert_string_equal(c->profiles[0].scope, "ten");
	config_free(c);

	write_file("main.conf.d/a.conf", "[profile p]\nmint_limit = many\nfrob = 1\n", 0644);
	assert_int_equal(mkdir(path_of("main.conf.d/dir.conf"), 0755), 0);
	assert_int_equal(symlink("nowhere", path_of("main.conf.d/link.conf")), 0);
	must_refuse("main.conf",
		"DIR/main.conf.d/a.conf:2: mint_limit: \"many\" is not a whole number; allowed: "
		"auto, or a "
		"whole number from 1 to 1000\n"
		"DIR/main.conf.d/a.conf:3: frob: unknown key; all keys: --help-config\n"
		"DIR/main.conf.d/dir.conf: this is not a regular file\n"
		"DIR/main.conf.d/link.conf: cannot be read: No such file or directory\n");
}

static void remove_drop_ins(void)
{
	static const char *const names[] = {"B.conf", "a.conf", "10-x.conf", ".hidden.conf",
		"z.conf~", "z.conf.dpkg-dist", "README", "link.conf"};
	char name[64];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(name, sizeof(name), "main.conf.d/%s", names[i]);
		unlink(path_of(name));
	}
	rmdir(path_of("main.conf.d/dir.conf"));
	rmdir(path_of("main.conf.d"));
}

static void a_drop_in_folder_that_is_a_file(void **state)
{
	(void)state;
	remove_drop_ins();
	write_main("");
	write_file("main.conf.d", "", 0644);
	must_refuse(
		"main.conf", "DIR/main.conf.d: this directory cannot be read: Not a directory\n");
	unlink(path_of("main.conf.d"));
}

static void users_and_groups_of_this_system(void **state)
{
	const struct passwd *user = getpwnam("nobody");
	const struct group *group = getgrnam("daemon");
	struct config *c;

	(void)state;
	assert_non_null(user);
	assert_non_null(group);
	write_main("allow_users = root, nobody\nallow_groups = daemon\n");
	c = must_load("main.conf");
	assert_int_equal(c->profiles[0].allow.lists[ACCESS_USERS].ids[0], 0);
	assert_int_equal(c->profiles[0].allow.lists[ACCESS_USERS].ids[1], user->pw_uid);
	assert_int_equal(c->profiles[0].allow.lists[ACCESS_GROUPS].ids[0], group->gr_gid);
	config_free(c);

	write_main("allow_users = no-such-user-here\nallow_groups = no-such-group-here\n");
	must_refuse("main.conf",
		"DIR/main.conf:7: allow_users: there is no user \"no-such-user-here\" on this "
		"system; create it or take the name out\n"
		"DIR/main.conf:8: allow_groups: there is no group \"no-such-group-here\" on this "
		"system; create it or take the name out\n");
}

static void secrets_that_are_not_strict(void **state)
{
	(void)state;
	write_main("");
	assert_int_equal(chmod(path_of("secret"), 0644), 0);
	must_refuse("main.conf",
		"DIR/main.conf:6: client_secret_file: DIR/secret has mode 0644, which is open to "
		"everybody; at most 0640 is allowed, 0600 is best\n");
	write_file("secret", "", 0600);
	must_refuse("main.conf",
		"DIR/main.conf:6: client_secret_file: DIR/secret is empty; it must "
		"hold the secret\n");
	unlink(path_of("secret"));
	must_refuse("main.conf",
		"DIR/main.conf:6: client_secret_file: DIR/secret cannot be read: No "
		"such file or directory\n");
	assert_int_equal(mkfifo(path_of("secret"), 0600), 0);
	must_refuse("main.conf",
		"DIR/main.conf:6: client_secret_file: DIR/secret is not a regular file\n");
	unlink(path_of("secret"));
}

static void a_secret_that_clients_could_read(void **state)
{
	const struct group *group = getgrnam("daemon");
	char words[512];

	(void)state;
	if (geteuid() != 0)
		skip();
	write_main("");
	assert_int_equal(mkdir(path_of("main.conf.d"), 0755), 0);
	write_file("main.conf.d/a.conf", "[broker]\nsocket_group = daemon\n", 0644);
	assert_int_equal(chown(path_of("secret"), 0, group->gr_gid), 0);
	config_free(must_load("main.conf"));
	assert_int_equal(chmod(path_of("secret"), 0640), 0);
	snprintf(words, sizeof(words),
		"DIR/main.conf:6: client_secret_file: DIR/secret is readable by the socket's group "
		"(gid %u): every caller could read it; make it mode 0600 or give it another "
		"group\n",
		(unsigned)group->gr_gid);
	must_refuse("main.conf", words);
	remove_drop_ins();
}

static void other_files_must_be_readable(void **state)
{
	char more[512];

	(void)state;
	snprintf(more, sizeof(more), "ca_file = %s/ca.pem\n", directory);
	write_main(more);
	must_refuse("main.conf",
		"DIR/main.conf:7: ca_file: DIR/ca.pem cannot be read: No such file or directory\n");
	write_file("ca.pem", "x", 0644);
	config_free(must_load("main.conf"));
	snprintf(more, sizeof(more), "ca_file = %s\n", directory);
	write_main(more);
	must_refuse("main.conf", "DIR/main.conf:7: ca_file: DIR is not a regular file\n");
	unlink(path_of("ca.pem"));
}

/* `./dev run` fills the template in; this is what must come of it. */
static void the_template_of_the_development_run(void **state)
{
	static char text[16384], filled[32768];
	char path[512];
	const char *slash = strrchr(__FILE__, '/');
	const char *from = text;
	size_t used = 0;
	struct config *c;
	FILE *template;

	(void)state;
	snprintf(path, sizeof(path), "%.*s/../../conf/dev.conf",
		slash ? (int)(slash - __FILE__) : 1, slash ? __FILE__ : ".");
	template = fopen(path, "r");
	assert_non_null(template);
	assert_true(fread(text, 1, sizeof(text) - 1, template) > 0);
	fclose(template);
	for (const char *at; (at = strstr(from, "@RUN_DIR@")); from = at + 9)
		used += (size_t)snprintf(filled + used, sizeof(filled) - used, "%.*s%s",
			(int)(at - from), from, directory);
	snprintf(filled + used, sizeof(filled) - used, "%s", from);

	write_file("main.conf", filled, 0644);
	write_file("secret", "hunter2", 0600);
	write_file("ca.pem", "x", 0644);
	assert_int_equal(mkdir(path_of("main.conf.d"), 0755), 0);
	snprintf(filled, sizeof(filled),
		"[profile default]\ntoken_url = https://localhost:8443/oauth/token\n"
		"api_url = https://localhost:8443\nca_file = %s/ca.pem\nclient_id = id\n",
		directory);
	write_file("main.conf.d/a.conf", filled, 0644);
	c = must_load("main.conf");
	assert_string_equal(c->profiles[0].name, "default");
	assert_string_equal(c->broker.socket, path_of("gctokend.sock"));
	assert_string_equal(c->broker.state_dir, path_of("state"));
	assert_int_equal(c->broker.socket_gid, (gid_t)-1);
	assert_string_equal(c->profiles[0].api_url, "https://localhost:8443");
	config_free(c);

	write_file("main.conf.d/a.conf", "[profile default]\nregion = us_east_1\nclient_id = id\n",
		0644);
	c = must_load("main.conf");
	assert_string_equal(c->profiles[0].token_url, "https://login.mypurecloud.com/oauth/token");
	config_free(c);
	unlink(path_of("ca.pem"));
	remove_drop_ins();
}

static int make_directory(void **state)
{
	(void)state;
	unsetenv("STATE_DIRECTORY");
	unsetenv("CREDENTIALS_DIRECTORY");
	return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
	(void)state;
	remove_drop_ins();
	unlink(path_of("main.conf"));
	unlink(path_of("secret"));
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_missing_file),
		cmocka_unit_test(a_directory_in_its_place),
		cmocka_unit_test(a_file_that_is_too_long),
		cmocka_unit_test(the_main_file_alone),
		cmocka_unit_test(drop_ins_in_byte_order),
		cmocka_unit_test(a_drop_in_folder_that_is_a_file),
		cmocka_unit_test(users_and_groups_of_this_system),
		cmocka_unit_test(secrets_that_are_not_strict),
		cmocka_unit_test(a_secret_that_clients_could_read),
		cmocka_unit_test(other_files_must_be_readable),
		cmocka_unit_test(the_template_of_the_development_run),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
