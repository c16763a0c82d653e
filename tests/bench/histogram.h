/* Durations by the thousand million: exact to 1/64, whatever their size. */
#ifndef GCTOKEN_BENCH_HISTOGRAM_H
#define GCTOKEN_BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_STEPS 64 /* per power of two */

struct histogram {
	uint64_t counts[64 * HISTOGRAM_STEPS];
	uint64_t total, most_ns;
};

void histogram_add(struct histogram *h, uint64_t ns);
/* The duration that this share, 0 to 1, of all did not exceed. */
uint64_t histogram_at(const struct histogram *h, double share);

#endif
