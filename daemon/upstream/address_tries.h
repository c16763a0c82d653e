/* Which of a host's addresses an exchange tries. libcurl goes through them in the resolver's order,
 * and stays with the first one for long: one that swallows what is sent to it (a dead node behind
 * the name) has half of libcurl's own time to connect, and one that takes the connection and then
 * says nothing has all of it. (From 8.16 on it tries the next one beside the first after 200 ms.)
 * So addresses that were silent are remembered for a while, by all exchanges, and passed over as
 * long as the host has another one. */
#ifndef GCTOKEND_UPSTREAM_ADDRESS_TRIES_H
#define GCTOKEND_UPSTREAM_ADDRESS_TRIES_H

#include "core/times.h"
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#define SILENT_ADDRESSES_MAX 8
/* Then it is tried like any other again. */
#define SILENT_ADDRESS_S 600
#define ADDRESS_TRIES_MAX 8 /* that are noted, of one exchange */

struct address {
	struct sockaddr_storage bytes;
	socklen_t length; /* 0: none */
};

/* One for all exchanges; zeros are none. */
struct silent_addresses {
	struct {
		struct address address;
		struct boot_time since;
	} list[SILENT_ADDRESSES_MAX];
	unsigned next; /* the one that gives way */
};

/* Of one exchange; zeros but for `silent`. */
struct address_tries {
	struct silent_addresses *silent;
	bool all; /* none is passed over */
	size_t count;
	struct {
		struct address address;
		int fd; /* -1: it was passed over */
	} list[ADDRESS_TRIES_MAX];
};

/* The next address is up. True: it is passed over. */
bool address_tries_skip(struct address_tries *t, const struct sockaddr *address, socklen_t length,
	struct boot_time now);
/* A socket was opened for it. */
void address_tries_opened(
	struct address_tries *t, const struct sockaddr *address, socklen_t length, int fd);
/* Has one of them connected? Its socket is the exchange's or closed. */
bool address_tries_connected(const struct address_tries *t);
/* Remembers as silent those that have connected or, if none has, those that have not. False: no
 * socket was opened. */
bool address_tries_silent(struct address_tries *t, struct boot_time now);
/* The exchange begins anew. */
void address_tries_again(struct address_tries *t);
/* None of those that were tried will do. True: some were passed over; they are not remembered any
 * more, and when the exchange begins anew it passes over none. */
bool address_tries_all(struct address_tries *t);

#endif
