/* The calls that touch the disk are wrapped at link time: each can be made to fail, to do half its
 * work, to hang or to be the last thing the process does. */
#include "host/durable_file.h"
#include "host/state_file.h"
#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

int __real_openat64(int directory_fd, const char *path, int flags, ...);
int __wrap_openat64(int directory_fd, const char *path, int flags, ...);
ssize_t __real_write(int fd, const void *bytes, size_t count);
ssize_t __wrap_write(int fd, const void *bytes, size_t count);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to);

static pid_t holder; /* of a directory that is locked */

enum fault_kind {
	FAULT_NONE,
	FAULT_ERROR,
	FAULT_SHORT, /* a write does only half */
	FAULT_EXIT,  /* the process ends before the call */
	FAULT_HANG,  /* the call waits until the gate is opened */
};

/* Calls are recorded as letters: o(pen) w(rite) f(sync of the file) r(ename) d(irectory fsync). A
 * plan names a letter and which of its occurrences (from 1; 0: each) it hits. */
static struct {
	bool active;
	int directory_fd;
	char trace[64];
	enum fault_kind kind;
	char call;
	int occurrence;
	int error;
	int seen;
} fault;
static sem_t gate;

static void fault_arm(enum fault_kind kind, char call, int occurrence, int error)
{
	int directory_fd = fault.directory_fd;

	memset(&fault, 0, sizeof(fault));
	fault.active = true;
	fault.directory_fd = directory_fd;
	fault.kind = kind;
	fault.call = call;
	fault.occurrence = occurrence;
	fault.error = error;
}

/* What to do at this call; errors and the like only where the plan says so. */
static enum fault_kind fault_meet(char call)
{
	size_t length = strlen(fault.trace);

	if (!fault.active)
		return FAULT_NONE;
	if (length + 1 < sizeof(fault.trace))
		fault.trace[length] = call;
	if (call != fault.call)
		return FAULT_NONE;
	fault.seen++;
	if (fault.occurrence != 0 && fault.seen != fault.occurrence)
		return FAULT_NONE;
	if (fault.kind == FAULT_EXIT)
		_exit(99);
	if (fault.kind == FAULT_HANG)
		assert_int_equal(sem_wait(&gate), 0);
	errno = fault.error;
	return fault.kind;
}

int __wrap_openat64(int directory_fd, const char *path, int flags, ...)
{
	if ((flags & O_CREAT) && fault_meet('o') == FAULT_ERROR)
		return -1;
	return __real_openat64(directory_fd, path, flags, 0600);
}

ssize_t __wrap_write(int fd, const void *bytes, size_t count)
{
	enum fault_kind kind = fault_meet('w');

	if (kind == FAULT_ERROR)
		return -1;
	return __real_write(fd, bytes, kind == FAULT_SHORT && count > 1 ? count / 2 : count);
}

int __wrap_fsync(int fd)
{
	return fault_meet(fd == fault.directory_fd ? 'd' : 'f') == FAULT_ERROR ? -1
									       : __real_fsync(fd);
}

int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	return fault_meet('r') == FAULT_ERROR ? -1 : __real_renameat(from_fd, from, to_fd, to);
}

struct fixture {
	char path[64];
	int fd;
};

static int fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	snprintf(f->path, sizeof(f->path), "/tmp/gctokend-state.XXXXXX");
	if (!mkdtemp(f->path) || (f->fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return -1;
	memset(&fault, 0, sizeof(fault));
	fault.directory_fd = f->fd;
	*state = f;
	return 0;
}

static int fixture_teardown(void **state)
{
	struct fixture *f = *state;
	DIR *directory = opendir(f->path);
	struct dirent *entry;

	fault.active = false;
	while (directory && (entry = readdir(directory)))
		unlinkat(f->fd, entry->d_name, 0);
	if (directory)
		closedir(directory);
	close(f->fd);
	rmdir(f->path);
	free(f);
	return 0;
}

static int entry_count(const struct fixture *f)
{
	DIR *directory = opendir(f->path);
	struct dirent *entry;
	int count = 0;

	assert_non_null(directory);
	while ((entry = readdir(directory)))
		count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	closedir(directory);
	return count;
}

static void assert_content(const struct fixture *f, const char *name, const char *expected)
{
	char *bytes;
	size_t length;

	assert_int_equal(state_read(f->path, name, &bytes, &length), 0);
	assert_int_equal(length, strlen(expected));
	assert_string_equal(bytes, expected);
	free(bytes);
}

static void test_order_of_a_durable_write(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	fault_arm(FAULT_NONE, 0, 0, 0);
	assert_int_equal(durable_write(f->fd, "mint", "new", 3), 0);
	assert_string_equal(fault.trace, "owfrd");
	assert_content(f, "mint", "new");
	assert_int_equal(entry_count(f), 1);
	assert_int_equal(fstatat(f->fd, "mint", &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
}

static void test_every_failing_call(void **state)
{
	static const struct {
		enum fault_kind kind;
		char call;
		int occurrence;
		int error;
		int expected;
		const char *trace;
		const char *content; /* NULL: either */
	} table[] = {
		{FAULT_ERROR, 'o', 0, EROFS, -EROFS, "o", "old"},
		{FAULT_ERROR, 'o', 0, EMFILE, -EMFILE, "o", "old"},
		{FAULT_ERROR, 'o', 0, ENOSPC, -ENOSPC, "o", "old"},
		{FAULT_ERROR, 'w', 0, ENOSPC, -ENOSPC, "ow", "old"},
		{FAULT_ERROR, 'w', 0, EDQUOT, -EDQUOT, "ow", "old"},
		{FAULT_ERROR, 'w', 1, EINTR, 0, "owwfrd", "fresh"},
		{FAULT_SHORT, 'w', 1, 0, 0, "owwfrd", "fresh"},
		{FAULT_SHORT, 'w', 0, 0, 0, "owwwwfrd", "fresh"},
		{FAULT_ERROR, 'w', 1, EIO, 0, "owowfrd", "fresh"},
		/* A failed fsync is never asked again: the bytes are written anew. */
		{FAULT_ERROR, 'f', 1, EIO, 0, "owfowfrd", "fresh"},
		{FAULT_ERROR, 'f', 0, EIO, -EIO, "owfowf", "old"},
		{FAULT_ERROR, 'f', 0, ENOSPC, -ENOSPC, "owf", "old"},
		{FAULT_ERROR, 'r', 0, EROFS, -EROFS, "owfr", "old"},
		{FAULT_ERROR, 'd', 1, EIO, 0, "owfrdowfrd", "fresh"},
		{FAULT_ERROR, 'd', 0, EIO, -EIO, "owfrdowfrd", NULL},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		fault.active = false;
		assert_int_equal(durable_write(f->fd, "mint", "old", 3), 0);
		fault_arm(table[i].kind, table[i].call, table[i].occurrence, table[i].error);
		assert_int_equal(durable_write(f->fd, "mint", "fresh", 5), table[i].expected);
		fault.active = false;
		assert_string_equal(fault.trace, table[i].trace);
		if (table[i].content)
			assert_content(f, "mint", table[i].content);
		assert_int_equal(entry_count(f), 1);
	}
}

static void test_process_killed_at_every_call(void **state)
{
	static const char calls[] = "owfrd";
	struct fixture *f = *state;

	for (const char *call = calls; *call; call++) {
		int status;
		pid_t child;

		assert_int_equal(durable_write(f->fd, "mint", "old", 3), 0);
		child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			fault_arm(FAULT_EXIT, *call, 0, 0);
			durable_write(f->fd, "mint", "fresh", 5);
			_exit(0);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 99);
		assert_content(f, "mint", *call == 'd' ? "fresh" : "old");
		/* What the dead one left is no obstacle to the next. */
		assert_int_equal(durable_write(f->fd, "mint", "next", 4), 0);
		assert_content(f, "mint", "next");
		assert_int_equal(entry_count(f), 1);
	}
}

static void test_symbolic_links_are_not_followed(void **state)
{
	struct fixture *f = *state;
	char *bytes = NULL;
	size_t length;

	assert_int_equal(symlinkat("/etc/passwd", f->fd, ".mint.tmp"), 0);
	assert_int_equal(symlinkat("/etc/passwd", f->fd, "mint"), 0);
	assert_int_equal(state_read(f->path, "mint", &bytes, &length), -ELOOP);
	assert_null(bytes);
	assert_int_equal(durable_write(f->fd, "mint", "new", 3), 0);
	assert_content(f, "mint", "new");
	assert_int_equal(entry_count(f), 1);
}

static void test_bad_names(void **state)
{
	static const char *const names[] = {"", ".", "..", ".hidden", "a/b", "/a", "../a"};
	struct fixture *f = *state;
	struct event_base *base = event_base_new();
	struct state_writer *w;
	char *bytes = NULL;
	size_t length;
	char name[DURABLE_NAME_MAX + 2];

	assert_int_equal(state_writer_new(&w, base, f->path, &holder), 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		assert_int_equal(state_write(w, names[i], "x", 1, NULL, NULL), -EINVAL);
		assert_int_equal(state_read(f->path, names[i], &bytes, &length), -EINVAL);
	}
	memset(name, 'n', sizeof(name) - 1);
	name[DURABLE_NAME_MAX + 1] = '\0';
	assert_int_equal(state_write(w, name, "x", 1, NULL, NULL), -EINVAL);
	name[DURABLE_NAME_MAX] = '\0';
	assert_int_equal(state_write(w, name, "x", 1, NULL, NULL), 0);
	state_writer_free(w);
	assert_content(f, name, "x");
	assert_null(bytes);
	event_base_free(base);
}

static void test_read(void **state)
{
	struct fixture *f = *state;
	const size_t limit = 1U << 20;
	char *big = calloc(1, limit + 1);
	char *bytes = NULL;
	size_t length = 77;

	assert_non_null(big);
	assert_int_equal(state_read(f->path, "none", &bytes, &length), -ENOENT);
	assert_int_equal(state_read("/nonexistent", "none", &bytes, &length), -ENOENT);
	assert_int_equal(mkfifoat(f->fd, "fifo", 0600), 0);
	assert_int_equal(state_read(f->path, "fifo", &bytes, &length), -EINVAL);
	assert_int_equal(durable_write(f->fd, "big", big, limit + 1), 0);
	assert_int_equal(state_read(f->path, "big", &bytes, &length), -EFBIG);
	assert_null(bytes);
	assert_int_equal(length, 77);

	big[limit - 1] = 'z';
	assert_int_equal(durable_write(f->fd, "big", big, limit), 0);
	assert_int_equal(state_read(f->path, "big", &bytes, &length), 0);
	assert_int_equal(length, limit);
	assert_memory_equal(bytes, big, limit + 1);
	free(bytes);
	free(big);

	assert_int_equal(durable_write(f->fd, "empty", "", 0), 0);
	assert_content(f, "empty", "");
}

static void count_name(void *context, const char *name)
{
	unsigned *counts = context;

	if (!strcmp(name, "one") || !strcmp(name, "two"))
		counts[0]++;
	else
		counts[1]++;
}

static void test_each(void **state)
{
	struct fixture *f = *state;
	unsigned counts[2] = {0, 0};

	assert_int_equal(state_each("/nonexistent", count_name, counts), -ENOENT);
	assert_int_equal(state_each(f->path, count_name, counts), 0);
	assert_int_equal(counts[0] + counts[1], 0);
	assert_int_equal(durable_write(f->fd, "one", "1", 1), 0);
	assert_int_equal(durable_write(f->fd, "two", "2", 1), 0);
	/* what a crash can leave behind is no state */
	assert_int_equal(mknodat(f->fd, ".two.tmp", S_IFREG | 0600, 0), 0);
	assert_int_equal(state_each(f->path, count_name, counts), 0);
	assert_int_equal(counts[0], 2);
	assert_int_equal(counts[1], 0);
}

static void test_directory(void **state)
{
	struct fixture *f = *state;
	struct event_base *base = event_base_new();
	struct state_writer *w = NULL;
	char path[128];
	struct stat st;

	snprintf(path, sizeof(path), "%s/made//", f->path);
	assert_int_equal(state_writer_new(&w, base, path, &holder), 0);
	state_writer_free(w);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0700);
	assert_int_equal(state_writer_new(&w, base, path, &holder), 0);
	state_writer_free(w);
	strcat(path, ".lock");
	assert_int_equal(unlink(path), 0);
	path[strlen(path) - strlen(".lock")] = '\0';
	assert_int_equal(rmdir(path), 0);

	w = NULL;
	snprintf(path, sizeof(path), "%s/missing/made", f->path);
	assert_int_equal(state_writer_new(&w, base, path, &holder), -ENOENT);
	assert_int_equal(durable_write(f->fd, "file", "x", 1), 0);
	snprintf(path, sizeof(path), "%s/file", f->path);
	assert_int_equal(state_writer_new(&w, base, path, &holder), -ENOTDIR);
	assert_null(w);
	state_writer_free(NULL);
	event_base_free(base);
}

#define WRITES 200

struct run {
	struct event_base *base;
	struct state_writer *writer;
	int order[WRITES];
	int done;
	int expected;
	int last_error;
	bool ticked;
};

struct ticket {
	struct run *run;
	int number;
};

static void write_done(void *context, int error)
{
	struct ticket *t = context;
	struct run *run = t->run;

	run->order[run->done++] = t->number;
	run->last_error = error;
	if (run->done == run->expected)
		event_base_loopbreak(run->base);
}

static void loop_limit(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	event_base_loopbreak(context);
}

static void run_loop(struct run *run)
{
	const struct timeval limit = {.tv_sec = 20};
	struct event *timeout = evtimer_new(run->base, loop_limit, run->base);

	assert_int_equal(evtimer_add(timeout, &limit), 0);
	assert_true(event_base_dispatch(run->base) >= 0);
	event_free(timeout);
}

static void run_init(struct run *run, const char *path)
{
	*run = (struct run){.base = event_base_new()};
	assert_non_null(run->base);
	assert_int_equal(state_writer_new(&run->writer, run->base, path, &holder), 0);
}

static void run_fini(struct run *run)
{
	state_writer_free(run->writer);
	event_base_free(run->base);
}

static void test_writes_are_done_and_told_in_order(void **state)
{
	struct fixture *f = *state;
	struct ticket tickets[WRITES];
	struct run run;
	char text[16];

	run_init(&run, f->path);
	run.expected = WRITES;
	for (int i = 0; i < WRITES; i++) {
		tickets[i] = (struct ticket){.run = &run, .number = i};
		snprintf(text, sizeof(text), "%d", i);
		assert_int_equal(state_write(run.writer, i % 2 ? "odd" : "even", text, strlen(text),
					 write_done, &tickets[i]),
			0);
	}
	memset(text, 'x', sizeof(text)); /* the bytes were copied */
	run_loop(&run);
	assert_int_equal(run.done, WRITES);
	assert_int_equal(run.last_error, 0);
	for (int i = 0; i < WRITES; i++)
		assert_int_equal(run.order[i], i);
	assert_content(f, "even", "198");
	assert_content(f, "odd", "199");
	run_fini(&run);
}

static void test_free_finishes_what_is_queued(void **state)
{
	struct fixture *f = *state;
	struct ticket ticket;
	struct run run;
	char name[16];

	run_init(&run, f->path);
	ticket = (struct ticket){.run = &run};
	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		assert_int_equal(
			state_write(run.writer, name, name, strlen(name), write_done, &ticket), 0);
	}
	run_fini(&run);
	assert_int_equal(run.done, 0);
	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		assert_content(f, name, name);
	}
}

static void test_failure_reaches_the_loop(void **state)
{
	struct fixture *f = *state;
	struct ticket ticket;
	struct run run;

	assert_int_equal(durable_write(f->fd, "mint", "old", 3), 0);
	run_init(&run, f->path);
	ticket = (struct ticket){.run = &run};
	run.expected = 1;
	fault_arm(FAULT_ERROR, 'w', 0, ENOSPC);
	assert_int_equal(state_write(run.writer, "mint", "fresh", 5, write_done, &ticket), 0);
	run_loop(&run);
	assert_int_equal(run.last_error, -ENOSPC);
	assert_content(f, "mint", "old");
	/* Room again: the next write goes through. */
	run.done = 0;
	fault.active = false;
	assert_int_equal(state_write(run.writer, "mint", "fresh", 5, write_done, &ticket), 0);
	run_loop(&run);
	assert_int_equal(run.last_error, 0);
	assert_content(f, "mint", "fresh");
	run_fini(&run);
}

static void write_again(void *context, int error)
{
	struct ticket *t = context;

	assert_int_equal(error, 0);
	assert_int_equal(state_write(t->run->writer, "second", "2", 1, write_done, t), 0);
}

static void test_callback_may_write(void **state)
{
	struct fixture *f = *state;
	struct ticket ticket;
	struct run run;

	run_init(&run, f->path);
	ticket = (struct ticket){.run = &run};
	run.expected = 1;
	assert_int_equal(state_write(run.writer, "first", "1", 1, write_again, &ticket), 0);
	run_loop(&run);
	assert_int_equal(run.done, 1);
	assert_content(f, "second", "2");
	run_fini(&run);
}

static void open_gate(evutil_socket_t fd, short what, void *context)
{
	struct run *run = context;

	(void)fd;
	(void)what;
	run->ticked = run->done == 0;
	assert_int_equal(sem_post(&gate), 0);
}

/* The fsync hangs until the loop has run a timer: a loop that waited for it would never end. */
static void test_hanging_disk_does_not_hold_up_the_loop(void **state)
{
	const struct timeval soon = {.tv_usec = 20000};
	struct fixture *f = *state;
	struct ticket ticket;
	struct event *timer;
	struct run run;

	assert_int_equal(sem_init(&gate, 0, 0), 0);
	run_init(&run, f->path);
	run.expected = 1;
	ticket = (struct ticket){.run = &run};
	fault_arm(FAULT_HANG, 'f', 1, 0);
	assert_int_equal(state_write(run.writer, "mint", "1", 1, write_done, &ticket), 0);
	timer = evtimer_new(run.base, open_gate, &run);
	assert_int_equal(evtimer_add(timer, &soon), 0);
	run_loop(&run);
	assert_true(run.ticked);
	assert_int_equal(run.done, 1);
	assert_int_equal(run.last_error, 0);
	event_free(timer);
	run_fini(&run);
	sem_destroy(&gate);
}

/* The thread's name, and its mask of blocked signals as /proc shows it. */
static bool thread_status(const char *id, char name[64], uint64_t *ret_blocked)
{
	char path[300], line[256];
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%s/status", id);
	file = fopen(path, "re");
	if (!file)
		return false;
	name[0] = '\0';
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "Name: %63s", name) == 1)
			continue;
		if (strncmp(line, "SigBlk:", 7) == 0) {
			*ret_blocked = strtoull(line + 7, NULL, 16);
			found = true;
		}
	}
	fclose(file);
	return found;
}

static void test_thread_takes_no_signals(void **state)
{
	/* All but KILL and STOP, and the two that the C library keeps for itself. */
	const uint64_t all = ~(UINT64_C(1) << 8 | UINT64_C(1) << 18 | UINT64_C(3) << 31);
	struct fixture *f = *state;
	struct dirent *entry;
	struct run run;
	int found = 0;
	DIR *tasks;

	run_init(&run, f->path);
	tasks = opendir("/proc/self/task");
	assert_non_null(tasks);
	while ((entry = readdir(tasks))) {
		uint64_t blocked;
		char name[64];

		if (!thread_status(entry->d_name, name, &blocked))
			continue;
		if (strcmp(name, "state-writer") == 0) {
			assert_int_equal(blocked & all, all);
			found++;
		} else {
			assert_int_not_equal(blocked & all, all);
		}
	}
	closedir(tasks);
	assert_int_equal(found, 1);
	run_fini(&run);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

static void was_read(void *context, int error, const char *bytes, size_t length)
{
	char *text = context;

	snprintf(text, 32, "%d %.*s", error, bytes ? (int)length : 0, bytes ? bytes : "");
}

static void stop_loop(void *context, int error)
{
	assert_int_equal(error, 0);
	event_base_loopbreak(context);
}

static void test_kept_removed_and_read_in_order(void **state)
{
	struct fixture *f = *state;
	struct run run;
	char first[32], second[32];

	run_init(&run, f->path);
	assert_int_equal(state_write(run.writer, "a", "old", 3, NULL, NULL), 0);
	assert_int_equal(state_read_later(run.writer, "a", was_read, first), 0);
	/* what cannot be read is not overwritten */
	assert_int_equal(state_write_keeping(run.writer, "a", "a.kept", "new", 3, NULL, NULL), 0);
	assert_int_equal(state_write(run.writer, "b", "gone", 4, NULL, NULL), 0);
	assert_int_equal(state_remove(run.writer, "b", NULL, NULL), 0);
	assert_int_equal(state_read_later(run.writer, "b", was_read, second), 0);
	assert_int_equal(state_remove(run.writer, "b", stop_loop, run.base), 0);
	assert_int_equal(
		state_write_keeping(run.writer, "a", "../kept", "x", 1, NULL, NULL), -EINVAL);
	assert_int_equal(state_remove(run.writer, ".a", NULL, NULL), -EINVAL);
	assert_int_equal(state_read_later(run.writer, "", was_read, first), -EINVAL);
	run_loop(&run);
	run_fini(&run);
	assert_string_equal(first, "0 old");
	snprintf(first, sizeof(first), "%d ", -ENOENT);
	assert_string_equal(second, first);
	assert_content(f, "a", "new");
	assert_content(f, "a.kept", "old");
	assert_int_equal(durable_keep(f->fd, "a", "a.kept"), -EEXIST);
	assert_content(f, "a", "new");
	assert_int_equal(durable_keep(f->fd, "none", "kept"), 0);
}

/* What another process is told that wants the directory; 0: it gets it. */
static int ask_as_another(const struct fixture *f, pid_t *ret_pid)
{
	int results[2], result[2] = {0};
	pid_t child;

	assert_return_code(pipe(results), errno);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		struct event_base *base = event_base_new();
		struct state_writer *w;
		pid_t pid = 0;

		result[0] = state_writer_new(&w, base, f->path, &pid);
		result[1] = (int)pid;
		_exit(write(results[1], result, sizeof(result)) != sizeof(result));
	}
	assert_int_equal(read(results[0], result, sizeof(result)), sizeof(result));
	assert_int_equal(waitpid(child, NULL, 0), child);
	close(results[0]);
	close(results[1]);
	*ret_pid = result[1];
	return result[0];
}

/* Nor is it kept by a process that has the same files, and does not end. */
static void test_one_at_a_time(void **state)
{
	struct fixture *f = *state;
	struct event_base *base = event_base_new();
	struct state_writer *one;
	pid_t pid = 0, remains;

	assert_int_equal(ask_as_another(f, &pid), 0);
	assert_int_equal(state_writer_new(&one, base, f->path, &pid), 0);
	assert_int_equal(ask_as_another(f, &pid), -EBUSY);
	assert_int_equal(pid, getpid());
	remains = fork();
	assert_true(remains >= 0);
	if (!remains)
		for (;;)
			pause();
	assert_int_equal(ask_as_another(f, &pid), -EBUSY);
	state_writer_free(one);
	assert_int_equal(ask_as_another(f, &pid), 0);
	assert_return_code(kill(remains, SIGKILL), errno);
	assert_int_equal(waitpid(remains, NULL, 0), remains);
	event_base_free(base);
}

/* A directory in the fixture's, and a writer to it. */
struct moving {
	struct fixture at, away; /* without descriptors */
	struct run run;
	int replaced;
	int done_before; /* when the latest was told of */
};

static void count_replaced(void *context)
{
	struct moving *m = context;

	m->replaced++;
	m->done_before = m->run.done;
}

static int write_moving(struct moving *m, const char *text)
{
	struct ticket ticket = {.run = &m->run};

	m->run.done = 0;
	m->run.expected = 1;
	assert_int_equal(
		state_write(m->run.writer, "file", text, strlen(text), write_done, &ticket), 0);
	run_loop(&m->run);
	return m->run.last_error;
}

static void empty_and_remove(const char *path)
{
	DIR *directory = opendir(path);
	struct dirent *entry;

	while (directory && (entry = readdir(directory)))
		unlinkat(dirfd(directory), entry->d_name, 0);
	if (directory)
		closedir(directory);
	rmdir(path);
}

static void moving_init(struct moving *m, const struct fixture *f)
{
	*m = (struct moving){.replaced = 0};
	snprintf(m->at.path, sizeof(m->at.path), "%.40s/state", f->path);
	snprintf(m->away.path, sizeof(m->away.path), "%.40s/away", f->path);
	run_init(&m->run, m->at.path);
	state_writer_set_hook(m->run.writer, count_replaced, m);
	assert_int_equal(write_moving(m, "one"), 0);
	assert_content(&m->at, "file", "one");
}

static void moving_fini(struct moving *m)
{
	run_fini(&m->run);
	empty_and_remove(m->at.path);
	empty_and_remove(m->away.path);
}

static void test_a_directory_in_the_place_of_the_first(void **state)
{
	struct moving m;
	pid_t pid;

	moving_init(&m, *state);
	/* where there is none it may come back */
	assert_return_code(rename(m.at.path, m.away.path), errno);
	assert_int_equal(write_moving(&m, "two"), 0);
	assert_content(&m.away, "file", "two");
	assert_int_equal(m.replaced, 0);
	/* one that others can change is none */
	assert_return_code(mkdir(m.at.path, 0700), errno);
	assert_return_code(chmod(m.at.path, 0777), errno);
	assert_int_equal(write_moving(&m, "three"), -EPERM);
	assert_int_equal(m.replaced, 0);
	assert_return_code(chmod(m.at.path, 0700), errno);
	assert_int_equal(write_moving(&m, "four"), 0);
	assert_content(&m.at, "file", "four");
	assert_int_equal(m.replaced, 1);
	assert_int_equal(ask_as_another(&m.at, &pid), -EBUSY);
	assert_int_equal(write_moving(&m, "five"), 0);
	assert_int_equal(m.replaced, 1);
	/* the first one comes back */
	empty_and_remove(m.at.path);
	assert_return_code(rename(m.away.path, m.at.path), errno);
	assert_int_equal(write_moving(&m, "six"), 0);
	assert_content(&m.at, "file", "six");
	assert_int_equal(m.replaced, 2);
	assert_int_equal(ask_as_another(&m.at, &pid), -EBUSY);
	moving_fini(&m);
}

static void test_a_directory_that_was_removed(void **state)
{
	struct moving m;
	pid_t pid;

	moving_init(&m, *state);
	empty_and_remove(m.at.path);
	assert_int_equal(write_moving(&m, "two"), 0);
	assert_content(&m.at, "file", "two");
	assert_int_equal(m.replaced, 1);
	/* ahead of the write that found it */
	assert_int_equal(m.done_before, 0);
	assert_int_equal(ask_as_another(&m.at, &pid), -EBUSY);
	moving_fini(&m);
}

/* Two daemons must not write to one, however it came to its place. */
static void test_a_directory_that_another_has(void **state)
{
	struct moving m;
	struct run other = {0};

	moving_init(&m, *state);
	assert_return_code(rename(m.at.path, m.away.path), errno);
	{
		int ready[2];
		pid_t child;
		char byte;

		assert_return_code(pipe(ready), errno);
		child = fork();
		assert_true(child >= 0);
		if (!child) {
			run_init(&other, m.at.path);
			if (write(ready[1], "x", 1) == 1)
				pause();
			_exit(1);
		}
		assert_int_equal(read(ready[0], &byte, 1), 1);
		assert_int_equal(write_moving(&m, "two"), -EBUSY);
		assert_int_equal(m.replaced, 0);
		assert_return_code(kill(child, SIGKILL), errno);
		assert_int_equal(waitpid(child, NULL, 0), child);
		close(ready[0]);
		close(ready[1]);
	}
	assert_int_equal(write_moving(&m, "three"), 0);
	assert_int_equal(m.replaced, 1);
	moving_fini(&m);
}

static void test_what_a_crash_left(void **state)
{
	struct fixture *f = *state;
	size_t length;
	char *bytes;

	assert_int_equal(durable_read_unfinished(f->fd, "a", &bytes, &length), -ENOENT);
	assert_int_equal(durable_write(f->fd, ".a.tmp", "x", 1), -EINVAL);
	assert_int_equal(durable_write(f->fd, "a", "left", 4), 0);
	assert_int_equal(renameat(f->fd, "a", f->fd, ".a.tmp"), 0);
	assert_int_equal(durable_read_unfinished(f->fd, "a", &bytes, &length), 0);
	assert_int_equal(length, 4);
	assert_memory_equal(bytes, "left", 4);
	free(bytes);
	assert_int_equal(durable_finish(f->fd, ".a.tmp"), -EINVAL);
	assert_int_equal(durable_finish(f->fd, "b"), -ENOENT);
	assert_int_equal(durable_finish(f->fd, "a"), 0);
	assert_int_equal(durable_read_unfinished(f->fd, "a", &bytes, &length), -ENOENT);
	assert_int_equal(durable_read(f->fd, "a", &bytes, &length), 0);
	assert_memory_equal(bytes, "left", 4);
	free(bytes);
	assert_int_equal(renameat(f->fd, "a", f->fd, ".a.tmp"), 0);
	/* and a removal removes it */
	assert_int_equal(durable_remove(f->fd, "a"), 0);
	assert_int_equal(durable_read_unfinished(f->fd, "a", &bytes, &length), -ENOENT);
}

static struct stat stat_of(const struct fixture *f, const char *name)
{
	struct stat st;

	assert_int_equal(fstatat(f->fd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st;
}

static void test_room_is_set_aside_for_the_next_write(void **state)
{
	struct fixture *f = *state;
	struct stat room;
	struct run run;

	assert_int_equal(durable_reserve(f->fd, ".a", 16384), -EINVAL);
	for (int i = 0; i < 2; i++) { /* a second time is once */
		assert_int_equal(durable_reserve(f->fd, "a", 16384), 0);
		room = stat_of(f, ".a.tmp");
		assert_int_equal(room.st_size, 0);
		assert_int_equal(room.st_mode & 07777, 0600);
		if (room.st_blocks) /* file systems that can */
			assert_true(room.st_blocks * 512 >= 16384);
	}
	assert_int_equal(durable_write(f->fd, "a", "new", 3), 0);
	assert_content(f, "a", "new");
	assert_int_equal(stat_of(f, "a").st_ino, room.st_ino);
	assert_int_equal(entry_count(f), 1);

	/* what another write left is none, nor what has another name as well */
	assert_int_equal(durable_write(f->fd, "b", "left", 4), 0);
	assert_int_equal(renameat(f->fd, "b", f->fd, ".a.tmp"), 0);
	assert_int_equal(durable_reserve(f->fd, "a", 16384), 0);
	assert_int_equal(stat_of(f, ".a.tmp").st_size, 0);
	assert_int_equal(linkat(f->fd, ".a.tmp", f->fd, "other", 0), 0);
	assert_int_equal(durable_write(f->fd, "a", "newer", 5), 0);
	assert_content(f, "a", "newer");
	assert_content(f, "other", "");

	/* in the order with the others */
	run_init(&run, f->path);
	assert_int_equal(state_reserve(run.writer, "../a", 1, NULL, NULL), -EINVAL);
	assert_int_equal(state_write(run.writer, "c", "c", 1, NULL, NULL), 0);
	assert_int_equal(state_reserve(run.writer, "c", 16384, NULL, NULL), 0);
	assert_int_equal(state_remove(run.writer, "a", stop_loop, run.base), 0);
	run_loop(&run);
	run_fini(&run);
	assert_content(f, "c", "c");
	assert_int_equal(stat_of(f, ".c.tmp").st_size, 0);
	assert_int_equal(durable_remove(f->fd, "c"), 0);
	assert_int_equal(faccessat(f->fd, ".c.tmp", F_OK, 0), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FIXTURE(test_room_is_set_aside_for_the_next_write),
		WITH_FIXTURE(test_order_of_a_durable_write),
		WITH_FIXTURE(test_every_failing_call),
		WITH_FIXTURE(test_process_killed_at_every_call),
		WITH_FIXTURE(test_symbolic_links_are_not_followed),
		WITH_FIXTURE(test_bad_names),
		WITH_FIXTURE(test_read),
		WITH_FIXTURE(test_each),
		WITH_FIXTURE(test_directory),
		WITH_FIXTURE(test_writes_are_done_and_told_in_order),
		WITH_FIXTURE(test_free_finishes_what_is_queued),
		WITH_FIXTURE(test_kept_removed_and_read_in_order),
		WITH_FIXTURE(test_one_at_a_time),
		WITH_FIXTURE(test_a_directory_in_the_place_of_the_first),
		WITH_FIXTURE(test_a_directory_that_was_removed),
		WITH_FIXTURE(test_a_directory_that_another_has),
		WITH_FIXTURE(test_what_a_crash_left),
		WITH_FIXTURE(test_failure_reaches_the_loop),
		WITH_FIXTURE(test_callback_may_write),
		WITH_FIXTURE(test_hanging_disk_does_not_hold_up_the_loop),
		WITH_FIXTURE(test_thread_takes_no_signals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
