#include "browser.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORDS_MAX 16

/* In the child of a child: never returns. */
__attribute__((noreturn)) static void become(char **words, int report_fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t none;

	/* What browsers print does not belong between the lines of this command. */
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execvp(words[0], words);
	/* The pipe closes by itself where there is a browser now. */
	if (write(report_fd, "x", 1) < 0)
		_exit(126);
	_exit(127);
}

/* Away from this terminal and its process group, so that Ctrl-C here ends no browser; and an
 * orphan, so that nobody has to wait for it. */
static bool start(char **words)
{
	int report[2];
	pid_t child;
	char byte;
	ssize_t n;

	if (pipe2(report, O_CLOEXEC))
		return false;
	child = fork();
	if (child == 0) {
		pid_t grandchild;

		setsid();
		grandchild = fork();
		if (grandchild == 0)
			become(words, report[1]);
		_exit(grandchild < 0 ? 1 : 0);
	}
	close(report[1]);
	if (child < 0) {
		close(report[0]);
		return false;
	}
	do {
		n = read(report[0], &byte, 1);
	} while (n < 0 && errno == EINTR);
	close(report[0]);
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	return n == 0;
}

/* "firefox --new-window %s": words with blanks between them, the URL in the place of %s or last. */
static bool start_command(char *command, char *url)
{
	char *words[WORDS_MAX + 2], *word, *rest = NULL;
	bool placed = false;
	size_t count = 0;

	for (word = strtok_r(command, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		if (count == WORDS_MAX)
			return false;
		if (!strcmp(word, "%s") && count) {
			words[count++] = url;
			placed = true;
		} else {
			words[count++] = word;
		}
	}
	if (!count)
		return false;
	if (!placed)
		words[count++] = url;
	words[count] = NULL;
	return start(words);
}

static bool is_set(const char *variable)
{
	const char *value = getenv(variable);

	return value && *value;
}

bool browser_open(const char *address, struct browser_file *ret)
{
	struct browser_file file = BROWSER_FILE_NONE;
	/* A copy, which is cut into words. */
	char *list = strdup(is_set("BROWSER") ? getenv("BROWSER") : "xdg-open");
	char *command, *rest = NULL;
	bool started = false;

	if (list && (is_set("BROWSER") || is_set("DISPLAY") || is_set("WAYLAND_DISPLAY")) &&
		!browser_file_make(&file, address))
		for (command = strtok_r(list, ":", &rest); command && !started;
			command = strtok_r(NULL, ":", &rest))
			started = start_command(command, file.url);
	free(list);
	if (started)
		*ret = file;
	else
		browser_file_remove(&file);
	return started;
}
