/* How many ticks of a counter go into a microsecond of the monotonic clock, from looks at both. The
 * clock stands still while the machine is suspended, and the counter may go on, or begin again: so
 * only what lies a short time apart is compared, and a rate that is quite another than before is
 * believed when it comes twice. */
#ifndef GCTOKEND_FRONT_COUNTER_RATE_H
#define GCTOKEND_FRONT_COUNTER_RATE_H

#include <stdbool.h>
#include <stdint.h>

struct counter_rate {
	uint64_t per_us; /* 0: not known yet */
	uint64_t doubted_per_us;
	uint64_t counter; /* at the last look that counted */
	int64_t ns;
};

/* Before the first look, at `counter` and `ns`. */
void counter_rate_init(struct counter_rate *r, uint64_t counter, int64_t ns);
/* One look, both read at once. True: per_us is another one now. */
bool counter_rate_learn(struct counter_rate *r, uint64_t counter, int64_t ns);

#endif
