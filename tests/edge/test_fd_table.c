/* A thread with a table of descriptors of its own, beside one that goes on opening and closing. */
#include "host/fd_table.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#define PIPES 6

static struct {
	int pipes[PIPES][2];
	int result;
	bool open[PIPES][2]; /* in the thread */
	bool standard[3];
} seen;
static pthread_barrier_t owned, over;

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* Keeps the writing end of the second, and the reading end of the last but one. */
static void *thread_main(void *arg)
{
	const int kept[] = {seen.pipes[PIPES - 2][0], seen.pipes[1][1]};

	(void)arg;
	seen.result = fd_table_own(kept, 2);
	for (int i = 0; i < 3; i++)
		seen.standard[i] = is_open(i);
	for (int i = 0; i < PIPES; i++)
		for (int end = 0; end < 2; end++)
			seen.open[i][end] = is_open(seen.pipes[i][end]);
	pthread_barrier_wait(&owned);
	pthread_barrier_wait(&over);
	return NULL;
}

static pthread_t thread_start(void)
{
	pthread_t thread;

	for (int i = 0; i < PIPES; i++)
		assert_int_equal(pipe2(seen.pipes[i], O_CLOEXEC | O_NONBLOCK), 0);
	pthread_barrier_init(&owned, NULL, 2);
	pthread_barrier_init(&over, NULL, 2);
	assert_int_equal(pthread_create(&thread, NULL, thread_main, NULL), 0);
	pthread_barrier_wait(&owned);
	return thread;
}

static void thread_end(pthread_t thread)
{
	pthread_barrier_wait(&over);
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&owned);
	pthread_barrier_destroy(&over);
}

static void needs_the_kernel(pthread_t thread)
{
	if (!seen.result)
		return;
	thread_end(thread);
	assert_in_range(-seen.result, 1, 4095);
	skip();
}

static void test_it_has_what_it_keeps(void **state)
{
	pthread_t thread = thread_start();

	(void)state;
	needs_the_kernel(thread);
	for (int i = 0; i < 3; i++)
		assert_int_equal(seen.standard[i], is_open(i));
	for (int i = 0; i < PIPES; i++)
		for (int end = 0; end < 2; end++)
			assert_int_equal(seen.open[i][end],
				(i == PIPES - 2 && end == 0) || (i == 1 && end == 1));
	thread_end(thread);
	for (int i = 0; i < PIPES; i++)
		for (int end = 0; end < 2; end++)
			assert_int_equal(close(seen.pipes[i][end]), 0);
}

/* Nothing that is closed is held open by the thread, but for what it keeps. */
static void test_what_others_close_is_closed(void **state)
{
	pthread_t thread = thread_start();
	struct pollfd last;
	char byte;

	(void)state;
	needs_the_kernel(thread);
	for (int i = 0; i < PIPES; i++)
		close(seen.pipes[i][1]);
	for (int i = 0; i < PIPES; i++) {
		errno = 0;
		assert_int_equal(read(seen.pipes[i][0], &byte, 1), i == 1 ? -1 : 0);
		assert_int_equal(errno, i == 1 ? EAGAIN : 0);
	}
	thread_end(thread);
	/* the kernel tells of a thread's end before it closes what the thread had */
	last = (struct pollfd){.fd = seen.pipes[1][0], .events = POLLIN};
	assert_int_equal(poll(&last, 1, 20000), 1);
	assert_int_equal(read(seen.pipes[1][0], &byte, 1), 0);
	for (int i = 0; i < PIPES; i++)
		close(seen.pipes[i][0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_has_what_it_keeps),
		cmocka_unit_test(test_what_others_close_is_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
