/* Sockets made on a real file system: exact rights, stale and live ones, daemons that race. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "front/listener.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof(*(a)))
#define NO_GROUP ((gid_t)-1)

static char directory[64];
static char path[128];
static char problem[512];

static int make_directory(void **state)
{
	(void)state;
	snprintf(directory, sizeof(directory), "/tmp/test_listener.XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/s", directory);
	problem[0] = '\0';
	return 0;
}

static int remove_directory(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	return system(command);
}

/* Nothing but the expected name may lie in the directory: no lock, no half-made socket. */
static void assert_directory_has_only(const char *name)
{
	DIR *d = opendir(directory);
	unsigned found = 0;

	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (!name || strcmp(e->d_name, name))
			fail_msg("%s was left behind", e->d_name);
		found++;
	}
	closedir(d);
	assert_int_equal(found, name ? 1 : 0);
}

static int connect_to(const char *where)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_true(strlen(where) < sizeof(address.sun_path));
	memcpy(address.sun_path, where, strlen(where));
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

static void assert_answers(int listening)
{
	int client = connect_to(path), accepted;

	assert_true(client >= 0);
	accepted = accept(listening, NULL, NULL);
	assert_true(accepted >= 0);
	close(accepted);
	close(client);
}

static int bind_here(mode_t mode, int *ret)
{
	return listener_bind(path, mode, NO_GROUP, ret, problem, sizeof(problem));
}

static void rights_are_exact(void **state)
{
	static const mode_t modes[] = {0660, 0600, 0666, 0777, 0000, 0640};
	static const mode_t umasks[] = {0, 022, 077, 0777};

	(void)state;
	for (size_t m = 0; m < COUNT(modes); m++) {
		for (size_t u = 0; u < COUNT(umasks); u++) {
			mode_t before = umask(umasks[u]);
			int fd = -1, r = bind_here(modes[m], &fd);
			struct stat s;

			assert_int_equal(umask(before), umasks[u]);
			assert_int_equal(r, 0);
			assert_int_equal(lstat(path, &s), 0);
			assert_true(S_ISSOCK(s.st_mode));
			assert_int_equal(s.st_mode & 07777, modes[m]);
			assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
			assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
			if (geteuid() == 0)
				assert_answers(fd);
			assert_directory_has_only("s");
			close(fd);
			unlink(path);
		}
	}
}

static void group_is_given(void **state)
{
	struct stat s;
	int fd = -1;

	(void)state;
	if (geteuid() != 0) {
		print_message("giving a socket to a group takes root\n");
		skip();
	}
	assert_int_equal(listener_bind(path, 0660, 12345, &fd, problem, sizeof(problem)), 0);
	assert_int_equal(lstat(path, &s), 0);
	assert_int_equal(s.st_gid, 12345);
	assert_int_equal(s.st_mode & 07777, 0660);
	close(fd);
}

/* Runs `test` in a child that is user and group 65534; its exit status. */
static int as_nobody(int (*test)(void))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (!pid) {
		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(99);
		_exit(test());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int bind_for_foreign_group(void)
{
	int fd = -7, r = listener_bind(path, 0660, 12345, &fd, problem, sizeof(problem));

	if (r != -EPERM || fd != -7)
		return 1;
	return strstr(problem, "group 12345") ? 0 : 2;
}

static int bind_without_write(void)
{
	int fd = -7, r = bind_here(0660, &fd);

	if (r != -EACCES || fd != -7)
		return 1;
	return strstr(problem, directory) && strstr(problem, "writable") ? 0 : 2;
}

static void rights_that_cannot_be_given(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		print_message("becoming another user takes root\n");
		skip();
	}
	assert_int_equal(as_nobody(bind_without_write), 0);
	assert_directory_has_only(NULL);
	assert_int_equal(chmod(directory, 0777), 0);
	assert_int_equal(as_nobody(bind_for_foreign_group), 0);
	assert_directory_has_only(NULL);
}

static void stale_is_replaced(void **state)
{
	struct stat before, after;
	int first = -1, second = -1;

	(void)state;
	assert_int_equal(bind_here(0666, &first), 0);
	assert_int_equal(lstat(path, &before), 0);
	close(first);
	assert_int_equal(connect_to(path), -ECONNREFUSED);
	assert_int_equal(bind_here(0600, &second), 0);
	assert_int_equal(lstat(path, &after), 0);
	assert_int_not_equal(before.st_ino, after.st_ino);
	assert_int_equal(after.st_mode & 07777, 0600);
	assert_answers(second);
	assert_directory_has_only("s");
	close(second);
}

static void live_is_left_alone(void **state)
{
	int first = -1, second = -7;

	(void)state;
	assert_int_equal(bind_here(0660, &first), 0);
	assert_int_equal(bind_here(0660, &second), -EADDRINUSE);
	assert_int_equal(second, -7);
	assert_non_null(strstr(problem, "another gctokend answers at"));
	assert_non_null(strstr(problem, path));
	/* the probe is one client more in its queue */
	close(accept(first, NULL, NULL));
	assert_answers(first);
	close(first);
}

static void live_with_a_full_queue_is_left_alone(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int clients[16], count = 0, fd = -7, listening;

	(void)state;
	memcpy(address.sun_path, path, strlen(path));
	listening = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(listening, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listening, 0), 0);
	while (count < (int)COUNT(clients) && (clients[count] = connect_to(path)) >= 0)
		count++;
	assert_in_range(count, 1, COUNT(clients) - 1);
	assert_int_equal(bind_here(0660, &fd), -EADDRINUSE);
	while (count)
		close(clients[--count]);
	close(listening);
}

static void socket_of_another_kind_is_left_alone(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = -7, other = socket(AF_UNIX, SOCK_DGRAM, 0);

	(void)state;
	memcpy(address.sun_path, path, strlen(path));
	assert_int_equal(bind(other, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(bind_here(0660, &fd), -EADDRINUSE);
	assert_non_null(strstr(problem, "another program"));
	close(other);
}

static void other_files_are_left_alone(void **state)
{
	static const char *const kinds[] = {"file", "directory", "link to a socket"};
	char elsewhere[160];
	int fd = -7, listening = -1;

	(void)state;
	snprintf(elsewhere, sizeof(elsewhere), "%s/t", directory);
	assert_int_equal(
		listener_bind(elsewhere, 0660, NO_GROUP, &listening, problem, sizeof(problem)), 0);
	close(listening);
	for (size_t i = 0; i < COUNT(kinds); i++) {
		struct stat before, after;

		if (i == 0)
			close(open(path, O_CREAT | O_WRONLY, 0600));
		else if (i == 1)
			assert_int_equal(mkdir(path, 0700), 0);
		else
			assert_int_equal(symlink(elsewhere, path), 0);
		assert_int_equal(lstat(path, &before), 0);
		assert_int_equal(bind_here(0660, &fd), -EEXIST);
		assert_int_equal(fd, -7);
		assert_non_null(strstr(problem, "not a socket"));
		assert_int_equal(lstat(path, &after), 0);
		assert_int_equal(before.st_ino, after.st_ino);
		assert_int_equal(remove(path), 0);
	}
}

static void leftovers_of_a_crash_are_no_hindrance(void **state)
{
	char leftover[160];
	int fd = -1, other = -1;

	(void)state;
	snprintf(leftover, sizeof(leftover), "%s.new", path);
	assert_int_equal(
		listener_bind(leftover, 0600, NO_GROUP, &other, problem, sizeof(problem)), 0);
	close(other);
	snprintf(leftover, sizeof(leftover), "%s.lock", path);
	close(open(leftover, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(bind_here(0660, &fd), 0);
	assert_answers(fd);
	assert_directory_has_only("s");
	close(fd);
}

static void held_lock_is_waited_for_and_then_named(void **state)
{
	char lock[160];
	int fd = -7, held;

	(void)state;
	snprintf(lock, sizeof(lock), "%s.lock", path);
	held = open(lock, O_CREAT | O_RDWR, 0600);
	assert_int_equal(flock(held, LOCK_EX), 0);
	assert_int_equal(bind_here(0660, &fd), -EBUSY);
	assert_int_equal(fd, -7);
	assert_non_null(strstr(problem, "starting"));
	close(held);
}

static void bad_paths_are_explained(void **state)
{
	char longest[256], text[300];
	int fd = -7;

	(void)state;
	snprintf(text, sizeof(text), "%s/none/s", directory);
	assert_int_equal(
		listener_bind(text, 0660, NO_GROUP, &fd, problem, sizeof(problem)), -ENOENT);
	snprintf(text, sizeof(text), "%s/none is not a directory: create it", directory);
	assert_memory_equal(problem, text, strlen(text));

	close(open(path, O_CREAT | O_WRONLY, 0600));
	snprintf(text, sizeof(text), "%s/s", path);
	assert_int_equal(
		listener_bind(text, 0660, NO_GROUP, &fd, problem, sizeof(problem)), -ENOTDIR);
	unlink(path);

	assert_int_equal(listener_bind("", 0660, NO_GROUP, &fd, problem, sizeof(problem)), -EINVAL);
	assert_int_equal(
		listener_bind("/tmp/", 0660, NO_GROUP, &fd, problem, sizeof(problem)), -EINVAL);
	assert_int_equal(
		listener_bind(path, 01660, NO_GROUP, &fd, problem, sizeof(problem)), -EINVAL);

	/* the longest that is possible, and one more */
	snprintf(longest, sizeof(longest), "%s/", directory);
	memset(longest + strlen(longest), 'l', 102 - strlen(longest));
	longest[102] = '\0';
	snprintf(text, sizeof(text), "%sl", longest);
	assert_int_equal(
		listener_bind(text, 0660, NO_GROUP, &fd, problem, sizeof(problem)), -ENAMETOOLONG);
	assert_non_null(strstr(problem, "103 bytes long: at most 102"));
	assert_int_equal(fd, -7);
	assert_int_equal(listener_bind(longest, 0660, NO_GROUP, &fd, problem, sizeof(problem)), 0);
	close(connect_to(longest));
	close(fd);
}

static void only_the_own_socket_is_removed(void **state)
{
	struct stat first, second;
	int fd = -1, other = -1;

	(void)state;
	assert_int_equal(bind_here(0660, &fd), 0);
	assert_int_equal(lstat(path, &first), 0);
	close(fd);
	assert_int_equal(bind_here(0660, &other), 0);
	assert_int_equal(lstat(path, &second), 0);
	listener_remove(path, &first);
	assert_answers(other);
	listener_remove(path, &second);
	assert_directory_has_only(NULL);
	listener_remove(path, &second);
	close(other);
}

static void *bind_at_once(void *ret)
{
	char words[256];
	int fd = -1, r = listener_bind(path, 0660, NO_GROUP, &fd, words, sizeof(words));

	*(int *)ret = r < 0 ? r : fd;
	return NULL;
}

/* However many start at once over a stale socket, one of them has it, and answers. */
static void only_one_wins_a_race(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 20; round++) {
		pthread_t threads[8];
		int results[8], winner = -1, fd = -1;

		assert_int_equal(bind_here(0660, &fd), 0);
		close(fd);
		for (size_t i = 0; i < COUNT(threads); i++)
			assert_int_equal(
				pthread_create(&threads[i], NULL, bind_at_once, &results[i]), 0);
		for (size_t i = 0; i < COUNT(threads); i++) {
			pthread_join(threads[i], NULL);
			if (results[i] >= 0) {
				assert_int_equal(winner, -1);
				winner = results[i];
			} else {
				assert_int_equal(results[i], -EADDRINUSE);
			}
		}
		assert_true(winner >= 0);
		while ((fd = accept(winner, NULL, NULL)) >= 0)
			close(fd);
		assert_answers(winner);
		close(winner);
		assert_directory_has_only("s");
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_directory, remove_directory)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rights_are_exact),
		TEST(group_is_given),
		TEST(rights_that_cannot_be_given),
		TEST(stale_is_replaced),
		TEST(live_is_left_alone),
		TEST(live_with_a_full_queue_is_left_alone),
		TEST(socket_of_another_kind_is_left_alone),
		TEST(other_files_are_left_alone),
		TEST(leftovers_of_a_crash_are_no_hindrance),
		TEST(held_lock_is_waited_for_and_then_named),
		TEST(bad_paths_are_explained),
		TEST(only_the_own_socket_is_removed),
		TEST(only_one_wins_a_race),
	};

	return cmocka_run_group_tests_name("listener", tests, NULL, NULL);
}
