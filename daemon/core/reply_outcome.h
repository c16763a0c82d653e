/* The reply to whoever asked for a token: the token, or why there is none and when to ask again. */
#ifndef GCTOKEND_CORE_REPLY_OUTCOME_H
#define GCTOKEND_CORE_REPLY_OUTCOME_H

struct clock_reading;
struct profile_settings;
struct reply;
struct token_ask;
struct token_outcome;
struct token_reply_cache;
struct token_source;

/* `outcome` is what `source` has just said to `ask`, and not OUTCOME_HOLD. Returns the HTTP status.
 */
int reply_outcome(struct reply *r, struct token_reply_cache *cache,
	const struct profile_settings *settings, const struct token_source *source,
	const struct clock_reading *now, const struct token_ask *ask,
	const struct token_outcome *outcome);

#endif
