#include "histogram.h"

void histogram_add(struct histogram *h, uint64_t ns)
{
	unsigned power = 0;
	uint64_t step = ns;

	if (ns >= HISTOGRAM_STEPS) {
		power = 64 - 6 - (unsigned)__builtin_clzll(ns);
		step = (ns >> (power - 1)) - HISTOGRAM_STEPS;
	}
	h->counts[power * HISTOGRAM_STEPS + step]++;
	h->total++;
	if (ns > h->most_ns)
		h->most_ns = ns;
}

static uint64_t value_of(unsigned index)
{
	unsigned power = index / HISTOGRAM_STEPS;
	uint64_t step = index % HISTOGRAM_STEPS;

	return power ? (step + HISTOGRAM_STEPS) << (power - 1) : step;
}

uint64_t histogram_at(const struct histogram *h, double share)
{
	uint64_t wanted = (uint64_t)((double)h->total * share), seen = 0;

	for (unsigned i = 0; i < sizeof(h->counts) / sizeof(*h->counts); i++) {
		seen += h->counts[i];
		if (seen > wanted)
			return value_of(i);
	}
	return h->most_ns;
}
