/* Elements of one size, many to a slab of memory. One by one in the heap, thousands that come and
 * go leave holes between whatever was put beside them and stays, and the kernel gets none of that
 * back. A slab is given back when the last of its elements is. */
#ifndef GCTOKEND_FRONT_POOL_H
#define GCTOKEND_FRONT_POOL_H

#include "links.h"
#include <stddef.h>

struct pool {
	size_t size;
	unsigned per_slab;
	struct link with_room; /* slabs */
};

/* Of so many bytes each, aligned like a pointer. */
void pool_init(struct pool *p, size_t size);
/* All have been given back. */
void pool_fini(struct pool *p);
/* One that is all zero; NULL: there is no memory. */
void *pool_take(struct pool *p);
/* `element` was taken from `p`; NULL is fine. */
void pool_give(struct pool *p, void *element);

#endif
