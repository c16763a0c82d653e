/* When three in four have gone, where there were many, the kernel gets their memory back: some MiB,
 * which libc would keep. */
#ifndef GCTOKEND_FRONT_HEAP_TRIM_H
#define GCTOKEND_FRONT_HEAP_TRIM_H

#include <event2/event_struct.h>
#include <stdint.h>

struct heap_trim {
	/* So many are there, and as many were at a time since memory was given back. */
	uint32_t now, most;
	struct event trim;
};

void heap_trim_init(struct heap_trim *h, struct event_base *base);
void heap_trim_fini(struct heap_trim *h);
/* So many are there now. */
void heap_trim_count(struct heap_trim *h, uint32_t now);

#endif
