/* One run of one scenario with one seed. */
#ifndef GCTOKEND_TESTS_SIM_RUN_H
#define GCTOKEND_TESTS_SIM_RUN_H

#include "baseline.h"
#include "scenarios.h"
#include "tally.h"

/* Fills *ret, which tally_fini ends. Its failures say what was not as expected. */
void run_scenario(const struct scenario *scenario, uint64_t seed, bool trace, struct tally *ret);

/* The same world with a program that keeps a token of its own, instead of the broker and its
 * callers; storms and rejections are left out. *ret has the figures; nothing in it needs to be
 * freed. */
void run_baseline(const struct scenario *scenario, uint64_t seed,
	const struct baseline_policy *policy, struct baseline *ret);

#endif
