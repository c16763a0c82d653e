#include "page_reader.h"

/* A writer holds the sequence odd for well under a microsecond, unless it was descheduled or killed
 * there; then the socket is quicker. These take a few microseconds. */
#define TRIES 64

static void pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

enum page_reading gctoken_page_read(const struct gctoken_page *p, struct gctoken_token *ret,
	uint64_t min_ttl_s, uint64_t *ret_now, bool *ret_touched)
{
	enum page_reading reading;

	for (int i = 0; i < TRIES; i++) {
		if (page_read_once(p, ret, min_ttl_s, &reading, ret_now, ret_touched))
			return reading;
		pause_briefly();
	}
	*ret_now = gctoken_page_now();
	return PAGE_READ_ASK;
}
