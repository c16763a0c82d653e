#include "closer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAME "gctokend-closer" /* as long as the kernel takes */
#define CONTROL_FD 3
#define STOP_MS 1000

/* `fd` -1: none. */
static ssize_t message_send(int socket, void *bytes, size_t length, int fd, int flags)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec part = {.iov_base = bytes, .iov_len = length};
	struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
	ssize_t n;

	if (fd >= 0) {
		m.msg_control = control.bytes;
		m.msg_controllen = sizeof(control.bytes);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	}
	do
		n = sendmsg(socket, &m, flags | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* *ret_fd: -1 if none came. */
static ssize_t message_receive(int socket, void *bytes, size_t room, int *ret_fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec part = {.iov_base = bytes, .iov_len = room};
	struct msghdr m = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes)};
	const struct cmsghdr *c;
	ssize_t n;

	do
		n = recvmsg(socket, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	*ret_fd = -1;
	c = CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(ret_fd, CMSG_DATA(c), sizeof(*ret_fd));
	return n;
}

/* ---- a closer ---- */

static _Noreturn void close_what_comes(int channel)
{
	char byte;
	int fd;

	while (message_receive(channel, &byte, sizeof(byte), &fd) > 0)
		;
	_exit(0);
}

/* ---- who forks them ---- */

static void tell(uint32_t id, enum closer_event event)
{
	struct closer_report report = {.id = id, .event = event};

	if (message_send(CONTROL_FD, &report, sizeof(report), -1, 0) < 0)
		_exit(0);
}

static void obey(pid_t pids[CLOSERS_MOST])
{
	uint32_t id;
	int channel = -1;
	ssize_t n = message_receive(CONTROL_FD, &id, sizeof(id), &channel);
	pid_t pid;

	if (n != sizeof(id) || id >= CLOSERS_MOST)
		_exit(0);
	pid = channel < 0 ? -1 : fork();
	if (!pid) {
		close(CONTROL_FD);
		close_what_comes(channel);
	}
	/* Before anything is in it, or it would be closed here. */
	if (channel >= 0)
		close(channel);
	if (pid > 0)
		pids[id] = pid;
	tell(id, pid > 0 ? CLOSER_STARTED : CLOSER_ENDED);
}

static void bury(pid_t pids[CLOSERS_MOST])
{
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
		for (uint32_t id = 0; id < CLOSERS_MOST; id++) {
			if (pids[id] != pid)
				continue;
			pids[id] = 0;
			tell(id, CLOSER_ENDED);
		}
	}
}

static void woken(int signal)
{
	(void)signal;
}

static void close_all_but(int fd)
{
	struct rlimit limit;
	int null = open("/dev/null", O_RDWR);

	if (null >= 0)
		for (int standard = 0; standard < CONTROL_FD; standard++)
			dup2(null, standard);
	dup2(fd, CONTROL_FD);
	if (!close_range(CONTROL_FD + 1, ~0U, 0))
		return;
	if (getrlimit(RLIMIT_NOFILE, &limit))
		_exit(1);
	for (rlim_t other = CONTROL_FD + 1; other < limit.rlim_max && other < 1 << 20; other++)
		close((int)other);
}

/* Signals are not for it: a stop is told to the daemon, and then closers are still needed. */
static _Noreturn void fork_closers(int fd)
{
	const struct sigaction action = {.sa_handler = woken};
	struct pollfd control = {.fd = CONTROL_FD, .events = POLLIN};
	pid_t pids[CLOSERS_MOST] = {0};
	sigset_t all, all_but_one;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	sigaction(SIGCHLD, &action, NULL);
	all_but_one = all;
	sigdelset(&all_but_one, SIGCHLD);
	prctl(PR_SET_NAME, NAME);
	close_all_but(fd);
	/* Whoever waits in a folder keeps it. */
	if (chdir("/") < 0)
		_exit(1);
	for (;;) {
		if (ppoll(&control, 1, NULL, &all_but_one) > 0)
			obey(pids);
		bury(pids);
	}
}

/* ---- for the daemon ---- */

int closer_start(int *ret_fd)
{
	int ends[2], error;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	pid = fork();
	if (!pid)
		fork_closers(ends[1]);
	error = pid < 0 ? -errno : 0;
	close(ends[1]);
	if (!error && fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0)
		error = -errno;
	if (error)
		close(ends[0]);
	else
		*ret_fd = ends[0];
	return error;
}

void closer_stop(int fd)
{
	struct pollfd end = {.fd = fd, .events = POLLIN};
	struct closer_report report;

	if (fd < 0)
		return;
	shutdown(fd, SHUT_WR);
	while (poll(&end, 1, STOP_MS) > 0 && closer_report(fd, &report) >= 0)
		;
	close(fd);
}

int closer_fork(int fd, uint32_t id, int *ret_channel)
{
	int ends[2];
	ssize_t n;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	n = message_send(fd, &id, sizeof(id), ends[1], 0);
	close(ends[1]);
	if (n < 0) {
		close(ends[0]);
		return (int)n;
	}
	*ret_channel = ends[0];
	return 0;
}

int closer_report(int fd, struct closer_report *ret)
{
	struct closer_report report;
	int none;
	ssize_t n = message_receive(fd, &report, sizeof(report), &none);

	if (n == -EAGAIN)
		return 0;
	if (n != sizeof(report))
		return -EPIPE;
	*ret = report;
	return 1;
}

int closer_give(int channel, int fd)
{
	char byte = 0;
	ssize_t n = message_send(channel, &byte, sizeof(byte), fd, MSG_DONTWAIT);

	if (n < 0)
		return (int)n;
	/* Not the last of it: that is in the channel or with the closer, who keeps it until the
	 * channel ends. */
	close(fd);
	return 0;
}
