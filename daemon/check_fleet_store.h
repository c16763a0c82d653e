/* Whether the store is one that fits: its version, its clock, how far it is, what this host's user
 * may do there, its limits, and that a lease works. For check_fleet alone. */
#ifndef GCTOKEND_CHECK_FLEET_STORE_H
#define GCTOKEND_CHECK_FLEET_STORE_H

#include <stdbool.h>

struct config;
struct findings;
struct fleet_trial;

/* `t` is connected. False: the connection is lost, which is then a finding. */
bool check_fleet_store(struct findings *f, struct fleet_trial *t, const struct config *config);

#endif
