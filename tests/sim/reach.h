/* How far it reaches: the figures of docs/time.md, beside those of the baseline in the same worlds.
 */
#ifndef GCTOKEND_TESTS_SIM_REACH_H
#define GCTOKEND_TESTS_SIM_REACH_H

#include "scenarios.h"

/* A world whose figures are published. */
struct reach_row {
	const char *name;
	bool promised;    /* the API refuses nothing */
	int64_t off_by_s; /* our wall clock: from so much behind to so much ahead, over the seeds */
	struct scenario scenario;
};

struct reach_network {
	const char *name;
	const char *key;      /* in the data for the plots */
	int64_t near_ms_at_8; /* promised of the error after 8 exchanges; 0: nothing */
	struct scenario scenario;
};

extern const struct reach_row reach_rows[];
extern const size_t reach_row_count;
extern const struct reach_network reach_networks[];
extern const size_t reach_network_count;
/* A plain run, and one in which the server's clock is set: lifetime and step are filled in. */
extern const struct scenario reach_plain, reach_step;

/* Prints TAP, and the tables as comments. `folder`, where not NULL, gets the data of the plots.
 * `seed` is the first. True: what time.md promises holds. */
bool reach_run(uint64_t seed, const char *folder);

#endif
