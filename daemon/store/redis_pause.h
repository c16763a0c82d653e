/* For how long a host waits before it connects again. Pure. */
#ifndef GCTOKEND_STORE_REDIS_PAUSE_H
#define GCTOKEND_STORE_REDIS_PAUSE_H

#include "core/random.h"
#include "core/times.h"

#include <stdint.h>

/* After so many failures in a row, from 0; `hosts` may come back at once, 0: nobody knows how many.
 * Random, grows with the failures, and is bounded: few hosts are back a few seconds after the store
 * is, and many do not come all at once. */
struct duration redis_pause(struct random *random, unsigned failures, int64_t hosts);

#endif
