/* A caller reported the current token: the API is asked whether it takes it, once for the fleet.
 * Whoever is granted a lease asks; that the API takes the token is noted in the store with the
 * lease's end, so that no host asks again for a cool-down. If the API does not, the same host goes
 * on to replace it. Where the store is of no help, each host asks for itself.
 *
 * What the store says of another host's question counts if that host had the fleet's key, for as
 * long as a cool-down by our own clock, and then no more: a store that says it for ever, or brings
 * it back, stops nobody; nor does one that gives out one after another, as a host asks itself after
 * some of them. Nor does one that says that the token has only just replaced another: that counts
 * for as long after it came. For the other files of core/fleet alone. */
#ifndef GCTOKEND_CORE_FLEET_CHECK_H
#define GCTOKEND_CORE_FLEET_CHECK_H

#include "times.h"

#include <stdbool.h>

struct fleet;
struct fleet_answer;
struct fleet_decision;
struct fleet_sight;

/* An ACQUIRE that was for a check was answered, other than with a newer record. */
void fleet_check_acquired(struct fleet *f, struct boot_time now, const struct fleet_answer *a,
	const struct fleet_sight *sight);
/* A READ was answered. */
void fleet_check_read(struct fleet *f, struct boot_time now, const struct fleet_answer *a,
	const struct fleet_sight *sight);
/* True: it is decided, a check is to be carried out or has ended. */
bool fleet_check_decide(struct fleet *f, struct boot_time now, struct fleet_decision *d);
/* The store is to be asked now, or *wake_at is no later than when it is. */
bool fleet_check_due(const struct fleet *f, struct boot_time now, struct boot_time *wake_at);
/* No other host may ask while this one does. */
bool fleet_check_leased(const struct fleet *f);

#endif
