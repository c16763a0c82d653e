/* How far the login server's clock is from ours: theta = server clock - local CLOCK_BOOTTIME.
 *
 * Each HTTP exchange bounds theta. The server wrote Date (whole seconds, rounded down) at some
 * moment between the request leaving and the response arriving, so theta is in
 * [D - received, D + 1 s - sent], however long either way took. This is Marzullo's algorithm (the
 * intersection of intervals, as in RFC 5905 section 11.2.1), but no interval is guessed from half
 * the round trip.
 *
 * Exchanges that agree are intersected into a group. A server may be several machines, each with
 * its own clock, and clocks get stepped: an exchange that agrees with no group starts a new one. At
 * most four groups are kept, so the state has a fixed size. Between exchanges an interval widens by
 * the drift of a crystal and by however much NTP bends our own clock.
 *
 * The width never shrinks without a sample, and a sample that agrees never widens it. */
#ifndef GCTOKEND_CORE_SKEW_H
#define GCTOKEND_CORE_SKEW_H

#include "times.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct exchange;

#define SKEW_GROUPS_MAX 4
#define SKEW_CONFLICT_MEMORY 32           /* exchanges */
#define SKEW_DRIFT_PPM 100                /* rho: both crystals together */
#define SKEW_DATE_STALENESS_NS NS_PER_S   /* sigma: servers cache Date for up to this */
#define SKEW_SPREAD_MAX_NS (5 * NS_PER_S) /* farther apart is a step of a clock, not a cluster */

/* What one exchange tells. */
struct skew_sample {
	struct clock_reading sent;
	struct boot_time received;
	int64_t date_s;     /* D: seconds since 1970, by the server */
	struct duration lo; /* bounds of theta at `sent` if Date is live */
	struct duration hi;
};

struct skew_group {
	struct duration lo, hi;
	struct clock_reading at;
	uint8_t reach; /* one bit for each exchange, newest lowest: did it agree? */
	uint32_t n;
	uint64_t born; /* number of the exchange that started it; 0: unused */
};

struct skew {
	struct skew_group groups[SKEW_GROUPS_MAX];
	uint64_t exchanges;
	unsigned conflict_left; /* exchanges for which a conflict is still remembered */
};

struct skew_estimate {
	bool known;             /* false: no usable Date so far; nothing below is set */
	struct duration point;  /* the best guess of theta */
	struct duration lo, hi; /* holds theta, even if Date is stale by up to sigma */
	struct duration tight_lo,
		tight_hi; /* the best group alone: true if Date is live and there is one clock */
	bool consistent;  /* one clock, and no recent conflict */
	unsigned clocks;  /* groups */
	struct duration spread; /* between the outermost groups' midpoints; 0 if over 5 s */
	uint64_t samples;
};

enum skew_verdict {
	SKEW_AGREES = 0,    /* every group agreed, or it is the first sample */
	SKEW_CONFLICTS = 1, /* it missed a group */
};

/* The sample of an exchange. False, and *ret untouched, if its Date proves nothing: it is absent or
 * malformed, Age is above 0, it was received before it was sent, or the machine slept meanwhile. */
bool skew_sample_of(const struct exchange *x, struct skew_sample *ret);

/* How far theta may have moved between two readings: 100 ppm of the time between them, plus how far
 * MONOTONIC_RAW and MONOTONIC moved apart. Never negative. */
struct duration skew_widening(const struct clock_reading *a, const struct clock_reading *b);

/* *ret_miss, unless NULL: how far the sample is from the nearest group; 0: it agreed with one, or
 * it is the first. */
enum skew_verdict skew_add(
	struct skew *s, const struct skew_sample *sample, struct duration *ret_miss);
void skew_query(const struct skew *s, const struct clock_reading *now, struct skew_estimate *ret);

#endif
