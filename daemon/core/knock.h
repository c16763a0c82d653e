/* When HEADs knock at a login server that does not answer: one at a time, each with a deadline of
 * its own, every few seconds while nobody is there. Their Dates are not looked at. Those that are
 * answered share a limit with the HEADs that ask for the time (probe.h). */
#ifndef GCTOKEND_CORE_KNOCK_H
#define GCTOKEND_CORE_KNOCK_H

#include "random.h"
#include "times.h"
#include <stdbool.h>

/* From one to the next: */
#define KNOCK_EVERY_MS 3500
#define KNOCK_JITTER_MS 500
#define KNOCK_KNOWN_EVERY_S 20 /* ... once it is known that somebody is there */
/* The whole exchange; less than the time between two. */
#define KNOCK_TIMEOUT_MS 3000

struct knock {
	bool in_flight;
	struct boot_time sent; /* the latest */
	struct boot_time next; /* no earlier than this */
};

#define KNOCK_NONE ((struct knock){.sent = {INT64_MIN}, .next = {INT64_MIN}})

/* It leaves now. */
void knock_sent(struct knock *k, struct boot_time now, struct random *random);
/* It has ended. `known`: that somebody is there is no news for who waits, or soon will not be. */
void knock_ended(struct knock *k, bool known);

#endif
