/* What status and metrics show of a token source. */
#ifndef GCTOKEND_CORE_TOKEN_VIEW_H
#define GCTOKEND_CORE_TOKEN_VIEW_H

#include "times.h"
#include "token_slot.h"
#include <stdint.h>

struct token_source;

enum source_state {
	SOURCE_FRESH,
	SOURCE_STALE,       /* the token is good, its refresh overdue or failing */
	SOURCE_WAITING,     /* no token yet, nothing failed */
	SOURCE_UNAVAILABLE, /* no token, fetching fails */
	SOURCE_CLIENT_REJECTED,
	SOURCE_LOGIN_REQUIRED,
	SOURCE_REVOKED,
};

struct source_view {
	enum source_state state;
	const struct token_slot *slot; /* what a plain ask gets now; NULL: nothing */
	struct duration expires_in;    /* of slot */
	struct duration refresh_in;    /* until the planned refresh; negative: overdue */
	struct boot_time next_attempt; /* of a fetch; BOOT_TIME_NEVER: none planned */
	/* Of a newer token that is here and not served yet, so that no server's clock takes it for
	 * one from the future: its generation, 0 if there is none, and until when. */
	uint64_t next_generation;
	struct duration next_in;
};

void token_source_view(
	const struct token_source *s, const struct clock_reading *now, struct source_view *ret);
const char *source_state_name(enum source_state state);
/* How long the current token was issued for; zero if there is none. */
struct duration token_source_issued(const struct token_source *s);
/* The generation of the token with that fingerprint, 0 if it is neither current nor previous. */
uint64_t token_source_generation_of(const struct token_source *s, const char *fingerprint);

#endif
