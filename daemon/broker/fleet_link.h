/* This daemon's connection to the store of its fleet, as the configuration says; one for all
 * profiles. */
#ifndef GCTOKEND_BROKER_FLEET_LINK_H
#define GCTOKEND_BROKER_FLEET_LINK_H

#include "core/fleet_record.h"
#include "core/fleet_reply.h"
#include "core/times.h"
#include "host/fleet_secrets.h"

#include <stdbool.h>
#include <stddef.h>

struct broker;
struct broker_settings;
struct fleet_config;
struct fleet_url;
struct store;
struct store_hooks;
struct store_settings;

#define FLEET_LINK_DIGEST 32

struct fleet_link {
	struct store *store;
	struct fleet_secrets secrets;
	unsigned char digest[FLEET_LINK_DIGEST];     /* of all it was made by */
	unsigned char host_bytes[FLEET_HOST_LENGTH]; /* this process */
	char host[FLEET_ID_MAX + 1];                 /* the same, for people and for leases */
	bool up;
	struct boot_time since; /* up, or down */
	char why[256];          /* it is down; "": it was not up yet */
	bool told;              /* that it is down */
};

/* How the store is reached, but for the password and the name of this host. The texts of both are
 * lent. */
void fleet_link_settings(
	const struct fleet_config *f, const struct fleet_url *url, struct store_settings *ret);
/* What the configuration wants: *ret is NULL without a fleet, `b->fleet` where that is just what is
 * wanted, secrets and files included, or else a new one, which the caller owns. 0; negative errno
 * and a `problem` for people. */
int fleet_link_get(struct fleet_link **ret, struct broker *b,
	const struct broker_settings *settings, const struct store_hooks *hooks, char *problem,
	size_t problem_size);
/* After the tokens at its store. NULL is fine. */
void fleet_link_free(struct fleet_link *l);

#endif
