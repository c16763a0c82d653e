/* What the next run needs to know: see core/handover.h. */
#ifndef GCTOKEND_BROKER_HANDOVER_H
#define GCTOKEND_BROKER_HANDOVER_H

#include "core/handover_read.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct broker;

struct handover {
	int fd;             /* -1: nobody to keep it */
	unsigned char *map; /* two places */
	size_t place_size;
	size_t lengths[2]; /* of what is written there */
	unsigned latest;   /* the place that holds */
	uint64_t sequence; /* of what is there */
	struct handover_place place;
	bool restoring; /* `reader` is at what the previous run left */
	struct handover_reader reader;
	bool due;   /* something has changed */
	bool kept;  /* systemd was told to keep it */
	bool stale; /* and has something else under the name */
	bool left_out;
};

#define HANDOVER_KEY_DIGITS 32

/* Takes what systemd kept, or makes memory for it to keep. Before there are profiles. */
void handover_init(struct broker *b, const struct clock_reading *now);
/* Gives it to the profiles and endpoints that there are now, before their first decision. */
void handover_restore(struct broker *b, const struct clock_reading *now);
/* If `due`. */
void handover_write(struct broker *b, const struct clock_reading *now);
void handover_fini(struct broker *b);

#endif
