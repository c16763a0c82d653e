/* Processes: how long one takes from its start to its end, or to be replaced by the next. */
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Those that go to the process as its descriptors from 3 on: LOAD_PASS=20,21 in the environment. */
static int passed[8];
static int passed_count;

static void read_passed(void)
{
	const char *text = getenv("LOAD_PASS");

	while (text && *text && passed_count < 8) {
		char *end;

		int fd = (int)strtol(text, &end, 10);

		/* out of the way of the numbers that they are to get */
		passed[passed_count] = fcntl(fd, F_DUPFD_CLOEXEC, 100);
		if (passed[passed_count++] < 0)
			load_fail("LOAD_PASS");
		close(fd);
		text = *end == ',' ? end + 1 : end;
	}
	unsetenv("LOAD_PASS");
}

static pid_t start(char **command, bool with_stderr)
{
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int r;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	if (!with_stderr)
		posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	for (int i = 0; i < passed_count; i++)
		posix_spawn_file_actions_adddup2(&actions, passed[i], 3 + i);
	r = posix_spawnp(&pid, command[0], &actions, NULL, command, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (r) {
		errno = r;
		load_fail(command[0]);
	}
	return pid;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void report_median(uint64_t *taken, unsigned count)
{
	qsort(taken, count, sizeof(*taken), compare);
	printf("p50 %llu\n", (unsigned long long)taken[count / 2]);
}

int load_spawn(const struct options *o)
{
	uint64_t *taken = calloc(o->connections, sizeof(*taken));

	if (!taken || !o->connections)
		load_fail("spawn");
	for (unsigned i = 0; i < o->connections; i++) {
		uint64_t begun = load_now();
		pid_t pid = start(o->targets, true);
		int status;

		if (waitpid(pid, &status, 0) != pid || status) {
			errno = EINVAL;
			load_fail("the command failed");
		}
		taken[i] = load_now() - begun;
	}
	report_median(taken, o->connections);
	return 0;
}

/* Sent to the socket that outlives its servers; the answer is read later. */
static int asked(const struct options *o, const struct request *request)
{
	int fd = load_connect(o->socket);

	if (fd < 0)
		load_fail(o->socket);
	load_send(fd, request->bytes, request->length);
	return fd;
}

static void answered(int fd)
{
	if (!load_read_answer(HTTP, fd))
		load_fail("no answer");
	close(fd);
}

static void ended(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || status) {
		errno = EINVAL;
		load_fail("the server did not end well");
	}
}

/* How long nobody may be answered while `pid` is told to end and another takes its place; a request
 * that comes meanwhile waits in the socket's queue, whichever of them answers it. */
static uint64_t until_restarted(const struct options *o, const struct request *request, pid_t *pid)
{
	uint64_t begun = load_now();
	int first, last;

	kill(*pid, SIGTERM);
	first = asked(o, request);
	ended(*pid);
	last = asked(o, request);
	*pid = start(o->targets + 2, false);
	answered(last);
	begun = load_now() - begun;
	answered(first);
	return begun;
}

int load_restart(const struct options *o)
{
	uint64_t *taken = calloc(o->connections, sizeof(*taken));
	struct request *requests = load_requests(o);
	pid_t pid;

	if (!taken || !o->connections)
		load_fail("restart");
	read_passed();
	pid = start(o->targets + 2, false);
	answered(asked(o, requests));
	for (unsigned i = 0; i < o->connections; i++)
		taken[i] = until_restarted(o, requests, &pid);
	report_median(taken, o->connections);
	kill(pid, SIGTERM);
	ended(pid);
	return 0;
}
