/* The clocks that the library and the command read, in whole milliseconds, rounded down. */
#ifndef GCTOKEN_CLOCKS_H
#define GCTOKEN_CLOCKS_H

#include <stdint.h>

int64_t gctoken_monotonic_ms(void); /* CLOCK_MONOTONIC: for deadlines */
int64_t gctoken_boot_ms(void);      /* CLOCK_BOOTTIME: for a token's life */

#endif
