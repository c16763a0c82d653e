/* What a caller who asks for a token gets. */
#ifndef GCTOKEND_CORE_TOKEN_ASK_H
#define GCTOKEND_CORE_TOKEN_ASK_H

#include "times.h"
#include "token_slot.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct token_source;

enum ask_kind {
	ASK_GET,
	ASK_REJECT,  /* "the API answered 401 to `generation`" */
	ASK_REFRESH, /* an admin wants a new token now */
};

struct token_ask {
	enum ask_kind kind;
	uid_t uid; /* who asks, for the history */
	struct duration min_ttl;
	bool has_after;
	uint64_t after;      /* wait for another generation than this */
	uint64_t generation; /* ASK_REJECT */
	struct boot_time deadline;
	/* the source's own, zero at first */
	bool begun;      /* was asked once before */
	uint64_t ticket; /* the fetch whose end answers */
};

enum ask_outcome {
	OUTCOME_TOKEN,
	OUTCOME_HOLD,      /* ask again when something changes, at the deadline at the latest */
	OUTCOME_UNCHANGED, /* the wait ended without another generation */
	OUTCOME_MIN_TTL,   /* more than limit_s is never granted */
	OUTCOME_TOO_SHORT, /* it would be, but tokens of this profile live for limit_s just now */
	OUTCOME_COOLDOWN,  /* rejected too soon after a rejected one was replaced */
	OUTCOME_ACCEPTED,  /* likewise, and the API accepts it */
	OUTCOME_UNAVAILABLE,
	OUTCOME_CLIENT_REJECTED,
	OUTCOME_LOGIN_REQUIRED,
	OUTCOME_REVOKED,
	OUTCOME_TIMEOUT, /* the wait ended while a fetch ran */
};

struct token_outcome {
	enum ask_outcome kind;
	/* OUTCOME_TOKEN; good until the next event */
	const struct token_slot *slot;
	struct duration expires_in; /* at least 1 s */
	int64_t refresh_in_s;
	bool stale;
	int64_t limit_s;       /* OUTCOME_MIN_TTL, OUTCOME_TOO_SHORT */
	int64_t retry_after_s; /* failures; -1: nothing to say */
};

/* May be called any number of times for the same ask. At `ask->deadline` or later the outcome is
 * never OUTCOME_HOLD. */
void token_source_ask(struct token_source *s, const struct clock_reading *now,
	struct token_ask *ask, struct token_outcome *ret);

#endif
