/* Waits on the loopback interface for the browser that comes back from the login server. */
#ifndef GCTOKEN_CLI_REDIRECT_LISTENER_H
#define GCTOKEN_CLI_REDIRECT_LISTENER_H

#include "redirect.h"
#include "redirect_page.h"

struct interrupt;

/* "localhost" is two addresses, and which one a browser takes is its own affair. */
#define REDIRECT_LISTENERS 2

struct redirect_listener {
	int fds[REDIRECT_LISTENERS]; /* -1: unused */
};

#define REDIRECT_LISTENER_NONE ((struct redirect_listener){{-1, -1}})

/* 0, to be ended with redirect_listener_fini; or -errno: -EADDRINUSE where somebody else has the
 * port at any of the addresses, since the browser might go there; -EINVAL for no loopback address.
 * Never reachable from another host. */
int redirect_listen(const struct redirect_target *target, struct redirect_listener *ret);
void redirect_listener_fini(struct redirect_listener *l);

struct redirect_wait {
	const struct redirect_target *target;
	const char *state;
	int64_t deadline_ms; /* of gctoken_monotonic_ms */
	const struct interrupt *stop;
};

/* Until the one request came. Others get a plain 404 meanwhile; if one came with another login's
 * state, that is said once. 0: *ret is the response, and at the connection *ret_fd somebody waits
 * for redirect_reply; nothing is listened for any more. -ETIMEDOUT, -EINTR (the person wants to
 * stop), other negative errno. */
int redirect_listener_wait(struct redirect_listener *l, const struct redirect_wait *wait,
	struct redirect_response *ret, int *ret_fd);

/* Shows a page, waits a little for the browser to take it, and closes the connection. */
void redirect_reply(int fd, enum redirect_page page, const char *profile);

#endif
