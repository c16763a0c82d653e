/* Requests on their way between the driver and the server, with what may happen to them there. */
#ifndef GCTOKEND_TESTS_SIM_NETWORK_H
#define GCTOKEND_TESTS_SIM_NETWORK_H

#include "driver.h"

/* A token request over a new connection, or a HEAD over the one that is there. driver_ended() is
 * called when the answer arrives, or with the status 0 when none did in time. */
void network_send(struct driver *d, bool head);

#endif
