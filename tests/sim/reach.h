/* Measures the figures in docs/time.md, with those of the baseline in the same worlds. */
#ifndef GCTOKEND_TESTS_SIM_REACH_H
#define GCTOKEND_TESTS_SIM_REACH_H

#include "scenarios.h"

/* A world whose figures are published. */
struct reach_row {
	const char *name;
	bool promised;    /* the API refuses nothing */
	int64_t off_by_s; /* our wall clock: from this much behind to this much ahead, over the
			     seeds */
	struct scenario scenario;
};

struct reach_network {
	const char *name;
	const char *key;      /* in the data for the plots */
	int64_t near_ms_at_8; /* promised bound of the error after 8 exchanges; 0: none */
	struct scenario scenario;
};

extern const struct reach_row reach_rows[];
extern const size_t reach_row_count;
extern const struct reach_network reach_networks[];
extern const size_t reach_network_count;
/* A plain run, and one in which the server's clock is set. Fill in lifetime and step. */
extern const struct scenario reach_plain, reach_step;
/* For what is shown. Fill in lifetime, hours and load. */
extern const struct scenario reach_look;

/* Prints TAP, with the tables as comments. `folder`: where the data of the plots goes; NULL:
 * nowhere. `seed` is the first. True: what docs/time.md promises holds. */
bool reach_run(uint64_t seed, const char *folder);

#endif
