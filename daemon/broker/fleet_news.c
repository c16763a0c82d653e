#include "fleet_news.h"

#include "broker.h"
#include "endpoint.h"
#include "fleet_link.h"
#include "fleet_member.h"
#include "fleet_story.h"
#include "oauth_client.h"
#include "pages.h"
#include "profile_type.h"

#include "core/lifetime_adopt.h"
#include "core/server_clock.h"
#include "core/token_fleet.h"
#include "core/token_source.h"
#include "host/clock.h"
#include "host/log.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#define AGAIN_S 1
/* All hosts take a new token at once, but do not ask for the clock at once. */
#define CLOCK_WITHIN_S 60

/* ---- what the store has ---- */

static struct fleet_sight open_record(const struct fleet_member *m, const struct clock_reading *now,
	const struct fleet_stored *r, struct fleet_record *ret)
{
	struct fleet_sight sight = {.seal = FLEET_SEAL_NONE, .ceiling = BOOT_TIME_NEVER};

	*ret = FLEET_RECORD_NONE;
	if (!r->generation)
		return sight;
	switch (fleet_record_open(m->keys, m->link->secrets.key_count, &m->subject, r->generation,
		r->sealed, r->sealed_length, ret)) {
	case SEALED_GOOD:
		sight.seal = ret->stopped ? FLEET_SEAL_STOPPED : FLEET_SEAL_GOOD;
		sight.issued = ret->issued;
		sight.ceiling = lifetime_ceiling(&m->profile->endpoint->clock.skew, now, ret->end);
		break;
	case SEALED_NEWER:
	case SEALED_OTHER_KEY:
		sight.seal = FLEET_SEAL_FOREIGN;
		break;
	case SEALED_DAMAGED:
	case SEALED_FOREIGN:
	case SEALED_NO_MEMORY:
		sight.seal = FLEET_SEAL_DAMAGED;
		break;
	}
	return sight;
}

/* Its host has the fleet's key. */
static bool is_proven(const struct fleet_member *m, const struct fleet_verdict *v)
{
	const struct fleet_secrets *s = &m->link->secrets;
	char proof[FLEET_PROOF_DIGITS + 1];

	for (size_t i = 0; v->fence && i < s->key_count; i++)
		if (!fleet_key_proof(s->keys[i], &m->subject, m->fleet.current.generation, v->fence,
			    proof) &&
			!CRYPTO_memcmp(proof, v->proof, FLEET_PROOF_DIGITS))
			return true;
	return false;
}

static void give_up(struct fleet_member *m, const struct clock_reading *now, const char *words,
	enum response_class class, struct duration wait)
{
	const struct token_refusal refusal = {.class = class, .words = words, .wait = wait};

	if (!m->posting)
		token_source_give_up(&m->profile->source, now, &refusal);
}

static void adopt(struct fleet_member *m, const struct clock_reading *now,
	struct fleet_record *record, const char *how)
{
	const struct fleet_token *t = &m->fleet.current;
	struct profile *p = m->profile;
	struct token_source *s = &p->source;
	const struct lifetime_adoption evidence = {
		.now = *now,
		.end = t->end,
		.issued = t->issued,
		.not_before = record->not_before,
		.server_end = record->end,
		.spread = server_clock_spread(&p->endpoint->clock, now),
		.background = token_source_older_in_service(s, now) && !s->current.rejected,
	};
	struct lifetime life;
	struct token_adoption adoption = {
		.life = &life,
		.generation = oauth_client_next_generation(p->client),
		.fleet_generation = t->generation,
		.ends_fetch = !m->posting,
	};

	if (lifetime_adopt(&life, &evidence, &s->settings.policy) != LIFETIME_FINE) {
		give_up(m, now, "the fleet's token has ended by what is known here",
			RESPONSE_UNAVAILABLE, duration_s(AGAIN_S));
		return;
	}
	if (s->current.token.text && token_equal(&s->current.token, &record->token)) {
		token_source_share(s, t->generation);
		give_up(m, now, "the fleet's newer token is the same again", RESPONSE_UNAVAILABLE,
			duration_s(FLEET_SAME_WAIT_S));
		return;
	}
	if (!token_source_adopt(s, now, &record->token, &adoption))
		return;
	m->server_end = record->end;
	m->not_before = DURATION_ZERO;
	memcpy(m->host, record->host, sizeof(m->host));
	m->clock_at =
		boot_add(now->boot, random_duration(&m->fleet.random, duration_s(CLOCK_WITHIN_S)));
	oauth_client_use_generation(p->client, adoption.generation);
	oauth_client_save(p->client, p, NULL);
	history_add(&p->history, now, EVENT_FLEET, adoption.generation,
		"another host of the fleet fetched it (%s; the fleet's generation %llu)", how,
		(unsigned long long)t->generation);
}

/* An admin has revoked it on another host. */
static void stop(struct fleet_member *m, const struct clock_reading *now)
{
	struct profile *p = m->profile;
	struct token tokens[2];

	if (p->source.revoked)
		return;
	token_source_revoke(&p->source, now, tokens);
	token_fini(&tokens[0]);
	token_fini(&tokens[1]);
	pages_retire(p);
	oauth_client_save(p->client, p, NULL);
	history_add(&p->history, now, EVENT_FLEET, 0,
		"an admin revoked the token on another host, and thereby for the whole fleet");
}

static void taken(struct fleet_member *m, const struct clock_reading *now, enum fleet_taken what,
	bool was_stopped, struct fleet_record *record, const char *how)
{
	struct token_source *s = &m->profile->source;
	const struct fleet_token *t = &m->fleet.current;

	switch (what) {
	case FLEET_TAKEN_NOTHING:
		break;
	case FLEET_TAKEN_TOKEN:
		if (was_stopped)
			token_source_start_again(s);
		adopt(m, now, record, how);
		break;
	case FLEET_TAKEN_EARLIER:
		token_source_end_earlier(s, t->generation, t->end);
		break;
	case FLEET_TAKEN_REJECTED:
		token_source_rejected_elsewhere(s, now, t->generation);
		break;
	case FLEET_TAKEN_STOP:
		stop(m, now);
		break;
	}
	fleet_member_ask_for_turn(m);
}

/* ---- what the store says ---- */

static void each_member(
	struct broker *b, void (*tell)(struct fleet *f, struct boot_time at), struct boot_time at)
{
	for (size_t i = 0; i < b->profiles.count; i++) {
		struct fleet_member *m = b->profiles.items[i]->fleet;

		if (m && m->link) {
			tell(&m->fleet, at);
			fleet_member_ask_for_turn(m);
		}
	}
}

static void store_up(void *context, struct boot_time at)
{
	struct broker *b = context;
	struct fleet_link *l = b->fleet;

	l->up = true;
	l->since = at;
	l->why[0] = '\0';
	log_line(LOG_NOTICE, "the fleet's store is connected; this host is %s", l->host);
	l->told = false;
	each_member(b, fleet_up, at);
}

static void store_down(void *context, bool was_up, const char *why)
{
	struct broker *b = context;
	struct fleet_link *l = b->fleet;
	struct clock_reading now;

	clock_read(&now);
	snprintf(l->why, sizeof(l->why), "%s", why);
	if (was_up)
		l->since = now.boot;
	l->up = false;
	if (!l->told)
		log_line(LOG_WARNING,
			"the fleet's store cannot be reached: %s. Tokens are served to their ends, "
			"and it is tried again",
			why);
	l->told = true;
	each_member(b, fleet_down, now.boot);
}

static void store_anchored(void *context, struct boot_time sent)
{
	struct broker *b = context;

	for (size_t i = 0; i < b->profiles.count; i++)
		if (b->profiles.items[i]->fleet)
			fleet_anchored(&b->profiles.items[i]->fleet->fleet, sent);
}

/* An answer, or a message, from before it is known until it has been carried out. */
struct hearing {
	struct clock_reading now;
	struct fleet_record record;
	struct fleet_sight sight;
	struct fleet_story story;
	bool was_stopped;
};

static void hear(
	const struct fleet_member *m, const struct fleet_stored *stored, struct hearing *ret)
{
	clock_read(&ret->now);
	ret->was_stopped = m->fleet.current.stopped;
	ret->sight = open_record(m, &ret->now, stored, &ret->record);
	fleet_story_begin(m, &ret->now, &ret->story);
}

/* `answer`: NULL of a message. */
static void heard(struct fleet_member *m, struct hearing *h, enum fleet_taken what,
	const struct fleet_answer *answer)
{
	fleet_story_end(m, &h->now, &h->story, answer);
	taken(m, &h->now, what, h->was_stopped, &h->record, answer ? "read" : "told");
	fleet_record_fini(&h->record);
}

static void store_ended(void *context, const struct store_result *result)
{
	const struct fleet_answer *answer = result->answer;
	struct fleet_member *m = context;
	struct clock_reading now;
	struct hearing h;

	if (answer) {
		hear(m, &answer->record, &h);
		h.sight.proven = is_proven(m, &answer->verdict);
		heard(m, &h, fleet_answered(&m->fleet, result->received, answer, &h.sight), answer);
		return;
	}
	clock_read(&now);
	history_add(&m->profile->history, &now, EVENT_FLEET_TROUBLE, 0,
		"the fleet's store refused a command: %.200s",
		result->problem ? result->problem : "");
	fleet_refused(&m->fleet, now.boot);
	fleet_member_ask_for_turn(m);
}

static void store_message(void *context, struct boot_time at, const struct fleet_message *message)
{
	struct fleet_member *m = context;
	struct hearing h;

	hear(m, &message->record, &h);
	heard(m, &h, fleet_pushed(&m->fleet, at, message, &h.sight), NULL);
}

static void store_permitted(void *context, bool granted, uint32_t rank)
{
	struct fleet_member *m = context;

	fleet_permitted(&m->fleet, granted ? rank : FLEET_NO_PERMIT);
	if (m->profile->client->state.fleet_rank != m->fleet.rank)
		oauth_client_save(m->profile->client, m->profile, NULL);
}

const struct store_hooks fleet_hooks = {
	.up = store_up,
	.down = store_down,
	.anchored = store_anchored,
	.ended = store_ended,
	.message = store_message,
	.permitted = store_permitted,
};
