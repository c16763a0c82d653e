/* Memory that is handed over: whoever has it can change its content, but not its size. */
#include "host/memfd.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define SIZE 8192

static void new_memory_is_sealed(void **state)
{
	int fd = memfd_new("t", SIZE, 0444);
	char byte = 'x';
	struct stat s;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(memfd_examine(fd, &s), 0);
	assert_int_equal(s.st_size, SIZE);
	assert_int_equal(s.st_mode, S_IFREG | 0444);
	assert_int_equal(pwrite(fd, &byte, 1, SIZE - 1), 1);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, 2 * SIZE), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	assert_int_equal(errno, EPERM);
	close(fd);
}

/* Each seal that is missing is missed. */
static void what_is_not_sealed_is_refused(void **state)
{
	static const int seals[] = {F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_SEAL};
	struct stat s = {.st_size = 77};

	(void)state;
	for (int subset = 0; subset < 8; subset++) {
		int fd = memfd_create("t", MFD_CLOEXEC | MFD_ALLOW_SEALING);

		for (int i = 0; i < 3; i++)
			if (subset & 1 << i)
				assert_int_equal(fcntl(fd, F_ADD_SEALS, seals[i]), 0);
		assert_int_equal(memfd_examine(fd, &s), subset == 7 ? 0 : -EINVAL);
		assert_int_equal(s.st_size, subset == 7 ? 0 : 77);
		close(fd);
	}
}

static void other_descriptors_are_refused(void **state)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct stat s;

	(void)state;
	assert_true(memfd_examine(null, &s) < 0);
	close(null);
	assert_int_equal(memfd_examine(null, &s), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_memory_is_sealed),
		cmocka_unit_test(what_is_not_sealed_is_refused),
		cmocka_unit_test(other_descriptors_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
