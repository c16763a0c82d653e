/* The network between the driver and the server, and what may happen to a request in it. */
#ifndef GCTOKEND_TESTS_SIM_NETWORK_H
#define GCTOKEND_TESTS_SIM_NETWORK_H

#include "driver.h"

/* Sends a token request or a knock over a new connection, or a HEAD over the existing one.
 * driver_arrived() is called when the response arrives, or with status 0 if none does in time. */
void network_send(struct driver *d, enum message_kind kind);
/* Nobody waits for the token request under way any more; returns it as it ends. */
struct message network_give_up(struct driver *d);

#endif
