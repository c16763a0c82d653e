/* Where the store of a fleet is, as fleet_store says: one place, or the Sentinels that know it.
 *
 *   redis://HOST[:PORT][/DATABASE]                       rediss: with TLS
 *   redis+sentinel://HOST[:PORT],.../MASTER[/DATABASE]   rediss+sentinel: with TLS
 *   unix:/PATH[?db=DATABASE]
 *
 * User and password have keys of their own, and no place in it. */
#ifndef GCTOKEND_CORE_FLEET_URL_H
#define GCTOKEND_CORE_FLEET_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLEET_URL_HOSTS_MAX 8
#define FLEET_URL_HOST_MAX 253
#define FLEET_URL_MASTER_MAX 64
#define FLEET_URL_SOCKET_MAX 107

struct fleet_url_host {
	char name[FLEET_URL_HOST_MAX + 1]; /* a name or an address, without the brackets of one */
	uint16_t port;
};

struct fleet_url {
	bool tls;
	struct fleet_url_host hosts[FLEET_URL_HOSTS_MAX]; /* the store's one, or the Sentinels' */
	size_t host_count;                                /* 0: a Unix socket */
	char master[FLEET_URL_MASTER_MAX + 1];            /* "": no Sentinels */
	char socket[FLEET_URL_SOCKET_MAX + 1];            /* "": none */
	unsigned database;
	bool local; /* whatever is said never leaves this host */
};

/* NULL: *ret is set. Else what is wrong, a sentence of constant text, since the URL may hold a
 * password; *ret is untouched. */
const char *fleet_url_read(const char *url, struct fleet_url *ret);

#endif
