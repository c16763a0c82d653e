/* Making the Unix sockets that callers connect to. */
#ifndef GCTOKEND_FRONT_LISTENER_H
#define GCTOKEND_FRONT_LISTENER_H

#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Binds and listens (non-blocking, close-on-exec) at `path` with exactly `mode` and, unless
 * (gid_t)-1, `gid`. No moment exists in which the socket is there with wider rights. A stale socket
 * (nobody answers) is replaced; a live one, or something that is no socket, is an error. 0 and
 * *ret_fd; negative errno (-EADDRINUSE: a live daemon) and a sentence in `problem` that says what
 * to do. */
int listener_bind(
	const char *path, mode_t mode, gid_t gid, int *ret_fd, char *problem, size_t problem_size);

/* At a clean stop: removes the socket at `path` if it still is the one that `bound` was read of (by
 * lstat, after binding). Another daemon may have taken the place over. */
void listener_remove(const char *path, const struct stat *bound);

#endif
