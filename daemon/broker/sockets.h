/* Where callers come in: a socket of our own or the one that systemd holds, and how many may. */
#ifndef GCTOKEND_BROKER_SOCKETS_H
#define GCTOKEND_BROKER_SOCKETS_H

#include "core/times.h"

#include <sys/stat.h>

struct broker;
struct front;

struct socket_place {
	char *path;        /* stays, even if a reload names another; NULL: none */
	struct stat bound; /* the socket as it was made; st_ino 0: none of ours */
};

struct sockets {
	struct front *front; /* NULL: not open */
	struct socket_place http, page;
	/* when these were logged; 0: never */
	struct boot_time accept_failure_told, descriptor_told, page_told, stuck_told, held_off_told;
};

/* Opens what b->config names. `closer_fd`: see front_new; consumed. 0 or negative errno; what was
 * wrong is in the log. */
int sockets_open(struct broker *b, int closer_fd);
/* The limits of b->config hold from here on. */
void sockets_set_limits(struct broker *b);
/* Where callers find us, in words for the log. */
const char *sockets_where(const struct sockets *s);
/* Requests that have been read are answered, with Connection: close, and so are those that are
 * held: their callers ask the next daemon. Runs the loop once. Fine after a failed sockets_open,
 * too. */
void sockets_close(struct broker *b);

#endif
