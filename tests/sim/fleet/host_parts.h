/* Between the files of a host. */
#ifndef TESTS_SIM_FLEET_HOST_PARTS_H
#define TESTS_SIM_FLEET_HOST_PARTS_H

#include "world.h"

#define COOLDOWN ((struct duration){30 * NS_PER_S})

/* Something on its way to or from a host. */
struct flight {
	struct host *host;
	uint64_t life, link;
	struct fleet_decision decision;
	struct sealed sealed;
	struct fleet_answer answer;
	struct fleet_message message;
	struct clock_reading sent;
	int64_t date_s; /* what the login server's clock said */
	size_t token;
	uint64_t generation; /* on its host */
	bool failed, taken;
};

/* ---- host.c ---- */

struct clock_reading host_clock(const struct host *h);
struct flight *host_flight(struct host *h);
/* Decides, and carries it out. */
void host_turn(struct host *h);
/* True: it stands still, and notices when it goes on. */
bool host_waits(struct host *h, void (*happen)(void *, uint64_t), void *context, uint64_t value);

/* ---- host_store.c ---- */

void host_ask_store(struct host *h, const struct fleet_decision *d);
/* In a moment it asks the login server for its clock, where it does so at all. */
void host_ask_for_dates(struct host *h);
/* Connects, unless it is, or is cut off: then in a moment. `link`: h->link. */
void host_connect(void *context, uint64_t link);

/* ---- host_login.c ---- */

void host_post(struct host *h);
/* Whether it takes the token that was rejected. */
void host_ask_api(struct host *h);

#endif
