/* Where log records go. The journal's socket is spoken to directly: sd_journal_sendv may block when
 * journald hangs, and the loop must not. The same care applies to stderr, whose O_NONBLOCK flag is
 * not ours to set: the file description is shared with whoever started us, often a shell. So a
 * socket is written with MSG_DONTWAIT, a pipe or terminal is opened again through /proc (a
 * description of our own, non-blocking), and where that is refused poll() asks for room first,
 * which is exact as long as we are the only writer. */
#include "log.h"
#include "log_format.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum way {
	WAY_POLL, /* stderr itself, after asking whether there is room */
	WAY_SOCKET,
	WAY_FILE, /* a regular file, or our own non-blocking description */
	WAY_NONE, /* started with stderr closed: whatever gets that number later is not a log */
};

/* A process has one standard error and one journal: the one state that is global by nature. */
static struct {
	atomic_int max_priority;
	atomic_uint lost;
	enum way way;
	int fd;         /* what is written to: 2, or our own description of the same file */
	int journal_fd; /* -1: standard error is not the journal */
} sink = {.max_priority = LOG_INFO, .fd = STDERR_FILENO, .journal_fd = -1};

static const struct sockaddr_un journal_address = {
	.sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/socket"};

/* systemd sets JOURNAL_STREAM for whatever it starts; only if the numbers are those of our standard
 * error has nobody redirected it since. */
static bool stderr_is_journal(const struct stat *st)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	int end = 0;

	if (!stream || sscanf(stream, "%llu:%llu%n", &device, &inode, &end) != 2 || stream[end])
		return false;
	return device == st->st_dev && inode == st->st_ino;
}

void log_open(int max_priority)
{
	struct stat st;

	log_set_level(max_priority);
	signal(SIGPIPE, SIG_IGN);
	if (sink.journal_fd >= 0)
		close(sink.journal_fd);
	if (sink.fd != STDERR_FILENO)
		close(sink.fd);
	sink.journal_fd = -1;
	sink.fd = STDERR_FILENO;
	sink.way = WAY_POLL;
	if (fstat(STDERR_FILENO, &st) < 0) {
		sink.way = WAY_NONE;
		return;
	}
	if (S_ISSOCK(st.st_mode)) {
		sink.way = WAY_SOCKET;
		if (stderr_is_journal(&st))
			sink.journal_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	} else if (S_ISREG(st.st_mode)) {
		sink.way = WAY_FILE;
	} else {
		int fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

		if (fd >= 0) {
			sink.fd = fd;
			sink.way = WAY_FILE;
		}
	}
}

void log_set_level(int max_priority)
{
	atomic_store_explicit(&sink.max_priority, max_priority, memory_order_relaxed);
}

static bool journal_send(const struct log_record *r)
{
	char datagram[LOG_RECORD_MAX];
	size_t length = log_format_journal(r, datagram);

	return sendto(sink.journal_fd, datagram, length, MSG_DONTWAIT | MSG_NOSIGNAL,
		       (const struct sockaddr *)&journal_address, sizeof(journal_address)) >= 0;
}

static bool stderr_write(const struct log_record *r)
{
	char line[LOG_RECORD_MAX];
	size_t length = log_format_line(r, line);
	struct pollfd room = {.fd = sink.fd, .events = POLLOUT};

	switch (sink.way) {
	case WAY_SOCKET:
		return send(sink.fd, line, length, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
	case WAY_POLL:
		if (poll(&room, 1, 0) != 1 || !(room.revents & POLLOUT))
			return false;
		break;
	case WAY_FILE:
		break;
	case WAY_NONE:
		return true;
	}
	return write(sink.fd, line, length) >= 0;
}

static bool record_send(const struct log_record *r)
{
	/* journald keeps the stream of standard error over its own restarts, when its socket is
	 * not there for a moment. */
	return (sink.journal_fd >= 0 && journal_send(r)) || stderr_write(r);
}

static void record_log(const struct log_record *r)
{
	unsigned lost = atomic_exchange_explicit(&sink.lost, 0, memory_order_relaxed);

	if (lost > 0) {
		char text[64];
		struct log_record notice = {.priority = LOG_WARNING, .message = text};

		snprintf(text, sizeof(text), "%u log lines before this one were lost", lost);
		if (!record_send(&notice)) {
			atomic_fetch_add_explicit(&sink.lost, lost + 1, memory_order_relaxed);
			return;
		}
	}
	if (!record_send(r))
		atomic_fetch_add_explicit(&sink.lost, 1, memory_order_relaxed);
}

static bool is_wanted(int priority)
{
	return (priority & 7) <= atomic_load_explicit(&sink.max_priority, memory_order_relaxed);
}

void log_line(int priority, const char *format, ...)
{
	char message[LOG_RECORD_MAX];
	struct log_record r = {.priority = priority, .message = message};
	va_list arguments;

	if (!is_wanted(priority))
		return;
	va_start(arguments, format);
	if (vsnprintf(message, sizeof(message), format, arguments) < 0)
		r.message = format;
	va_end(arguments);
	record_log(&r);
}

void log_event(int priority, const char *message_id, const char *profile, uint64_t generation,
	const char *message)
{
	struct log_record r = {.priority = priority,
		.message_id = message_id,
		.profile = profile,
		.generation = generation,
		.message = message};

	if (is_wanted(priority))
		record_log(&r);
}
