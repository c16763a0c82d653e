#include "doctor_program.h"

#include "helper.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_MAX (4 * 1024 * 1024)
/* Where systemd has the credentials of the service while it runs. */
#define CREDENTIALS "/run/credentials/gctokend.service"

/* The child's part. */
static void become_daemon(const char *program, const char *config_file, const char *option,
	bool with_errors, int output)
{
	int errors = with_errors ? output : open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (dup2(output, STDOUT_FILENO) < 0 || dup2(errors, STDERR_FILENO) < 0)
		return;
	if (!access(CREDENTIALS, X_OK))
		setenv("CREDENTIALS_DIRECTORY", CREDENTIALS, 0);
	execl(program, "gctokend", "-c", config_file, option, (char *)NULL);
}

int doctor_run_daemon(
	const char *config_file, const char *option, bool with_errors, char **ret_text)
{
	char program[PATH_MAX];
	size_t length = 0;
	char *text = malloc(OUTPUT_MAX);
	int ends[2], status = -1;
	ssize_t n;
	pid_t pid;

	helper_find("../daemon/gctokend", GCTOKEND_PATH, program);
	if (!text || access(program, X_OK) || pipe2(ends, O_CLOEXEC)) {
		free(text);
		return -1;
	}
	fflush(stdout);
	pid = fork();
	if (!pid) {
		become_daemon(program, config_file, option, with_errors, ends[1]);
		_exit(127);
	}
	close(ends[1]);
	while (pid > 0 && length < OUTPUT_MAX - 1 &&
		((n = read(ends[0], text + length, OUTPUT_MAX - 1 - length)) > 0 ||
			(n < 0 && errno == EINTR)))
		length += n > 0 ? (size_t)n : 0;
	close(ends[0]);
	text[length] = '\0';
	if (pid > 0)
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
	*ret_text = text;
	return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) != 127 ? WEXITSTATUS(status)
									  : -1;
}
