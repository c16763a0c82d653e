/* How a profile's exchanges with the login server and the API are made, wherever they go: what the
 * token requests, the HEADs and the revocations have in common. What is added here goes with all of
 * them. The CA file and the proxy also tell endpoints apart (broker/endpoint.h), since through
 * another proxy it may be another clock that answers. */
#ifndef GCTOKEND_CORE_FETCH_SETTINGS_H
#define GCTOKEND_CORE_FETCH_SETTINGS_H

#include "times.h"

struct fetch_settings {
	char *ca_file;           /* PEM, trusted instead of the system's store; NULL: that */
	char *proxy;             /* NULL: none, whatever the environment says */
	struct duration timeout; /* the whole exchange, name resolution included; at least 1 ms */
};

#endif
