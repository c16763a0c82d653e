/* Descriptors that a handle keeps between calls. The program around it may close them by number, as
 * daemons do when they start, or put other files in their place: so what a kept descriptor was is
 * remembered, and one that is another file by now is neither used nor closed. */
#ifndef GCTOKEN_OWN_FD_H
#define GCTOKEN_OWN_FD_H

#include <stdbool.h>
#include <sys/types.h>

struct own_fd {
	int fd; /* -1: none */
	dev_t device;
	ino_t inode;
};

#define OWN_FD_NONE ((struct own_fd){.fd = -1})

/* Takes the descriptor over. 0; negative errno: it has been closed, *ret is untouched. */
int gctoken_own_fd(int fd, struct own_fd *ret);
/* Whether it is open, and still what it was. */
bool gctoken_own_fd_is_ours(const struct own_fd *own);
/* Closes it if it is, and leaves OWN_FD_NONE. */
void gctoken_own_fd_close(struct own_fd *own);

#endif
