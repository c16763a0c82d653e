/* Loaded into a daemon, to do what somebody would who has taken it over: at SIGUSR2 it tries to
 * become a shell. What the kernel says to that goes to standard error. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static void become_a_shell(int number)
{
	char said[] = "exec: errno 00\n";

	(void)number;
	execl("/bin/sh", "sh", "-c", "echo 'exec: a shell' >&2", (char *)NULL);
	said[12] = (char)('0' + errno / 10 % 10);
	said[13] = (char)('0' + errno % 10);
	if (write(STDERR_FILENO, said, sizeof(said) - 1) < 0)
		_exit(1);
}

__attribute__((constructor)) static void prepare(void)
{
	unsetenv("LD_PRELOAD"); /* the shell, if it comes to that, needs none */
	signal(SIGUSR2, become_a_shell);
}
