#include "watch_child.h"

#include "cli.h"
#include "output.h"
#include "token_json.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const int passed[] = {SIGTERM, SIGHUP, SIGINT};

#define PASSED_COUNT (sizeof(passed) / sizeof(passed[0]))

/* A signal handler has nothing but globals. */
static volatile pid_t child;
static volatile sig_atomic_t received;

static void pass_on(int number)
{
	int error = errno;

	received = number;
	if (number != SIGINT)
		kill(child, number);
	errno = error;
}

/* Signals that were ignored when this process was started (nohup) stay so. */
static void take_signals(struct sigaction *ret_before)
{
	const struct sigaction action = {.sa_handler = pass_on};
	size_t i;

	for (i = 0; i < PASSED_COUNT; i++) {
		sigaction(passed[i], NULL, &ret_before[i]);
		if (ret_before[i].sa_handler != SIG_IGN)
			sigaction(passed[i], &action, NULL);
	}
}

static void give_back_signals(const struct sigaction *before)
{
	size_t i;

	for (i = 0; i < PASSED_COUNT; i++)
		sigaction(passed[i], &before[i], NULL);
}

static void become_command(
	const char *command, const struct token_parts *token, const sigset_t *mask)
{
	int null = open("/dev/null", O_RDONLY);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || token_environment_set(token))
		_exit(126);
	if (null != STDIN_FILENO)
		close(null);
	sigprocmask(SIG_SETMASK, mask, NULL);
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(127);
}

static int tell_end(int status)
{
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	if (WIFEXITED(status))
		complain("watch: the command exited with %d", WEXITSTATUS(status));
	else
		complain("watch: the command was ended by signal %d (%s)", WTERMSIG(status),
			strsignal(WTERMSIG(status)));
	return -1;
}

int watch_child_run(const char *command, const struct token_parts *token)
{
	struct sigaction before[PASSED_COUNT];
	sigset_t blocked, mask;
	int status = 0;
	size_t i;
	pid_t pid;

	/* Until the handlers stand and know the child nothing may arrive, and not again between
	 * the child's end and their leaving. */
	sigemptyset(&blocked);
	for (i = 0; i < PASSED_COUNT; i++)
		sigaddset(&blocked, passed[i]);
	sigprocmask(SIG_BLOCK, &blocked, &mask);
	received = 0;
	pid = fork();
	if (pid < 0) {
		complain("watch: the command cannot be run: %s", strerror(errno));
		sigprocmask(SIG_SETMASK, &mask, NULL);
		return -1;
	}
	if (!pid)
		become_command(command, token, &mask);
	child = pid;
	take_signals(before);
	for (;;) {
		siginfo_t info;

		/* The child is not reaped while a handler might still send to its number. */
		sigprocmask(SIG_SETMASK, &mask, NULL);
		if (!waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) || errno != EINTR)
			break;
	}
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	give_back_signals(before);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	status = tell_end(status);
	if (received)
		raise(received); /* arrives with the mask */
	sigprocmask(SIG_SETMASK, &mask, NULL);
	return status;
}
