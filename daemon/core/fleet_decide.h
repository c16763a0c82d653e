/* What a host of a fleet is to do now. */
#ifndef GCTOKEND_CORE_FLEET_DECIDE_H
#define GCTOKEND_CORE_FLEET_DECIDE_H

#include "times.h"

struct fleet;
struct fleet_decision;

/* One thing, or nothing until ret->wake_at. Call it again after each, until it is nothing, and
 * after every event. */
void fleet_decide(struct fleet *f, struct boot_time now, struct fleet_decision *ret);

#endif
