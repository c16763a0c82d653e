/* Whether this host's user may do in the store what the fleet's operations do there, by trying; and
 * that a lease works. For check_fleet_store alone. */
#ifndef GCTOKEND_CHECK_FLEET_RIGHTS_H
#define GCTOKEND_CHECK_FLEET_RIGHTS_H

#include <stdbool.h>

struct config;
struct findings;
struct fleet_trial;

/* On keys of its own, which it deletes. `may_mint`: this host has a client's secret. False: the
 * connection is lost, which is then a finding. */
bool check_fleet_rights(
	struct findings *f, struct fleet_trial *t, const struct config *config, bool may_mint);

#endif
