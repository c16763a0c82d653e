/* One run of one scenario with one seed. */
#ifndef GCTOKEND_TESTS_SIM_RUN_H
#define GCTOKEND_TESTS_SIM_RUN_H

#include "baseline.h"
#include "scenarios.h"
#include "tally.h"

/* Fills *ret, to be ended with tally_fini; what was not as expected stands in its failures. */
void run_scenario(const struct scenario *scenario, uint64_t seed, bool trace, struct tally *ret);

/* The same world with a program that keeps a token of its own instead of the broker and those who
 * ask it; storms and reports are left out. *ret keeps the figures; nothing in it has to be ended.
 */
void run_baseline(const struct scenario *scenario, uint64_t seed,
	const struct baseline_policy *policy, struct baseline *ret);

#endif
