#include "token_failure.h"

#include "exchange.h"
#include "token_judge.h"
#include "token_next.h"
#include "token_response.h"

#include <stdio.h>

/* So many in a row are no passing trouble any more. */
#define UNANSWERED_MANY 3
#define KNOCK_SHARE 5 /* of mint_limit one part in so many is for what knocks lead to */

/* When to send another request after one that left at `sent` and, like some before it, was not
 * answered. Where a knock may be answered any moment, there is to be room for what follows it. */
static struct boot_time spread_unanswered(
	const struct token_source *s, const struct clock_reading *now, struct boot_time sent)
{
	unsigned limit = mint_window_limit(s->mint, s->settings.mint_limit);

	if (s->knock.unheard)
		limit -= limit / KNOCK_SHARE;
	return boot_max(mint_window_spread(s->mint, limit, sent),
		mint_window_next(s->mint, limit, now->boot));
}

/* Sets when the next fetch may begin, by what the latest brought. */
static void pause_after(struct token_source *s, const struct clock_reading *now,
	const struct exchange *x, const struct token_response *response, bool waited)
{
	bool busy = response->class == RESPONSE_THROTTLED || response->status == 429 ||
		    response->status == 503;
	struct duration left = token_source_left_to_serve(s, now), pause, short_pause,
			least = DURATION_ZERO;

	pause = retry_delay(s->failures, RETRY_MOST_S, &s->random);
	short_pause = retry_delay(
		s->failures, busy ? RETRY_MOST_BUSY_S : RETRY_MOST_WAITED_S, &s->random);
	pause = retry_in_life(pause, left);
	if (response->has_retry_after)
		least = retry_obey(response->retry_after);
	if (response->minted && s->failures > UNANSWERED_MANY)
		least = duration_max(
			least, boot_since(spread_unanswered(s, now, x->sent.boot), now->boot));
	short_pause = duration_max(duration_min(short_pause, pause), least);
	s->not_before_waited = boot_add(now->boot, short_pause);
	s->not_before =
		waited ? s->not_before_waited : boot_add(now->boot, duration_max(pause, least));
}

/* Refused in a way that no time heals; an answer of a form that is no use is no better. */
static void pause_after_refusal(struct token_source *s, const struct clock_reading *now,
	const struct token_response *response)
{
	struct duration pause = retry_refused(++s->refusals, token_source_left_to_serve(s, now));

	if (response->has_retry_after)
		pause = duration_max(pause, retry_obey(response->retry_after));
	token_source_retry_at(s, boot_add(now->boot, pause));
}

static enum event_kind event_of(enum response_class class)
{
	switch (class) {
	case RESPONSE_CLIENT_REJECTED:
		return EVENT_CLIENT_REJECTED;
	case RESPONSE_LOGIN_REQUIRED:
		return EVENT_LOGIN_REQUIRED;
	case RESPONSE_THROTTLED:
		return EVENT_THROTTLED;
	case RESPONSE_UNAVAILABLE:
	case RESPONSE_TOKEN:
		break;
	}
	return EVENT_FETCH_FAILED;
}

static void note_failure(struct token_source *s, const struct clock_reading *now,
	const struct token_response *response)
{
	struct source_failure *f = &s->last_failure;

	s->failures++;
	*f = (struct source_failure){.any = true,
		.unfit = response->unfit,
		.class = response->class,
		.status = response->status,
		.at = now->boot};
	snprintf(f->error, sizeof(f->error), "%s", response->error);
	snprintf(f->words, sizeof(f->words), "%s", response->words);
	snprintf(f->correlation_id, sizeof(f->correlation_id), "%s", response->correlation_id);
}

static void tell_failure(struct token_source *s, const struct clock_reading *now, bool waited)
{
	const struct source_failure *f = &s->last_failure;
	struct boot_time at = token_source_fetch_at(s, now);
	enum event_kind kind = event_of(f->class);
	char status[128] = "";

	if (f->status)
		snprintf(status, sizeof(status), " (HTTP %ld%s%s)", f->status,
			f->correlation_id[0] ? ", correlation id " : "", f->correlation_id);
	if (s->login == SOURCE_LOGIN_REFUSED) {
		history_add(s->history, now, kind, s->current.generation,
			"%.160s%s; the login has ended: somebody has to log in again", f->words,
			status);
		return;
	}
	/* nothing is planned where nobody asks: so much for whoever does */
	if (at.ns == BOOT_TIME_NEVER.ns)
		at = token_source_gate(s, now->boot, URGENCY_WANTED);
	if (waited)
		at = token_source_knock_chance(s, now->boot, at);
	history_add(s->history, now, kind, s->current.generation,
		"%.160s%s; next attempt in %lld s", f->words, status,
		(long long)duration_ceil_s(boot_since(at, now->boot)));
}

void token_source_failed_until(struct token_source *s, const struct clock_reading *now,
	const struct token_response *response, struct boot_time at)
{
	note_failure(s, now, response);
	token_source_retry_at(s, at);
	tell_failure(s, now, false);
}

static void note_silence(struct token_source *s, const struct exchange *x,
	const struct token_response *response, const struct fetch_under_way *fetch)
{
	struct source_knock *k = &s->knock;

	if (response->status) {
		*k = SOURCE_KNOCK_NONE;
		return;
	}
	k->silence = response->minted || x->silence;
	k->vain += k->silence && fetch->knocked;
}

/* A knock was answered since it left. */
static void ask_the_one_who_answers(struct token_source *s, const struct clock_reading *now)
{
	token_source_retry_at(s, now->boot);
	token_source_want_fetch(s, URGENCY_WANTED);
	s->next.waited = s->next.knocked = true;
}

void token_source_fetch_failed(struct token_source *s, const struct clock_reading *now,
	const struct exchange *x, const struct token_response *response,
	const struct fetch_under_way *fetch)
{
	bool refused = response->class == RESPONSE_CLIENT_REJECTED ||
		       response->class == RESPONSE_LOGIN_REQUIRED;

	note_failure(s, now, response);
	s->last_failure.unsent = x->unsent;
	note_silence(s, x, response, fetch);
	if ((refused || response->unfit) && (fetch->request_outdated || fetch->credential_outdated))
		/* what was refused, or got that, is not what would be sent now */
		token_source_retry_at(s, now->boot);
	else if (s->knock.silence && fetch->give_up_at.ns != BOOT_TIME_NEVER.ns)
		ask_the_one_who_answers(s, now);
	else if (refused || response->unfit)
		pause_after_refusal(s, now, response);
	else
		pause_after(s, now, x, response, fetch->waited);
	tell_failure(s, now, fetch->waited);
}
