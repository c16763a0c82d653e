#include "passing.h"

#include "core/secret.h"
#include "reaper.h"
#include "toll.h"
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOOK_SIZE 16384
/* What to read them costs, and each call, be it for a single byte. */
#define BYTES_READ_PER_US 2
#define CALL_US 2

/* Headers are older than kernels. */
#if !defined(SO_PASSRIGHTS) && !defined(__sparc__) && !defined(__hppa__)
#define SO_PASSRIGHTS 83
#endif

static bool set(int fd, int option, int value)
{
	return setsockopt(fd, SOL_SOCKET, option, &value, sizeof(value)) == 0;
}

bool passing_forbid(int listening_fd)
{
	/* A service manager may have been told to ask for these. They would come with every byte
	 * and look like a descriptor. */
	set(listening_fd, SO_PASSCRED, 0);
	set(listening_fd, SO_PASSSEC, 0);
#ifdef SO_PASSPIDFD
	set(listening_fd, SO_PASSPIDFD, 0);
#endif
#ifdef SO_PASSRIGHTS
	return set(listening_fd, SO_PASSRIGHTS, 0);
#else
	return false;
#endif
}

/* It is decided when a connection is made, not when it is accepted. So one that had been queued
 * before we forbade it, while systemd held the socket, is another than those after it. */
static bool forbidden_for(int fd)
{
#ifdef SO_PASSRIGHTS
	int allowed = 1;
	socklen_t length = sizeof(allowed);

	return getsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &allowed, &length) == 0 && !allowed;
#else
	(void)fd;
	return false;
#endif
}

bool passing_possible(int fd, bool forbidden)
{
	if (forbidden && forbidden_for(fd))
		return false;
	/* An urgent byte would be dropped unseen by the next read, with what came along. In line it
	 * is one like the others. */
	set(fd, SO_OOBINLINE, 1);
	return true;
}

/* Not all at once: each piece may cost more time than there is (toll.h). */
static ssize_t receive_in_pieces(int fd, struct toll_call *call, char *bytes, size_t room)
{
	size_t got = 0, piece;
	unsigned allowed_us = 0;
	ssize_t n;

	do {
		piece = toll_piece(call, fd, bytes + got, room - got);
		n = recv(fd, bytes + got, piece, MSG_DONTWAIT);
		if (n < 0 && !got)
			return -errno;
		got += n > 0 ? (size_t)n : 0;
		allowed_us += CALL_US;
	} while (toll_end(call, allowed_us + (unsigned)(got / BYTES_READ_PER_US)) &&
		 n == (ssize_t)piece && got < room);
	return (ssize_t)got;
}

/* Looking installs nothing and drops nothing; that something had no room tells. What has come, as
 * passing_receive. */
static __attribute__((noinline)) ssize_t look(int fd, char *bytes, size_t room)
{
	struct iovec part = {.iov_base = bytes, .iov_len = room};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	ssize_t n = recvmsg(fd, &message, MSG_PEEK | MSG_DONTWAIT);

	if (n < 0)
		return -errno;
	return message.msg_flags & MSG_CTRUNC ? -EBADMSG : n;
}

ssize_t passing_receive(int fd, const struct reaper *reaper, char *bytes, size_t room)
{
	struct toll_call call;
	ssize_t n;

	if (!toll_begin(&call, fd))
		return -EBUSY;
	if (reaper) {
		n = look(fd, bytes, room);
		if (n <= 0)
			return n;
		room = (size_t)n;
	}
	return receive_in_pieces(fd, &call, bytes, room);
}

/* Whether a descriptor is in what nobody has read of `fd`, where no more can come. It is a bounded
 * number of bytes, and those in front of the descriptor are gone then. */
static bool holds_descriptor(int fd, const struct reaper *reaper)
{
	char bytes[LOOK_SIZE];
	ssize_t n;

	do {
		n = passing_receive(fd, reaper, bytes, sizeof(bytes));
		if (n > 0)
			secret_wipe(bytes, (size_t)n);
		/* That the other end is gone is told once, when all is read. */
	} while (n > 0 || n == -EINTR || n == -ECONNRESET);
	return n < 0;
}

void passing_close(int fd, struct reaper *reaper)
{
	if (reaper) {
		toll_shutdown(fd, SHUT_RDWR);
		if (holds_descriptor(fd, reaper)) {
			reaper_close(reaper, fd);
			return;
		}
	}
	toll_close(fd);
}

void passing_close_listening(int fd, bool forbidden, struct reaper *reaper)
{
	if (forbidden)
		close(fd);
	else
		reaper_close(reaper, fd);
}
