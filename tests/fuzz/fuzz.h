/* What every fuzz target shares: saying that a promise was broken, bytes that end where a sanitizer
 * sees it, and a seed that belongs to the input alone, so that a reproducer reproduces. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "core/random.h"
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The entry points of libFuzzer; the last two only where a target mutates in its own way. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size,
	uint8_t *out, size_t max, unsigned seed);

/* A property, not an assert of the code under test: what does not hold is a finding. */
#define CHECK(condition) \
	((condition) ? (void)0 : fuzz_finding(__FILE__, __LINE__, __func__, #condition))

__attribute__((noreturn)) static inline void fuzz_finding(
	const char *file, int line, const char *function, const char *condition)
{
	fprintf(stderr, "%s:%d: %s: this does not hold: %s\n", file, line, function, condition);
	abort();
}

/* A copy of just that size on the heap, to be freed. */
static inline char *fuzz_copy(const void *bytes, size_t length)
{
	char *copy = malloc(length ? length : 1);

	CHECK(copy);
	if (length)
		memcpy(copy, bytes, length);
	return copy;
}

/* FNV-1a. */
static inline struct random fuzz_random(const void *bytes, size_t length)
{
	const uint8_t *at = bytes;
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
	return (struct random){hash};
}

/* Below `limit`, which is at least 1. */
static inline size_t fuzz_below(struct random *r, size_t limit)
{
	return (size_t)(random_next(r) % limit);
}

static inline int fuzz_printable(const char *text)
{
	for (; *text; text++)
		if (*text < 0x20 || *text > 0x7e)
			return 0;
	return 1;
}

#endif
