#include "interrupt.h"

#include <errno.h>
#include <stddef.h>
#include <sys/signalfd.h>
#include <unistd.h>

int interrupt_begin(struct interrupt *ret)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	sigset_t held;
	size_t i;

	sigemptyset(&held);
	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		struct sigaction action;

		/* Held, an ignored one would show as well: nohup would not help any more. */
		if (!sigaction(signals[i], NULL, &action) && action.sa_handler != SIG_IGN)
			sigaddset(&held, signals[i]);
	}
	if (sigprocmask(SIG_BLOCK, &held, &ret->before))
		return -errno;
	ret->fd = signalfd(-1, &held, SFD_CLOEXEC | SFD_NONBLOCK);
	if (ret->fd < 0) {
		int error = -errno;

		sigprocmask(SIG_SETMASK, &ret->before, NULL);
		return error;
	}
	return 0;
}

void interrupt_end(struct interrupt *i)
{
	close(i->fd);
	i->fd = -1;
	sigprocmask(SIG_SETMASK, &i->before, NULL);
}
