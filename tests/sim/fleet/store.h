/* The store of a fleet as its scripts make it: one thread, a clock that anybody may set, by which
 * everything in it ends, and nothing that is sure to last. */
#ifndef TESTS_SIM_FLEET_STORE_H
#define TESTS_SIM_FLEET_STORE_H

#include "core/fleet.h"
#include "sim/sim.h"

#include <stdbool.h>
#include <stdint.h>

#define STORE_MINTS_MAX 256

/* What is sealed, as far as a simulation needs it. */
struct sealed {
	size_t token; /* of the login server; see login.h */
	struct duration issued;
	struct wall_time server_end;
};

struct store_record {
	uint64_t generation; /* 0: none */
	int64_t t0_us, left_us, ends_us;
	bool rejected, forced;
	uint64_t accepted; /* the fence of the verdict that the API takes it; 0: there is none */
	int64_t accepted_us;
	struct sealed sealed;
};

struct store_lease {
	int host; /* -1: none */
	uint64_t fence, kept;
	bool forced;
	int64_t ms, ends_us;
};

struct store_hold {
	uint64_t id; /* 0: none */
	enum response_class class;
	int64_t ms, ends_us;
};

/* What a failover may bring back. */
struct store_data {
	struct store_record record;
	struct store_lease lease;
	struct store_hold hold;
	int64_t mints_us[STORE_MINTS_MAX];
	size_t mint_count;
	unsigned fails;
	uint64_t seq;
};

struct store {
	const struct sim *sim;
	struct random random;
	bool up;
	int64_t offset_us, ppm; /* of its clock */
	struct store_data data;
	unsigned mint_limit;
	struct duration reject_cooldown;
	uint64_t operations;
};

/* What an operation leads to besides its answer. */
struct store_effect {
	bool token;   /* the record is told to all */
	bool failure; /* the hold is */
};

void store_init(struct store *s, const struct sim *sim, uint64_t seed);
int64_t store_clock_us(const struct store *s);
/* Executes it. *ret_sealed: what the record of the answer has, if there is one. */
struct store_effect store_execute(struct store *s, int host, const struct fleet_decision *d,
	const struct sealed *sealed, struct fleet_answer *ret, struct sealed *ret_sealed);
/* The message of such an effect. */
struct fleet_message store_message(const struct store *s, struct store_effect effect);

#endif
