#include "reply_outcome.h"

#include "reply.h"
#include "reply_token.h"
#include "token_ask.h"
#include "token_judge.h"
#include "token_source.h"

#include <stdio.h>
#include <string.h>

#define WORDS_MAX 600

/* Only a person can help. False: that is not so. */
static bool describe_login(const struct token_source *s, char words[WORDS_MAX])
{
	const struct source_failure *f = &s->last_failure;

	switch (s->login) {
	case SOURCE_LOGIN_NONE:
		snprintf(words, WORDS_MAX, "%s: run gctoken login, or POST /v1/login",
			s->current.token.text ? "this login cannot be refreshed"
					      : "nobody is logged in to this profile");
		return true;
	case SOURCE_LOGIN_REFUSED:
		snprintf(words, WORDS_MAX,
			"the login server ended the login (%s%s%s): run gctoken login, or POST "
			"/v1/login",
			f->error, f->error[0] ? ": " : "", f->words);
		return true;
	case SOURCE_LOGIN_NOT_NEEDED:
	case SOURCE_LOGIN_READY:
		break;
	}
	return false;
}

static void describe_failure(
	const struct token_source *s, const struct clock_reading *now, char words[WORDS_MAX])
{
	const struct source_failure *f = &s->last_failure;
	struct boot_time room = token_source_room(s, now->boot, URGENCY_WANTED);
	bool share =
		boot_before(mint_window_next(s->mint, s->settings.mint_limit, now->boot), room);
	/* What the caller waits for is whichever comes later: room, or the end of a backoff. */
	bool limited = boot_before(boot_max(now->boot, s->not_before), room);
	char status[32] = "no response";
	int length = 0;

	if (limited)
		length = snprintf(words, WORDS_MAX,
			"mint_limit: all %u token requests %s in %d s are used up%s",
			share ? token_source_rejections(s)
			      : mint_window_limit(s->mint, s->settings.mint_limit),
			share ? "that rejections may cause" : "allowed", MINT_WINDOW_S,
			f->any ? "; the latest: " : "");
	if (f->status)
		snprintf(status, sizeof(status), "HTTP %ld", f->status);
	if (f->any)
		snprintf(words + length, WORDS_MAX - (size_t)length, "%s (%s%s%s): %s%s%s",
			response_class_name(f->class), status, f->error[0] ? ", " : "", f->error,
			f->words, f->correlation_id[0] ? "; correlation id " : "",
			f->correlation_id);
	else if (!limited)
		snprintf(words, WORDS_MAX, "%s",
			!s->current.token.text ? "no token has been fetched yet"
			: boot_before(now->boot, s->current.life.valid)
				? "a token has come, and is handed out as soon as all clocks of "
				  "the "
				  "login server have reached its beginning"
				: "the login server gave no other token than the current one");
}

/* What Retry-After does not say: because a person has to act, or because it is that long. */
static void describe_next_attempt(const struct token_outcome *outcome, char words[WORDS_MAX])
{
	size_t length = strlen(words);

	if (outcome->retry_after_s >= 0)
		snprintf(words + length, WORDS_MAX - length, "; next attempt in %lld s",
			(long long)outcome->retry_after_s);
}

/* Apart, so that who gets a token does not pay for the words. */
static int reply_refusal(struct reply *r, const struct token_source *source,
	const struct clock_reading *now, const struct token_ask *ask,
	const struct token_outcome *outcome)
{
	const char *code = "temporarily_unavailable";
	int64_t retry_after_s = outcome->retry_after_s;
	char words[WORDS_MAX];

	switch (outcome->kind) {
	case OUTCOME_MIN_TTL:
		snprintf(words, sizeof(words),
			"min_ttl: this profile's tokens allow at most %lld s (half of their "
			"lifetime), and %lld s were asked for",
			(long long)outcome->limit_s, (long long)(ask->min_ttl.ns / NS_PER_S));
		return reply_error(r, 400, "invalid_request", words, -1);
	case OUTCOME_TOO_SHORT:
		snprintf(words, sizeof(words),
			"min_ttl: a new token of this profile could be served for %lld s just now, "
			"and %lld s were asked for: lifetime, margins, the distance between the "
			"login server's clocks and the time it takes to respond leave no more",
			(long long)outcome->limit_s, (long long)(ask->min_ttl.ns / NS_PER_S));
		return reply_error(r, 503, code, words, outcome->retry_after_s);
	case OUTCOME_COOLDOWN:
		return reply_error(r, 429, "reject_cooldown",
			"a token of this profile was rejected only a moment ago; if the API keeps "
			"refusing tokens, the token is not the reason",
			outcome->retry_after_s);
	case OUTCOME_ACCEPTED:
		return reply_error(r, 429, "reject_cooldown",
			"the API was asked and accepts this token (HEAD /api/v2/tokens/me): the "
			"token is not the reason for the 401",
			outcome->retry_after_s);
	case OUTCOME_TIMEOUT:
		return reply_error(r, 504, "timeout",
			"the wait ended while a token was still being fetched", 1);
	case OUTCOME_REVOKED:
		return reply_error(r, 503, "revoked",
			"an admin revoked the token; POST /v1/refresh fetches a new one", -1);
	case OUTCOME_LOGIN_REQUIRED:
		code = "login_required";
		if (describe_login(source, words))
			return reply_error(r, 503, code, words, -1);
		retry_after_s = -1;
		break;
	case OUTCOME_CLIENT_REJECTED:
		code = "client_rejected";
		retry_after_s = -1;
		break;
	case OUTCOME_TOKEN:
	case OUTCOME_UNCHANGED:
	case OUTCOME_UNAVAILABLE:
	case OUTCOME_HOLD:
		break;
	}
	describe_failure(source, now, words);
	if (retry_after_s < 0 || retry_after_s > REPLY_RETRY_AFTER_MOST_S)
		describe_next_attempt(outcome, words);
	return reply_error(r, 503, code, words, retry_after_s);
}

int reply_outcome(struct reply *r, struct token_reply_cache *cache,
	const struct profile_settings *settings, const struct token_source *source,
	const struct clock_reading *now, const struct token_ask *ask,
	const struct token_outcome *outcome)
{
	if (outcome->kind == OUTCOME_TOKEN) {
		reply_token(r, cache, settings, outcome);
		return 200;
	}
	if (outcome->kind == OUTCOME_UNCHANGED) {
		reply_not_modified(r);
		return 304;
	}
	return reply_refusal(r, source, now, ask, outcome);
}
