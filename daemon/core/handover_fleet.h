/* What a run hands to the next of a profile's part in a fleet; handover.h has the rest. */
#ifndef GCTOKEND_CORE_HANDOVER_FLEET_H
#define GCTOKEND_CORE_HANDOVER_FLEET_H

#include "fleet.h"
#include "fleet_record.h"
#include "handover.h"
#include "times.h"

#include <stdint.h>

struct handover_fleet {
	struct handover_profile profile;
	uint64_t lowest; /* with `rank` for fleet_restore */
	uint32_t rank;
	struct fleet_token token; /* for fleet_resume; generation 0: none */
	/* Of that token, so that this host can put it into the store again. */
	struct wall_time server_end; /* ns 0: not known */
	unsigned char host[FLEET_HOST_LENGTH];
};

#endif
