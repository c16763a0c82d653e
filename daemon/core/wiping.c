#include "wiping.h"

#include "secret.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

void *wiping_malloc(size_t size)
{
	return malloc(size);
}

void *wiping_calloc(size_t count, size_t size)
{
	return calloc(count, size);
}

char *wiping_strdup(const char *text)
{
	return strdup(text);
}

void wiping_free(void *p)
{
	/* All of the block, not only what was asked for: nobody tells us how much that was. */
	secret_wipe(p, malloc_usable_size(p));
	free(p);
}

void *wiping_realloc(void *p, size_t size)
{
	size_t old = malloc_usable_size(p);
	void *moved;

	if (p && !size) {
		wiping_free(p);
		return NULL;
	}
	if (p && size <= old)
		return p;
	moved = wiping_malloc(size);
	if (!moved || !p)
		return moved;
	memcpy(moved, p, old);
	wiping_free(p);
	return moved;
}
