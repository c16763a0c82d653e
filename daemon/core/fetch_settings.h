/* How a profile's exchanges with the login server and the API are made, wherever they go: what the
 * token requests, the HEADs and the revocations have in common. */
#ifndef GCTOKEND_CORE_FETCH_SETTINGS_H
#define GCTOKEND_CORE_FETCH_SETTINGS_H

#include "times.h"

struct fetch_settings {
	char *ca_file;           /* PEM, trusted instead of the system's store; NULL: that */
	char *proxy;             /* NULL: none, whatever the environment says */
	struct duration timeout; /* the whole exchange, name resolution included; at least 1 ms */
};

#endif
