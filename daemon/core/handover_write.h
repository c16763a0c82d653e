/* Writes what the next run is to know; the format is described in handover.h. */
#ifndef GCTOKEND_CORE_HANDOVER_WRITE_H
#define GCTOKEND_CORE_HANDOVER_WRITE_H

#include "handover.h"
#include "times.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct handover_fleet;
struct server_clock;
struct token_source;

struct handover_writer {
	unsigned char *start, *at, *end;
	bool full;
};

/* `size` bytes at `to` are the place; what is there before is void at once. */
void handover_begin(struct handover_writer *w, void *to, size_t size,
	const struct handover_place *here, const struct clock_reading *now);
/* False: there is no room for it, and it is left out. */
bool handover_put_source(struct handover_writer *w, const struct handover_profile *profile,
	const struct token_source *source);
/* What this host knows as one of a fleet. */
bool handover_put_fleet(struct handover_writer *w, const struct handover_fleet *f);
/* `key`: a digest of the settings by which an endpoint is told. */
bool handover_put_endpoint(
	struct handover_writer *w, const char *key, const struct server_clock *clock);
/* Makes it hold. `sequence` is higher than the other place's. False: hashing failed, it does not.
 */
bool handover_end(struct handover_writer *w, uint64_t sequence);
/* The hash over what stands there, for tests too. */
bool handover_seal(void *place, uint64_t records_length);

#endif
