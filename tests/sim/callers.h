/* Callers: they ask the broker for tokens and use them at the API. All run on its machine. */
#ifndef GCTOKEND_TESTS_SIM_CALLERS_H
#define GCTOKEND_TESTS_SIM_CALLERS_H

#include "core/random.h"
#include "driver.h"
#include "server.h"
#include "tally.h"

struct caller_load {
	unsigned in_an_hour;       /* calls, at random instants; 0: 3600 */
	unsigned keep_percent;     /* keep the token and use it again when expires_in ends */
	unsigned min_ttl_percent;  /* want it to live long: up to half its lifetime */
	unsigned false_in_an_hour; /* rejections of tokens that are good */
	bool silent;               /* do not reject a token that the API refuses */
	struct duration wait;      /* 0: the default of 5 s */
};

struct caller_call;

struct callers {
	struct sim *sim;
	struct machine *machine;
	struct server *server;
	struct driver *driver;
	struct tally *tally;
	struct caller_load load;
	int64_t lifetime_s;
	struct random random;
	struct caller_call *free;
	struct caller_call **all;
	size_t count, room;
	bool resting;
	uint64_t last_generation; /* that anybody was given */
};

void callers_init(struct callers *c, struct sim *sim, struct machine *machine,
	struct server *server, struct driver *driver, struct tally *tally,
	const struct caller_load *load, uint64_t seed);
void callers_fini(struct callers *c);
void callers_rest(struct callers *c, bool resting);
/* So many ask at this very instant, or reject the token they last got. */
void callers_storm(struct callers *c, unsigned calls, enum ask_kind kind);

#endif
