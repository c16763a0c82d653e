#include "clocks.h"

#include <time.h>

static int64_t clock_ms(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t gctoken_monotonic_ms(void)
{
	return clock_ms(CLOCK_MONOTONIC);
}

int64_t gctoken_boot_ms(void)
{
	return clock_ms(CLOCK_BOOTTIME);
}
