/* Reads the page that the broker shares, see gctoken_page.h. Not part of the public API.
 *
 * Most of it is here to be inlined: a read has to cost little more than its look at the clock. */
#ifndef GCTOKEN_PAGE_READER_H
#define GCTOKEN_PAGE_READER_H

#include "gctoken.h"
#include "gctoken_page.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#if defined(__SANITIZE_THREAD__)
#define PAGE_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define PAGE_THREAD_SANITIZER 1
#endif
#endif
#ifndef PAGE_THREAD_SANITIZER
#define PAGE_THREAD_SANITIZER 0
#endif

enum page_reading {
	PAGE_READ_TOKEN,
	PAGE_READ_ASK, /* the socket has to be asked */
	PAGE_READ_RETIRED,
};

/* What the page says about a token that is good for at least min_ttl_s; *ret is filled if that is
 * PAGE_READ_TOKEN, and *ret_touched set once it was written to, whatever the result. *ret_now:
 * gctoken_page_now when the page said so. Takes at most a few microseconds, even if the writer was
 * killed in the middle. */
enum page_reading gctoken_page_read(const struct gctoken_page *p, struct gctoken_token *ret,
	uint64_t min_ttl_s, uint64_t *ret_now, bool *ret_touched);

/* CLOCK_BOOTTIME in ns. */
static inline uint64_t gctoken_page_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static inline uint64_t page_load(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

/* Whole lines: zeros follow the token in the page, and both sides have room for them.
 *
 * In C11 a block that somebody may be writing can only be copied word by word, which takes three
 * times as long. On x86-64 it is done in assembler, about which C11 says nothing: loads of 16
 * bytes, which the processor keeps in order, so that the second look at the sequence decides about
 * every byte. Elsewhere, and for ThreadSanitizer, it is relaxed atomic words. */
static inline void page_copy_lines(char *to, const _Atomic uint64_t *from, size_t length)
{
#if defined(__x86_64__) && !PAGE_THREAD_SANITIZER
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
			uint64_t word = page_load(&from[(i + k) / 8]);

			memcpy(to + i + k, &word, sizeof(word));
		}
#endif
}

/* Is what was read since `sequence` all of one moment? */
static inline bool page_unchanged(const struct gctoken_page *p, uint64_t sequence)
{
	atomic_thread_fence(memory_order_acquire);
	return page_load(&p->sequence) == sequence;
}

/* One try of gctoken_page_read: false if the writer came in between. The clock is read between the
 * two looks at the sequence, so that it is the time at which the page said so. */
static inline __attribute__((always_inline)) bool page_read_once(const struct gctoken_page *p,
	struct gctoken_token *ret, uint64_t min_ttl_s, enum page_reading *ret_reading,
	uint64_t *ret_now, bool *ret_touched)
{
	uint64_t sequence = atomic_load_explicit(&p->sequence, memory_order_acquire);
	uint64_t now, until, dead, length, state, fingerprint[2];
	bool usable;

	if (__builtin_expect(sequence & 1, 0))
		return false;
	now = *ret_now = gctoken_page_now();
	state = page_load(&p->state);
	until = page_load(&p->until);
	dead = page_load(&p->dead);
	length = page_load(&p->length);
	usable = state == GCTOKEN_PAGE_TOKEN && now < until && now < dead &&
		 length - 1 < GCTOKEN_PAGE_TOKEN_MAX &&
		 (!min_ttl_s || (min_ttl_s <= page_load(&p->min_ttl_limit_s) &&
					(dead - now) / UINT64_C(1000000000) >= min_ttl_s));
	if (__builtin_expect(!usable, 0)) {
		*ret_reading = state == GCTOKEN_PAGE_RETIRED ? PAGE_READ_RETIRED : PAGE_READ_ASK;
		return page_unchanged(p, sequence);
	}
	*ret_touched = true;
	page_copy_lines(ret->token, p->token, length);
	ret->token[length] = '\0';
	ret->generation = page_load(&p->generation);
	ret->expires_in_ms = (int64_t)((dead - now) / 1000000);
	ret->length = (uint32_t)length;
	ret->state = now >= page_load(&p->stale_from) ? GCTOKEN_STATE_STALE : GCTOKEN_STATE_FRESH;
	fingerprint[0] = page_load(&p->fingerprint[0]);
	fingerprint[1] = page_load(&p->fingerprint[1]);
	memcpy(ret->fingerprint, fingerprint, sizeof(fingerprint));
	memset(ret->fingerprint + sizeof(fingerprint), 0,
		sizeof(ret->fingerprint) - sizeof(fingerprint));
	memset(ret->reserved, 0, sizeof(ret->reserved));
	*ret_reading = PAGE_READ_TOKEN;
	return page_unchanged(p, sequence);
}

#endif
