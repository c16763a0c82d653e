/* Reading the page that the broker shares, see gctoken_page.h. Not part of the public API. */
#ifndef GCTOKEN_PAGE_READER_H
#define GCTOKEN_PAGE_READER_H

#include "gctoken.h"
#include "gctoken_page.h"

#include <stdbool.h>
#include <stdint.h>

enum page_reading {
	PAGE_READ_TOKEN,
	PAGE_READ_ASK, /* the socket has to be asked */
	PAGE_READ_RETIRED,
};

/* What the page says about a token that lives for min_ttl_s at least; *ret is filled where that is
 * PAGE_READ_TOKEN, and *ret_touched set once it was written to, for whatever result. *ret_now:
 * gctoken_page_now, read after the page. Takes no longer than a few microseconds, also where the
 * writer was killed in the middle. */
enum page_reading gctoken_page_read(const struct gctoken_page *p, struct gctoken_token *ret,
	uint64_t min_ttl_s, uint64_t *ret_now, bool *ret_touched);

/* CLOCK_BOOTTIME in ns. */
uint64_t gctoken_page_now(void);

#endif
