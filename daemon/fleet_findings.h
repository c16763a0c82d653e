/* What gctokend --check-fleet finds, as gctoken doctor reads it. */
#ifndef GCTOKEND_FLEET_FINDINGS_H
#define GCTOKEND_FLEET_FINDINGS_H

#include "core/buffer.h"

#include <stddef.h>

enum found {
	FOUND_WELL,
	FOUND_WRONG,
	FOUND_UNKNOWN, /* could not be looked at */
};

struct findings {
	struct buffer json;
	size_t count;
};

/* Ended with buffer_fini of its JSON, once findings_end has made that whole. */
void findings_begin(struct findings *f);
/* `todo`: what to do about it; NULL: nothing. */
void findings_say(struct findings *f, enum found found, const char *todo, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void findings_end(struct findings *f);

#endif
