/* A process that may not start programs: tried in each way, in children of this one. */
#include "host/no_programs.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* What the attempt says: 0, it is not refused (it would not come back), or the errno. */
typedef int attempt(void);

static char name[] = "true";
static char *const words[] = {name, NULL};
static char *const environment[] = {NULL};

static int by_path(void)
{
	return execve("/bin/true", words, environment) ? errno : 0;
}

static int by_descriptor(void)
{
	int fd = open("/bin/true", O_PATH | O_CLOEXEC);

	return fd >= 0 && fexecve(fd, words, environment) ? errno : 0;
}

/* Nothing has to be on a disk that is mounted for programs. */
static int from_memory(void)
{
	static const char script[] = "#!/bin/true\n";
	int fd = memfd_create("program", 0);

	if (fd < 0 || write(fd, script, sizeof(script) - 1) < 0 || fchmod(fd, 0700))
		return 0;
	return syscall(SYS_execveat, fd, "", words, environment, AT_EMPTY_PATH) ? errno : 0;
}

static int by_spawning(void)
{
	pid_t child;

	return posix_spawn(&child, "/bin/true", NULL, NULL, words, environment);
}

static void *in_a_thread(void *result)
{
	*(int *)result = by_path();
	return NULL;
}

static int by_a_new_thread(void)
{
	pthread_t thread;
	int result = 0;

	if (pthread_create(&thread, NULL, in_a_thread, &result) || pthread_join(thread, NULL))
		return 0;
	return result;
}

#if defined(__x86_64__)
/* The numbers of x32 and of 32 bits, which the same kernel may take. */
static int by_the_numbers_of_x32(void)
{
	return syscall(0x40000000 + 520, "/bin/true", words, environment) ? errno : 0;
}

static int by_the_gate_of_32_bits(void)
{
	long result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(11L), "b"(0L), "c"(0L), "d"(0L)
			 : "memory", "r8", "r9", "r10", "r11");
	return (int)-result;
}
#endif

/* The errno of the attempt in a child that may not; -1: it became the program, or died. */
static int outcome(attempt *what, bool forbidden)
{
	pid_t child = fork();
	int status, result;

	assert_true(child >= 0);
	if (!child) {
		alarm(20);
		if (forbidden && no_programs())
			_exit(255);
		result = what();
		_exit(result ? result : 254);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (!WIFEXITED(status) || WEXITSTATUS(status) >= 254)
		return -1;
	return WEXITSTATUS(status);
}

static void test_no_way_to_start_a_program(void **state)
{
	(void)state;
	assert_int_equal(outcome(by_path, true), EPERM);
	assert_int_equal(outcome(by_descriptor, true), EPERM);
	assert_int_equal(outcome(from_memory, true), EPERM);
	assert_int_equal(outcome(by_spawning, true), EPERM);
	assert_int_equal(outcome(by_a_new_thread, true), EPERM);
}

static void test_nor_by_the_calls_of_other_architectures(void **state)
{
	(void)state;
#if defined(__x86_64__)
	assert_int_equal(outcome(by_the_numbers_of_x32, true), EPERM);
	/* A kernel without them ends the process. */
	if (outcome(by_the_gate_of_32_bits, false) == EFAULT)
		assert_int_equal(outcome(by_the_gate_of_32_bits, true), EPERM);
#endif
}

/* Else the others would show nothing. */
static void test_who_is_not_kept_from_it_can(void **state)
{
	(void)state;
	assert_int_equal(outcome(by_path, false), 0);
	assert_int_equal(outcome(by_descriptor, false), 0);
	assert_int_equal(outcome(from_memory, false), 0);
}

static int everything_else(void)
{
	int pair[2];
	char byte = 0;

	if (pipe(pair) || write(pair[1], "x", 1) != 1 || read(pair[0], &byte, 1) != 1)
		return 0;
	return byte == 'x' && fork() >= 0 ? 1 : 0;
}

static void test_all_else_goes_on(void **state)
{
	(void)state;
	assert_int_equal(outcome(everything_else, true), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_way_to_start_a_program),
		cmocka_unit_test(test_nor_by_the_calls_of_other_architectures),
		cmocka_unit_test(test_who_is_not_kept_from_it_can),
		cmocka_unit_test(test_all_else_goes_on),
	};

	return cmocka_run_group_tests_name("no_programs", tests, NULL, NULL);
}
