#include "secret_line.h"

#include "../clocks.h"
#include "interrupt.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <termios.h>
#include <unistd.h>

/* Keys of a terminal that is not read line by line. */
enum { KEY_END = 'D' & 31, KEY_BACK = 'H' & 31, KEY_CLEAR = 'U' & 31, KEY_DELETE = 127 };

/* Not line by line, since a terminal's lines end at 4095 bytes, and an address may be longer. */
static bool terminal_hide(struct termios *ret_before)
{
	struct termios now;

	if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, ret_before))
		return false;
	now = *ret_before;
	now.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ECHONL);
	now.c_cc[VMIN] = 1;
	now.c_cc[VTIME] = 0;
	/* Stopped by Ctrl-Z it would leave the shell without echo. */
	now.c_cc[VSUSP] = _POSIX_VDISABLE;
	/* What was typed before is kept: a paste may come before the question. */
	return !tcsetattr(STDIN_FILENO, TCSADRAIN, &now);
}

/* One byte; 0 at the end of the input. */
static ssize_t read_byte(char *ret, int64_t deadline_ms, const struct interrupt *stop)
{
	for (;;) {
		struct pollfd p[] = {
			{.fd = stop->fd, .events = POLLIN},
			{.fd = STDIN_FILENO, .events = POLLIN},
		};
		int64_t left = deadline_ms - gctoken_monotonic_ms();
		ssize_t n;

		if (left <= 0)
			return -ETIMEDOUT;
		if (poll(p, 2, left > 60000 ? 60000 : (int)left) < 0 && errno != EINTR)
			return -errno;
		if (p[0].revents)
			return -EINTR;
		if (!p[1].revents)
			continue;
		n = read(STDIN_FILENO, ret, 1);
		if (n >= 0)
			return n;
		if (errno != EINTR && errno != EAGAIN)
			return -errno;
	}
}

static int read_line(char *ret, size_t size, int64_t deadline_ms, const struct interrupt *stop,
	bool typed, size_t *ret_length)
{
	size_t length = 0;

	for (;;) {
		char c;
		ssize_t n = read_byte(&c, deadline_ms, stop);

		if (n < 0)
			return (int)n;
		if (!n || (typed && c == KEY_END)) {
			if (!length)
				return -ENODATA;
			break;
		}
		if (c == '\n' || (typed && c == '\r'))
			break;
		if (typed && (c == KEY_BACK || c == KEY_DELETE)) {
			length -= length > 0;
		} else if (typed && c == KEY_CLEAR) {
			length = 0;
		} else {
			if (length == size)
				return -EMSGSIZE;
			ret[length++] = c;
		}
	}
	*ret_length = length;
	return 0;
}

int secret_line_read(char *ret, size_t size, int64_t deadline_ms, const struct interrupt *stop,
	size_t *ret_length)
{
	struct termios before;
	bool hidden = terminal_hide(&before);
	int error = read_line(ret, size, deadline_ms, stop, hidden, ret_length);

	/* What is left of a rejected paste must not reach the shell either. */
	if (hidden)
		tcsetattr(STDIN_FILENO, error ? TCSAFLUSH : TCSADRAIN, &before);
	return error;
}
