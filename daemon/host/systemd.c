/* Notices are datagrams of our own: sd_notify(3) waits while the manager does not read, and the
 * loop must not. */
#include "systemd.h"

#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#define MESSAGE_MAX 2048

struct passed_fd {
	int fd; /* -1: taken */
	char *name;
};

/* A process has one service manager: state that is global by nature. */
static struct {
	int socket; /* -1: nobody to tell */
	struct sockaddr_un address;
	socklen_t address_length;
	struct duration watchdog;
	struct passed_fd *passed;
	size_t passed_count;
} manager = {.socket = -1};

static void open_notify_socket(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t length = path ? strlen(path) : 0;

	/* a path, or the abstract name that '@' stands for */
	if (length < 2 || length >= sizeof(manager.address.sun_path) ||
		(path[0] != '/' && path[0] != '@'))
		return;
	manager.address = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(manager.address.sun_path, path, length);
	if (path[0] == '@')
		manager.address.sun_path[0] = '\0';
	manager.address_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	manager.socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (manager.socket < 0)
		log_line(LOG_WARNING, "the service manager cannot be reached: %s", strerror(errno));
}

static void take_environment_fds(void)
{
	char **names = NULL;
	int count = sd_listen_fds_with_names(true, &names);

	if (count < 0)
		log_line(LOG_WARNING, "descriptors passed by the service manager: %s",
			strerror(-count));
	if (count <= 0)
		return;
	manager.passed = calloc((size_t)count, sizeof(*manager.passed));
	for (int i = 0; i < count; i++) {
		if (!manager.passed) {
			/* never out of the store: the next start may have better luck */
			free(names[i]);
			continue;
		}
		manager.passed[i] = (struct passed_fd){SD_LISTEN_FDS_START + i, names[i]};
	}
	if (manager.passed)
		manager.passed_count = (size_t)count;
	else
		log_line(LOG_WARNING, "descriptors passed by the service manager: out of memory");
	free(names);
}

void systemd_open(void)
{
	uint64_t watchdog_us = 0;

	open_notify_socket();
	if (sd_watchdog_enabled(true, &watchdog_us) > 0 && watchdog_us < INT64_MAX / 1000)
		manager.watchdog = duration_ns((int64_t)watchdog_us * 1000);
	unsetenv("NOTIFY_SOCKET");
	take_environment_fds();
}

bool systemd_is_there(void)
{
	return manager.socket >= 0;
}

struct duration systemd_watchdog(void)
{
	return manager.watchdog;
}

static int take(struct passed_fd *passed)
{
	int fd = passed->fd;

	passed->fd = -1;
	return fd;
}

int systemd_take_fd(const char *name)
{
	for (size_t i = 0; i < manager.passed_count; i++)
		if (manager.passed[i].fd >= 0 && !strcmp(manager.passed[i].name, name))
			return take(&manager.passed[i]);
	return -ENOENT;
}

int systemd_take_fd_of(const char *prefix, const char **ret_name)
{
	for (size_t i = 0; i < manager.passed_count; i++) {
		struct passed_fd *passed = &manager.passed[i];

		if (passed->fd < 0 || strncmp(passed->name, prefix, strlen(prefix)) != 0)
			continue;
		*ret_name = passed->name;
		return take(passed);
	}
	return -ENOENT;
}

int systemd_take_listener(const char *path)
{
	for (size_t i = 0; i < manager.passed_count; i++)
		if (manager.passed[i].fd >= 0 &&
			sd_is_socket_unix(manager.passed[i].fd, SOCK_STREAM, 1, path, 0) > 0)
			return take(&manager.passed[i]);
	return -ENOENT;
}

void systemd_drop_fds(void)
{
	for (size_t i = 0; i < manager.passed_count; i++) {
		struct passed_fd *passed = &manager.passed[i];

		if (passed->fd >= 0) {
			/* A socket unit's is not in the store; then this does nothing. */
			systemd_forget_fd(passed->name);
			close(passed->fd);
			log_line(LOG_INFO,
				"a descriptor passed by the service manager is not for this "
				"version or configuration: %s",
				passed->name);
		}
		free(passed->name);
	}
	free(manager.passed);
	manager.passed = NULL;
	manager.passed_count = 0;
}

static int send_message(const char *text, size_t length, int fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec bytes = {.iov_base = (void *)(uintptr_t)text, .iov_len = length};
	struct msghdr message = {
		.msg_name = &manager.address,
		.msg_namelen = manager.address_length,
		.msg_iov = &bytes,
		.msg_iovlen = 1,
	};

	if (manager.socket < 0)
		return -ENOTCONN;
	if (fd >= 0) {
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	}
	if (sendmsg(manager.socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return -errno;
	return 0;
}

int systemd_notify(const char *format, ...)
{
	char text[MESSAGE_MAX];
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (length < 0 || (size_t)length >= sizeof(text))
		return -EMSGSIZE;
	return send_message(text, (size_t)length, -1);
}

int systemd_store_fd(const char *name, int fd)
{
	char text[MESSAGE_MAX];
	/* FDPOLL=0: systemd is not to drop it because of what happens at its other end. */
	int length = snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s\nFDPOLL=0", name);

	if (length < 0 || (size_t)length >= sizeof(text))
		return -EINVAL;
	return send_message(text, (size_t)length, fd);
}

int systemd_forget_fd(const char *name)
{
	return systemd_notify("FDSTOREREMOVE=1\nFDNAME=%s", name);
}
