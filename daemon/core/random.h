/* Jitter: a small generator with its state in the caller's hands, so that a seed reproduces a run.
 * SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014). Never
 * for secrets. */
#ifndef GCTOKEND_CORE_RANDOM_H
#define GCTOKEND_CORE_RANDOM_H

#include "times.h"

struct random {
	uint64_t state;
};

static inline uint64_t random_next(struct random *r)
{
	uint64_t z = r->state += UINT64_C(0x9E3779B97F4A7C15);

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

/* Uniform in [0, most]; zero for a negative `most`. */
static inline struct duration random_duration(struct random *r, struct duration most)
{
	if (most.ns <= 0)
		return DURATION_ZERO;
	return duration_ns((int64_t)(random_next(r) % ((uint64_t)most.ns + 1)));
}

#endif
