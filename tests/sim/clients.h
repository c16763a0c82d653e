/* Those who ask the broker for tokens and use them at the API. All of them run on its machine. */
#ifndef GCTOKEND_TESTS_SIM_CLIENTS_H
#define GCTOKEND_TESTS_SIM_CLIENTS_H

#include "core/random.h"
#include "driver.h"
#include "server.h"
#include "tally.h"

struct client_load {
	unsigned in_an_hour;       /* calls, at random instants; 0: 3600 */
	unsigned keep_percent;     /* keep the token and use it again when expires_in ends */
	unsigned min_ttl_percent;  /* want it to live long: up to half its lifetime */
	unsigned false_in_an_hour; /* reports of tokens that nothing is wrong with */
	bool silent;               /* say nothing when the API refuses a token */
	struct duration wait;      /* 0: the default of 5 s */
};

struct client_call;

struct clients {
	struct sim *sim;
	struct machine *machine;
	struct server *server;
	struct driver *driver;
	struct tally *tally;
	struct client_load load;
	int64_t lifetime_s;
	struct random random;
	struct client_call *free;
	struct client_call **all;
	size_t count, room;
	bool resting;
	uint64_t last_generation; /* that anybody was given */
};

void clients_init(struct clients *c, struct sim *sim, struct machine *machine,
	struct server *server, struct driver *driver, struct tally *tally,
	const struct client_load *load, uint64_t seed);
void clients_fini(struct clients *c);
void clients_rest(struct clients *c, bool resting);
/* So many ask at this very instant, or report the token they last got. */
void clients_storm(struct clients *c, unsigned calls, enum ask_kind kind);

#endif
