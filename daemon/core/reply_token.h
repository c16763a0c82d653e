/* The reply with a token. From request to request only three numbers in it change, so all the rest
 * is made once for a token and copied: what a request costs here is three memcpy. The token is not
 * part of what is kept; each reply takes it from where it is guarded. */
#ifndef GCTOKEND_CORE_REPLY_TOKEN_H
#define GCTOKEND_CORE_REPLY_TOKEN_H

#include "buffer.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct profile_settings;
struct reply;
struct token_outcome;

/* Where a number stands, and which. */
struct reply_place {
	uint64_t value;
	uint16_t at;
	uint8_t digits;
	uint64_t least, below; /* what has as many digits */
};

/* One for each profile; all zero at first. It fits one token and one form of reply, and is made
 * again for another: the callers of a profile mostly want the same. */
struct token_reply_cache {
	struct buffer front, behind; /* all there is before and behind the token in the body */
	size_t field_at;             /* in front: of the token in a field, 0: there is none */
	struct reply_place expires_ms;
	struct reply_place expires_s, refresh_s; /* behind the token, or nowhere */
	size_t token_length;
	unsigned escapes; /* bytes of the token that JSON needs a backslash for */
	bool made, stale, keep_alive, text, numbers_behind;
	uint8_t token_in; /* enum token_place */
	uint32_t idle_s;
	uint64_t generation;
};

/* What it was made from has changed: the profile's settings. Keeps its memory. */
void token_reply_cache_drop(struct token_reply_cache *s);
void token_reply_cache_fini(struct token_reply_cache *s);

/* 200 with the token of the outcome: JSON, or the bare token and a newline. Without memory r->out
 * has failed. */
void reply_token(const struct reply *r, struct token_reply_cache *s,
	const struct profile_settings *settings, const struct token_outcome *outcome);

#endif
