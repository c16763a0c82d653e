/* How far the login server's clock is from ours: theta = server clock - local CLOCK_BOOTTIME.
 *
 * Each HTTP exchange bounds theta. The server wrote Date (whole seconds, floored) somewhere between
 * the request's leaving and the answer's arrival, so theta lies in [D - received, D + 1 s - sent],
 * whatever the delays were. That is Marzullo's idea (the intersection of intervals, as in NTP's
 * RFC 5905 section 11.2.1) with intervals that are never guessed from half the round trip.
 *
 * Exchanges that agree are intersected into a group. Servers are often several machines with
 * clocks of their own, and clocks are stepped: an exchange that agrees with no group starts a new
 * one. At most four groups are kept, so the state is constant. Between exchanges an interval widens
 * with the drift a crystal may have, and with what NTP was seen to bend our own clock by.
 *
 * Between two queries without a sample the width never shrinks; a sample that agrees never widens
 * it. */
#ifndef GCTOKEND_CORE_SKEW_H
#define GCTOKEND_CORE_SKEW_H

#include "times.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct exchange;

#define SKEW_GROUPS_MAX 4
#define SKEW_CONFLICT_MEMORY 32           /* exchanges */
#define SKEW_DRIFT_PPM 100                /* rho: a crystal's, ours and theirs together */
#define SKEW_DATE_STALENESS_NS NS_PER_S   /* sigma: servers cache Date for up to this */
#define SKEW_SPREAD_MAX_NS (5 * NS_PER_S) /* farther apart is a step of a clock, not a cluster */

/* What one exchange says. The reading is the one at `sent`. */
struct skew_sample {
	struct clock_reading sent;
	struct boot_time received;
	int64_t date_s;     /* D, seconds since 1970 by the server */
	struct duration lo; /* bounds of theta at `sent` if Date is live */
	struct duration hi;
};

struct skew_group {
	struct duration lo, hi;
	struct clock_reading at;
	uint8_t reach; /* one bit an exchange, newest lowest: did it agree */
	uint32_t n;
	uint64_t born; /* number of the exchange that started it; 0: free */
};

struct skew {
	struct skew_group groups[SKEW_GROUPS_MAX];
	uint64_t exchanges;
	unsigned conflict_left; /* exchanges for which a conflict is still remembered */
};

struct skew_estimate {
	bool known;             /* false: no usable Date so far; nothing below is set */
	struct duration point;  /* theta, best guess */
	struct duration lo, hi; /* theta is in here, also with a Date stale by up to sigma */
	struct duration tight_lo,
		tight_hi; /* the best group alone: holds if Date is live and one clock answers */
	bool consistent;  /* one clock, no conflict lately */
	unsigned clocks;  /* groups */
	struct duration spread; /* between the extreme groups' midpoints; 0 if over 5 s */
	uint64_t samples;
};

enum skew_verdict {
	SKEW_AGREES = 0,    /* every group agreed, or it is the first sample */
	SKEW_CONFLICTS = 1, /* some group was missed */
};

/* The sample of an exchange. False, *ret untouched, where its Date proves nothing: absent or
 * malformed, Age above 0, received before sent, or the machine slept in between. */
bool skew_sample_of(const struct exchange *x, struct skew_sample *ret);

/* How far theta may have moved between two readings: 100 ppm of the time between, plus what
 * MONOTONIC_RAW and MONOTONIC moved against each other. Never negative. */
struct duration skew_widening(const struct clock_reading *a, const struct clock_reading *b);

/* *ret_miss, where not NULL: the distance to the nearest interval that the sample missed, 0 if
 * none. */
enum skew_verdict skew_add(
	struct skew *s, const struct skew_sample *sample, struct duration *ret_miss);
void skew_query(const struct skew *s, const struct clock_reading *now, struct skew_estimate *ret);

#endif
