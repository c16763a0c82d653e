/* What a record of the store means to this host: to be taken, to end the current token earlier, or
 * nothing. */
#ifndef GCTOKEND_CORE_FLEET_LOOK_H
#define GCTOKEND_CORE_FLEET_LOOK_H

#include "fleet.h"
#include "times.h"

#include <stdbool.h>
#include <stdint.h>

/* When the record's life begins to be counted by our clock, and how old it was then. */
struct fleet_dating {
	struct boot_time from;
	int64_t age_us;
	bool loose; /* it may be much too early: the store's clock was set back since it was read */
};

enum fleet_taken fleet_look_at(struct fleet *f, struct boot_time now, const struct fleet_stored *r,
	const struct fleet_sight *sight, const struct fleet_dating *when);
/* One that came with the latest stamp of the store's clock. */
enum fleet_taken fleet_look_at_read(struct fleet *f, struct boot_time now,
	const struct fleet_stored *r, const struct fleet_sight *sight);

#endif
