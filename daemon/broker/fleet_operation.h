/* The operations that core/fleet decides on, sealed and given to the store. */
#ifndef GCTOKEND_BROKER_FLEET_OPERATION_H
#define GCTOKEND_BROKER_FLEET_OPERATION_H

struct clock_reading;
struct fleet_decision;
struct fleet_member;

/* The store's hooks say how it ends. Where it cannot begin, the core is told at once. */
void fleet_operation_begin(
	struct fleet_member *m, const struct clock_reading *now, const struct fleet_decision *d);

#endif
