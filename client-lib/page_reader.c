#include "page_reader.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

/* A writer holds the sequence odd for well under a microsecond, unless it was descheduled or killed
 * there; then the socket is quicker. These take a few microseconds. */
#define TRIES 64

#if defined(__SANITIZE_THPAGE_READ__)
#define THPAGE_READ_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define THPAGE_READ_SANITIZER 1
#endif
#endif
#ifndef THPAGE_READ_SANITIZER
#define THPAGE_READ_SANITIZER 0
#endif

uint64_t gctoken_page_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static uint64_t load(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

static void pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* Whole lines: zeros follow the token in the page, and both sides have room for them.
 *
 * C11 has no way to copy a block that somebody may be writing but word by word, which takes three
 * times as long. On x86-64 it is done in assembler, of which C11 says nothing: loads of 16 bytes,
 * and the processor keeps loads in order among each other, so that the second look at the sequence
 * decides about every byte. Elsewhere, and for ThreadSanitizer, it is relaxed atomic words. */
static void copy_lines(char *to, const _Atomic uint64_t *from, size_t length)
{
#if defined(__x86_64__) && !THPAGE_READ_SANITIZER
	for (size_t i = 0; i < length; i += GCTOKEN_PAGE_LINE)
		__asm__ volatile("movdqa (%1), %%xmm0\n\t"
				 "movdqa 16(%1), %%xmm1\n\t"
				 "movdqa 32(%1), %%xmm2\n\t"
				 "movdqa 48(%1), %%xmm3\n\t"
				 "movups %%xmm0, (%0)\n\t"
				 "movups %%xmm1, 16(%0)\n\t"
				 "movups %%xmm2, 32(%0)\n\t"
				 "movups %%xmm3, 48(%0)"
				 :
				 : "r"(to + i), "r"(&from[i / 8])
				 : "xmm0", "xmm1", "xmm2", "xmm3", "memory");
#else
	for (size_t i = 0; i < length; i += GCTOKEN_PAGE_LINE)
		for (size_t k = 0; k < GCTOKEN_PAGE_LINE; k += 8) {
			uint64_t word = load(&from[(i + k) / 8]);

			memcpy(to + i + k, &word, sizeof(word));
		}
#endif
}

/* Is what was read since `sequence` all of one moment? */
static bool unchanged(const struct gctoken_page *p, uint64_t sequence)
{
	atomic_thread_fence(memory_order_acquire);
	return load(&p->sequence) == sequence;
}

/* One look at the page: false if the writer came in between. */
static bool read_once(const struct gctoken_page *p, struct gctoken_token *ret, uint64_t min_ttl_s,
	enum page_reading *ret_reading, uint64_t *ret_now, bool *ret_touched)
{
	uint64_t sequence = atomic_load_explicit(&p->sequence, memory_order_acquire);
	uint64_t state = load(&p->state);
	uint64_t generation = load(&p->generation);
	uint64_t until = load(&p->until);
	uint64_t dead = load(&p->dead);
	uint64_t stale_from = load(&p->stale_from);
	uint64_t limit_s = load(&p->min_ttl_limit_s);
	uint64_t length = load(&p->length);
	uint64_t fingerprint[] = {load(&p->fingerprint[0]), load(&p->fingerprint[1])};
	uint64_t now;

	if (sequence & 1 || !unchanged(p, sequence))
		return false;
	now = *ret_now = gctoken_page_now();
	if (state != GCTOKEN_PAGE_TOKEN || now >= until || now >= dead || !length ||
		length > GCTOKEN_PAGE_TOKEN_MAX ||
		(min_ttl_s &&
			(min_ttl_s > limit_s || (dead - now) / UINT64_C(1000000000) < min_ttl_s))) {
		*ret_reading = state == GCTOKEN_PAGE_RETIRED ? PAGE_READ_RETIRED : PAGE_READ_ASK;
		return true;
	}
	*ret_touched = true;
	copy_lines(ret->token, p->token, length);
	if (!unchanged(p, sequence))
		return false;
	ret->generation = generation;
	ret->expires_in_ms = (int64_t)((dead - now) / 1000000);
	ret->length = (uint32_t)length;
	ret->state = now >= stale_from ? GCTOKEN_STATE_STALE : GCTOKEN_STATE_FRESH;
	memcpy(ret->fingerprint, fingerprint, sizeof(fingerprint));
	memset(ret->fingerprint + sizeof(fingerprint), 0,
		sizeof(ret->fingerprint) - sizeof(fingerprint));
	ret->token[length] = '\0';
	memset(ret->reserved, 0, sizeof(ret->reserved));
	*ret_reading = PAGE_READ_TOKEN;
	return true;
}

enum page_reading gctoken_page_read(const struct gctoken_page *p, struct gctoken_token *ret,
	uint64_t min_ttl_s, uint64_t *ret_now, bool *ret_touched)
{
	enum page_reading reading;

	for (int i = 0; i < TRIES; i++) {
		if (read_once(p, ret, min_ttl_s, &reading, ret_now, ret_touched))
			return reading;
		pause_briefly();
	}
	*ret_now = gctoken_page_now();
	return PAGE_READ_ASK;
}
