/* Descriptors that callers pass along with their bytes (SCM_RIGHTS). Nobody has a reason to, and
 * what comes so can be made to hold up whoever closes it: a TCP socket that lingers over bytes that
 * nobody reads, for one. The kernel closes it in the thread that reads the bytes, or that closes
 * the connection they wait in, whether a descriptor was asked for or not.
 *
 * Linux 6.16 and later refuse them for us (SO_PASSRIGHTS): then the sender gets EPERM and nothing
 * of this costs more than one look at each connection. Where the kernel cannot, and for a
 * connection that was queued before we forbade it, the connection is *guarded*: bytes are looked at
 * before they are taken, what a descriptor came with is never taken, and a connection with one in
 * it is closed by the reaper (reaper.h). Guarded is who has a reaper. */
#ifndef GCTOKEND_FRONT_PASSING_H
#define GCTOKEND_FRONT_PASSING_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct reaper;

/* Before the first accept at `listening_fd`: from now on nothing can be passed to connections that
 * are made there. False: this kernel does not know how to forbid it. */
bool passing_forbid(int listening_fd);
/* Whether a descriptor may come, or have come, with what is sent to `fd`, which was accepted. Then
 * it is made ready to be guarded. `forbidden`: what passing_forbid said of its listener. */
bool passing_possible(int fd, bool forbidden);

/* Takes bytes from `fd` without waiting. How many came; 0: the end; a negative errno. -EBADMSG: a
 * descriptor came with the next byte; both stay where they are, and the connection is to be closed;
 * so is it with -EBUSY (toll.h). */
ssize_t passing_receive(int fd, const struct reaper *reaper, char *bytes, size_t room);
/* Closes `fd`, whose other end sees that at once: here, or by a reaper: if
 * a descriptor is in it, by `reaper`, and else as toll.h says. */
void passing_close(int fd, struct reaper *reaper);
/* The same for a listening socket, in whose queue there may be connections with descriptors in
 * them, unless that was `forbidden`. */
void passing_close_listening(int fd, bool forbidden, struct reaper *reaper);

#endif
