#include "counter_rate.h"

#include "core/times.h"

/* The first time something is better than nothing; then what a thread may lose between two readings
 * is to be little of it. */
#define FIRST_NS NS_PER_MS
#define LEAST_NS (100 * NS_PER_MS)
#define MOST_NS (10 * NS_PER_S)

void counter_rate_init(struct counter_rate *r, uint64_t counter, int64_t ns)
{
	*r = (struct counter_rate){.counter = counter, .ns = ns};
}

static bool is_near(uint64_t one, uint64_t other)
{
	return one / 2 <= other && other / 2 <= one;
}

bool counter_rate_learn(struct counter_rate *r, uint64_t counter, int64_t ns)
{
	uint64_t ticks = counter - r->counter, per_us;
	bool went_back = counter < r->counter;
	int64_t passed = ns - r->ns;

	if (!went_back && passed < (r->per_us ? LEAST_NS : FIRST_NS))
		return false;
	r->counter = counter;
	r->ns = ns;
	if (went_back || passed > MOST_NS)
		return false;
	per_us = ticks / (uint64_t)(passed / 1000);
	if (r->per_us && !is_near(per_us, r->per_us) && !is_near(per_us, r->doubted_per_us)) {
		r->doubted_per_us = per_us;
		return false;
	}
	r->doubted_per_us = 0;
	if (!per_us || per_us == r->per_us)
		return false;
	r->per_us = per_us;
	return true;
}
