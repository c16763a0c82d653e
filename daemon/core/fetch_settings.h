/* How a profile's exchanges with the login server and the API are made, wherever they go: what the
 * token requests, the HEADs and the revocations have in common. What is added here goes with all of
 * them.
 *
 * HEADs are shared between profiles with the same URLs, CA file and proxy (its user and CA
 * included), and go by the settings of the first such profile. Whoever adds a member decides in
 * endpoint_get (broker/endpoint.c) whether it tells endpoints apart, as those do: through another
 * proxy it may be another clock that answers. `gctoken doctor` connects by itself: what it should
 * know, print_config.c passes on. The texts are lent wherever a copy of this struct goes; the
 * configuration owns them. */
#ifndef GCTOKEND_CORE_FETCH_SETTINGS_H
#define GCTOKEND_CORE_FETCH_SETTINGS_H

#include "times.h"

struct fetch_settings {
	char *ca_file;       /* PEM, trusted instead of the system's store; NULL: that */
	char *proxy;         /* NULL: none, whatever the environment says */
	char *proxy_user;    /* NULL: the proxy asks for none */
	char *proxy_ca_file; /* PEM, for an https proxy in place of the system's; NULL: that */
	/* Not configured but read from a file, and lent by whoever makes a request; NULL without a
	 * proxy_user. */
	const char *proxy_password;
	struct duration timeout; /* the whole exchange, name resolution included; at least 1 ms */
};

#endif
