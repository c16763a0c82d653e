/* What most scenarios have in common, so that an entry shows only what is special about it: a round
 * trip takes 55 ms and the server thinks for 15 ms, each crystal is off by up to 45 ppm, a caller
 * asks once a second, one in ten keeps the token until its expires_in is over, and no call may
 * fail.
 *
 * Outside blind time (tally.h) the API may refuse nothing. What it may refuse within blind time was
 * measured and stands in each entry, with room for other seeds. */
#ifndef GCTOKEND_TESTS_SIM_SCENARIO_PARTS_H
#define GCTOKEND_TESTS_SIM_SCENARIO_PARTS_H

#include "scenarios.h"

/* clang-format off */
#define S(n) {(int64_t)(n) * NS_PER_S}
#define MS(n) {(int64_t)(n) * NS_PER_MS}
/* clang-format on */
#define HOUR 3600
#define DAY 86400

#define USUAL_MACHINE .drift_ppm = 45
#define USUAL_NETWORK .latency = MS(20), .jitter = MS(15)
#define USUAL_SERVER .drift_ppm = 45, USUAL_NETWORK, .thinks = MS(15)
#define USUAL_LIMITS .reject_cooldown = S(30), .mint_limit = 15
#define USUAL_SOURCE .policy = {.use_margin = S(5), .refresh_margin_auto = true}, USUAL_LIMITS
#define USUAL_LOAD .keep_percent = 10

/* members of a scenario */
#define USUAL_CLOCKS .machine = {USUAL_MACHINE}
#define USUAL_BROKER .driver = {.source = {USUAL_SOURCE, .prefetch = true}}
#define USUAL_CALLERS .load = {USUAL_LOAD}

#endif
