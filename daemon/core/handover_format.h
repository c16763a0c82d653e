/* What writing and reading share besides: see handover.h. */
#ifndef GCTOKEND_CORE_HANDOVER_FORMAT_H
#define GCTOKEND_CORE_HANDOVER_FORMAT_H

#include <stdint.h>

#define HANDOVER_MAGIC "gctokhnd"
#define HANDOVER_HASH 32
#define HANDOVER_WHERE 1 /* tag of the first record */

/* A build that writes as a later version would, for the tests of upgrading and going back. */
#ifdef GCTOKEND_HANDOVER_NEXT
#define HANDOVER_WRITTEN_MINOR (HANDOVER_MINOR + 1)
#else
#define HANDOVER_WRITTEN_MINOR HANDOVER_MINOR
#endif

static inline void handover_store_u32(unsigned char *to, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		to[i] = (unsigned char)(value >> 8 * i);
}

static inline void handover_store_u64(unsigned char *to, uint64_t value)
{
	for (int i = 0; i < 8; i++)
		to[i] = (unsigned char)(value >> 8 * i);
}

static inline uint32_t handover_load_u32(const unsigned char *from)
{
	uint32_t value = 0;

	for (int i = 0; i < 4; i++)
		value |= (uint32_t)from[i] << 8 * i;
	return value;
}

static inline uint64_t handover_load_u64(const unsigned char *from)
{
	return handover_load_u32(from) | (uint64_t)handover_load_u32(from + 4) << 32;
}

#endif
