/* The service manager that started us, if one did: what it passed us, and what we tell it. Without
 * one every call is harmless and says -ENOTCONN or "nothing there".
 *
 * The store: systemd keeps descriptors for us from one start to the next, over a restart and a
 * crash, until the service is really stopped. It takes them by a datagram and never says whether it
 * did (a full store drops them silently), and a name does not replace what it held under that name
 * before. So what is kept there must be something that can be lost. */
#ifndef GCTOKEND_HOST_SYSTEMD_H
#define GCTOKEND_HOST_SYSTEMD_H

#include "core/times.h"

#include <stdbool.h>

/* Reads the environment and takes it away: the descriptors passed to us (made close-on-exec), where
 * to send notices, and the watchdog. Once, first of all. */
void systemd_open(void);
/* Can anything be told or stored? */
bool systemd_is_there(void);

/* A descriptor that was passed under that name, by a socket unit or out of the store; from now on
 * the caller's. The next call gives the next of the same name. -ENOENT: none (left). */
int systemd_take_fd(const char *name);
/* One whose name begins with `prefix`; *ret_name is good until systemd_drop_fds. */
int systemd_take_fd_of(const char *prefix, const char **ret_name);
/* Likewise a listening Unix socket bound to `path`, whatever its name: socket units need not name
 * their descriptors. */
int systemd_take_listener(const char *path);
/* At the end of the start: closes what nobody has taken, and takes it out of the store (what a
 * newer version or a profile that is gone has left). The store forgets by name: where two had the
 * same and only one was taken, store that one again afterwards. */
void systemd_drop_fds(void);

/* Keeps a duplicate of `fd` under `name` (no ':' or control characters) for the next start. What is
 * there under that name stays: forget it first. 0 only says that the manager was told. */
int systemd_store_fd(const char *name, int fd);
/* Takes everything of that name out of the store. */
int systemd_forget_fd(const char *name);

/* "READY=1", "STATUS=..." and the like, see sd_notify(3); lines apart by newlines. Never waits: 0;
 * -ENOTCONN without a manager; -EAGAIN when it does not keep up; another negative errno. */
int systemd_notify(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* How often the manager wants to hear "WATCHDOG=1", at the latest; zero: not at all. */
struct duration systemd_watchdog(void);

#endif
