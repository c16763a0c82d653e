/* Processes that close what may take for ever to close (passing.h). Whoever is in the middle of
 * such a close cannot be ended, not even by SIGKILL, and keeps all that it has; so it is to be
 * somebody who has nothing: no memory, file or lock of ours. And one that ends does not linger over
 * a TCP socket.
 *
 * One process is forked before there are any secrets, keeps no descriptor but the one over which it
 * is told what to do, and forks the *closers*. A closer takes descriptors over its channel until
 * that ends, and then ends itself: thereby they are closed. All of them end with the process that
 * started them, unless they cannot. */
#ifndef GCTOKEND_FRONT_CLOSER_H
#define GCTOKEND_FRONT_CLOSER_H

#include <stdint.h>

/* At a time. */
#define CLOSERS_MOST 64

enum closer_event {
	CLOSER_STARTED, /* and the channel is its alone: it may be given descriptors */
	CLOSER_ENDED,   /* all of them are closed; or it could not be started */
};

struct closer_report {
	uint32_t id;
	uint32_t event; /* enum closer_event */
};

/* Forks the process that forks closers, best while this one has a single thread and no secrets. 0
 * and *ret_fd, a descriptor for the functions below; negative errno. */
int closer_start(int *ret_fd);
/* Consumes `fd`, which may be -1 for none: that process ends, as it does when this one does, and
 * has ended when this returns, or is taking a second. */
void closer_stop(int fd);

/* Asks for a closer, to be called `id`, below CLOSERS_MOST and of none that has not ended; reports
 * follow. 0 and *ret_channel, or a negative errno. */
int closer_fork(int fd, uint32_t id, int *ret_channel);
/* What has become of one. 1 and *ret; 0: nothing new; -EPIPE: whoever forks them is gone. */
int closer_report(int fd, struct closer_report *ret);
/* Gives a closer that has started the descriptor `fd`, which is consumed; this process does not
 * close the file any more, as long as it has no other descriptor of it. Closing `channel` lets the
 * closer close all that it was given. Negative errno, -EAGAIN for one that takes its time: `fd` is
 * still open here. */
int closer_give(int channel, int fd);

#endif
