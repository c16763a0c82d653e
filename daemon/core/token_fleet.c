#include "token_fleet.h"

#include "token_failure.h"
#include "token_fetch.h"
#include "token_judge.h"
#include "token_response.h"

#include <stdio.h>

static struct fetch_under_way end_fetch(struct token_source *s)
{
	const struct fetch_under_way fetch = s->fetch;

	s->fetch = (struct fetch_under_way){.purpose = PURPOSE_NONE};
	s->fetches_ended++;
	s->attention = s->changed = true;
	return fetch;
}

/* Another host may have sent a request, but not this one. */
static struct fetch_under_way end_unsent(struct token_source *s)
{
	mint_window_take_back(s->mint, s->fetch.begun);
	return end_fetch(s);
}

bool token_source_adopt(struct token_source *s, const struct clock_reading *now,
	struct token *token, const struct token_adoption *a)
{
	struct token_slot slot = {
		.generation = a->generation,
		.fleet_generation = a->fleet_generation,
		.life = *a->life,
	};
	const struct token_slot *older;

	if (s->revoked || (s->current.token.text && token_equal(&s->current.token, token)))
		return false;
	older = token_source_older_in_service(s, now);
	if (a->ends_fetch && token_source_fetching(s))
		end_unsent(s);
	token_source_succeeded(s);
	token_move(&slot.token, token);
	token_source_take(s, now, &slot, older);
	s->attention = s->changed = true;
	return true;
}

void token_source_start_again(struct token_source *s)
{
	s->revoked = false;
}

void token_source_ask_clock(struct token_source *s)
{
	s->probes_wanted = 1;
	s->attention = true;
}

void token_source_share(struct token_source *s, uint64_t fleet_generation)
{
	s->current.fleet_generation = fleet_generation;
}

static bool is_shared(const struct token_slot *slot, uint64_t fleet_generation)
{
	return slot->token.text && slot->fleet_generation == fleet_generation;
}

void token_source_end_earlier(
	struct token_source *s, uint64_t fleet_generation, struct boot_time end)
{
	struct token_slot *c = &s->current;
	struct duration less = boot_since(c->life.end, end);

	if (!is_shared(c, fleet_generation) || less.ns <= 0)
		return;
	c->life.end = end;
	/* the server's clock says that it ends then as before */
	c->life.hi0 = duration_add(c->life.hi0, less);
	s->refresh_at = boot_sub(s->refresh_at, less);
	s->attention = s->changed = true;
}

void token_source_rejected_elsewhere(
	struct token_source *s, const struct clock_reading *now, uint64_t fleet_generation)
{
	struct token_slot *c = &s->current;

	if (!is_shared(c, fleet_generation) || c->rejected)
		return;
	c->rejected = true;
	s->refresh_unrejected = s->refresh_at;
	s->refresh_at = boot_min(s->refresh_at, now->boot);
	if (s->verification.generation == c->generation)
		s->verification.state = VERIFICATION_ENDED;
	s->attention = s->changed = true;
	history_add(s->history, now, EVENT_REJECTED, c->generation,
		"token %s was rejected on another host of the fleet", c->token.fingerprint);
}

void token_source_give_up(struct token_source *s, const struct clock_reading *now,
	const struct token_refusal *refusal)
{
	struct token_response response = {.class = refusal->class};

	if (!token_source_fetching(s))
		return;
	end_unsent(s);
	if (refusal->accepted)
		s->current.rejected = false;
	snprintf(response.words, sizeof(response.words), "%s", refusal->words);
	token_source_failed_until(s, now, &response, boot_add(now->boot, refusal->wait));
}

void token_source_superseded(struct token_source *s, const struct clock_reading *now)
{
	(void)now;
	if (!token_source_fetching(s))
		return;
	end_fetch(s);
	token_source_succeeded(s);
	s->fetch_succeeded = s->fetches_ended;
}

void token_source_posts(struct token_source *s, const struct clock_reading *now)
{
	mint_window_take_back(s->mint, s->fetch.begun);
	s->fetch.begun = now->boot;
	mint_window_add(s->mint, now->boot);
}
