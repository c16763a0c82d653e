/* One run of one scenario with one seed. */
#ifndef GCTOKEND_TESTS_SIM_RUN_H
#define GCTOKEND_TESTS_SIM_RUN_H

#include "scenarios.h"
#include "tally.h"

/* Fills *ret, to be ended with tally_fini; what was not as expected stands in its failures. */
void run_scenario(const struct scenario *scenario, uint64_t seed, bool trace, struct tally *ret);

#endif
