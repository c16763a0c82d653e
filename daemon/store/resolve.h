/* Addresses of a name. The system's resolver blocks, for as long as it likes; so a thread asks it,
 * and whoever has given up waiting leaves the thread to itself. */
#ifndef GCTOKEND_STORE_RESOLVE_H
#define GCTOKEND_STORE_RESOLVE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct event_base;
struct resolve; /* a question */

#define RESOLVE_ADDRESSES_MAX 8
#define RESOLVE_THREADS_MAX 8 /* at a time, in this process */

struct resolve_address {
	struct sockaddr_storage address;
	socklen_t length;
};

/* Called once from the loop, never from within resolve_start; the question ends with it. `failure`:
 * NULL, and there is at least one address; or why there is none. */
typedef void resolve_done(
	void *context, const char *failure, const struct resolve_address *addresses, size_t count);

/* An address in place of a name needs no thread. 0; -ENOMEM; -EAGAIN: so many threads wait for the
 * system's resolver already, which does not answer. */
int resolve_start(struct resolve **ret, struct event_base *base, const char *name, uint16_t port,
	resolve_done *done, void *context);
/* The callback will not come. Waits for nobody. NULL is fine. */
void resolve_cancel(struct resolve *q);

#endif
