#include "fleet_member.h"

#include "broker.h"
#include "fleet_link.h"
#include "fleet_operation.h"
#include "fleet_story.h"
#include "oauth_client.h"
#include "profile_type.h"
#include "token_api.h"
#include "token_exchange.h"

#include "core/config.h"
#include "core/fleet_decide.h"
#include "core/handover_fleet.h"
#include "core/lifetime_adopt.h"
#include "core/retry.h"
#include "core/secret.h"
#include "core/token_fetch.h"
#include "core/token_fleet.h"
#include "core/token_reject.h"
#include "core/token_source.h"
#include "core/views.h"
#include "host/clock.h"
#include "store/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A permit to mint alone ends when it was not asked for again for so long. */
#define PERMIT_KEPT_S 900
#define PERMIT_AGAIN_S 600

static struct fleet_settings settings_of(const struct profile *p)
{
	const struct fleet_config *f = &p->broker->config->broker.fleet;

	return (struct fleet_settings){
		.may_mint = *p->credential.client_secret,
		.poll = f->poll,
		.use_margin = p->settings->use_margin,
		.alone = f->alone,
		.cooldown = p->settings->reject_cooldown,
	};
}

/* ---- membership ---- */

static size_t keys_size(const struct fleet_link *l)
{
	return l->secrets.key_count * sizeof(struct fleet_key);
}

static void unlink_store(struct fleet_member *m, struct boot_time now)
{
	store_token_free(m->token);
	m->token = NULL;
	if (m->keys)
		secret_free(m->keys, keys_size(m->link));
	m->keys = NULL;
	m->link = NULL;
	fleet_down(&m->fleet, now);
}

static int link_store(struct fleet_member *m, const struct clock_reading *now)
{
	struct fleet_link *l = m->profile->broker->fleet;
	int r = 0;

	m->link = l;
	m->keys = secret_alloc(keys_size(l));
	if (!m->keys)
		return -ENOMEM;
	for (size_t i = 0; i < l->secrets.key_count && !r; i++)
		r = fleet_key_init(&m->keys[i], l->secrets.keys[i], &m->subject);
	if (!r)
		r = store_token_new(&m->token, l->store, &m->subject, 0, m);
	if (r) {
		unlink_store(m, now->boot);
		return r;
	}
	m->permit_at = now->boot;
	if (l->up)
		fleet_up(&m->fleet, now->boot);
	return 0;
}

/* The fleet's current token is the token source's too, and not one that it got elsewhere. */
static bool is_served(const struct fleet_member *m)
{
	const struct token_slot *c = &m->profile->source.current;

	return c->token.text && c->fleet_generation &&
	       c->fleet_generation == m->fleet.current.generation;
}

/* What the previous run, or the time before a reload, left of the fleet's token. */
static void resume(struct fleet_member *m)
{
	const struct token_slot *c = &m->profile->source.current;
	const struct fleet_token token = {
		.generation = c->fleet_generation,
		.end = lifetime_over(&c->life),
		.received = c->life.received,
		.issued = c->life.issued,
		.rejected = c->rejected,
		.own = c->own,
	};

	if (c->token.text && c->fleet_generation)
		fleet_resume(&m->fleet, &token);
}

/* The token source waits for a verdict on its current token, and this host does not ask the API. */
static bool awaits_verdict(const struct profile *p)
{
	const struct token_source *s = &p->source;

	return !p->verification && s->verification.state == VERIFICATION_UNDER_WAY &&
	       s->verification.generation == s->current.generation;
}

static struct fleet_member *member_new(struct profile *p, const struct clock_reading *now)
{
	const struct fleet_settings settings = settings_of(p);
	struct fleet_member *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->profile = p;
	m->clock_at = BOOT_TIME_NEVER;
	if (fleet_subject_init(&m->subject, p->settings->token_url, p->credential.client_id,
		    grant_name(p->settings->grant), p->settings->scope,
		    p->settings->extra_params)) {
		free(m);
		return NULL;
	}
	fleet_init(&m->fleet, &settings, random_next(&p->broker->random), now->boot);
	if (p->client->state.fleet)
		fleet_restore(
			&m->fleet, p->client->state.fleet_lowest, p->client->state.fleet_rank);
	resume(m);
	return m;
}

bool fleet_member_join(struct profile *p, const struct clock_reading *now)
{
	struct fleet_settings settings;

	if (!p->fleet)
		p->fleet = member_new(p, now);
	if (!p->fleet || (!p->fleet->link && link_store(p->fleet, now)))
		return false;
	settings = settings_of(p);
	fleet_configure(&p->fleet->fleet, &settings);
	return true;
}

void fleet_member_hand_over(const struct fleet_member *m, struct handover_fleet *ret)
{
	const struct fleet_token *t = &m->fleet.current;

	ret->lowest = fleet_lowest(&m->fleet);
	ret->rank = m->fleet.rank;
	ret->token = is_served(m) || t->stopped ? *t : (struct fleet_token){.generation = 0};
	ret->server_end = m->server_end;
	memcpy(ret->host, m->host, sizeof(ret->host));
}

void fleet_member_resume(struct fleet_member *m, const struct handover_fleet *past)
{
	const struct fleet_token *t = &past->token;

	if (past->lowest > fleet_lowest(&m->fleet))
		fleet_restore(&m->fleet, past->lowest, past->rank);
	/* unless an admin has started it again, and only then was it ended */
	if (t->stopped && m->profile->source.revoked)
		fleet_resume(&m->fleet, t);
	if (!is_served(m))
		return;
	m->server_end = past->server_end;
	memcpy(m->host, past->host, sizeof(m->host));
}

void fleet_member_leave(struct profile *p)
{
	const struct token_refusal refusal = {
		.class = RESPONSE_UNAVAILABLE,
		.words = "it was to be asked for in the fleet, to which this profile does not "
			 "belong any more",
	};
	struct fleet_member *m = p->fleet;
	struct clock_reading now;

	if (!m)
		return;
	clock_read(&now);
	if (!m->posting)
		token_source_give_up(&p->source, &now, &refusal);
	if (awaits_verdict(p))
		token_api_verify(p);
	token_source_share(&p->source, 0);
	unlink_store(m, now.boot);
	p->fleet = NULL;
	free(m);
}

void fleet_members_unlink(struct broker *b)
{
	struct clock_reading now;

	clock_read(&now);
	for (size_t i = 0; i < b->profiles.count; i++) {
		struct profile *p = b->profiles.items[i];

		if (p->fleet && p->fleet->link)
			unlink_store(p->fleet, now.boot);
		p->wake_at = SOURCE_LONG_AGO;
	}
}

void fleet_member_ask_for_turn(struct fleet_member *m)
{
	m->profile->wake_at = SOURCE_LONG_AGO;
	turn_soon(&m->profile->broker->turn);
}

/* ---- the token source's side ---- */

void fleet_member_want(struct fleet_member *m, const struct clock_reading *now, bool forced)
{
	const struct profile *p = m->profile;
	const struct token_slot *c = &p->source.current;
	char tag[FLEET_TAG_DIGITS + 1];
	enum fleet_wish wish = forced           ? FLEET_WISH_ADMIN
			       : !c->token.text ? FLEET_WISH_TOKEN
			       : c->rejected    ? FLEET_WISH_REPORT
						: FLEET_WISH_REFRESH;

	if (!fleet_key_tag(m->link->secrets.keys[0], p->credential.client_id,
		    p->credential.client_secret, tag) &&
		strcmp(tag, m->tag) != 0) {
		memcpy(m->tag, tag, sizeof(tag));
		fleet_credential_changed(&m->fleet, now->boot);
	}
	fleet_want(&m->fleet, now->boot, wish);
}

bool fleet_member_check(struct fleet_member *m, const struct clock_reading *now)
{
	const struct token_source *s = &m->profile->source;

	if (!m->link || !is_served(m) || token_source_to_verify(s) != &s->current)
		return false;
	fleet_check(&m->fleet, now->boot);
	return true;
}

static enum fleet_found found(const struct token_source *s)
{
	if (s->verification.state == VERIFICATION_ENDED && s->verification.accepted)
		return FLEET_FOUND_ACCEPTED;
	return s->current.rejected ? FLEET_FOUND_REJECTED : FLEET_FOUND_NOTHING;
}

static void look_at_check(struct fleet_member *m, const struct clock_reading *now)
{
	const struct token_verification *v = &m->profile->source.verification;

	if (m->fleet.check.state == FLEET_CHECK_UNDER_WAY && v->state != VERIFICATION_UNDER_WAY)
		fleet_checked(&m->fleet, now->boot, found(&m->profile->source));
	/* the fleet has another token, but this host cannot take it */
	if (m->fleet.check.state == FLEET_CHECK_NONE && awaits_verdict(m->profile))
		token_api_verify(m->profile);
}

static void end_check(
	struct fleet_member *m, const struct clock_reading *now, const struct fleet_decision *d)
{
	struct token_source *s = &m->profile->source;

	token_source_verified(
		s, now, s->current.generation, d->accepted ? VERDICT_ACCEPTED : VERDICT_TOO_NEW);
}

static void end_fetch(
	struct fleet_member *m, const struct clock_reading *now, const struct fleet_decision *d)
{
	const struct fleet_link *l = m->link;
	struct token_refusal refusal = {.class = RESPONSE_UNAVAILABLE, .wait = d->wait};
	char words[320];

	refusal.words = words;
	switch (d->reason) {
	case FLEET_BECAUSE_HOLD:
		refusal.class = d->class;
		snprintf(words, sizeof(words),
			"a token request of another host of the fleet failed (%s)",
			response_class_name(d->class));
		break;
	case FLEET_BECAUSE_LIMIT:
		snprintf(words, sizeof(words),
			"mint_limit: the fleet has used up its token requests of %d s",
			MINT_WINDOW_S);
		break;
	case FLEET_BECAUSE_COOLDOWN:
		refusal.accepted = true;
		snprintf(words, sizeof(words),
			"the fleet has only just replaced a rejected token (reject_cooldown)");
		break;
	case FLEET_BECAUSE_DOWN:
		snprintf(words, sizeof(words),
			"the fleet's store cannot be reached, for %lld s now%s%.160s, and this "
			"host %s",
			(long long)duration_floor_s(boot_since(now->boot, l->since)),
			*l->why ? ": " : "", l->why,
			m->fleet.settings.may_mint ? "has no permit to fetch alone"
						   : "has no client secret");
		break;
	case FLEET_BECAUSE_REFUSED:
		snprintf(words, sizeof(words),
			"the fleet's store has refused what this host asks of it for %lld s, and "
			"this host has no permit to fetch alone",
			(long long)duration_floor_s(boot_since(now->boot, m->fleet.refused_since)));
		break;
	case FLEET_BECAUSE_FOREIGN:
		snprintf(words, sizeof(words),
			"the fleet's token is sealed with a key that is not known here; see "
			"fleet_key_file and fleet_old_key_files");
		break;
	case FLEET_BECAUSE_FOLLOWER:
		snprintf(words, sizeof(words),
			"this host has no client secret, and no other host of the fleet has "
			"fetched a token");
		break;
	}
	token_source_give_up(&m->profile->source, now, &refusal);
}

/* Only who fetches has exchanges with the login server that tell its clock. */
static void ask_for_clock(struct fleet_member *m, const struct clock_reading *now)
{
	if (!boot_before(now->boot, m->clock_at)) {
		token_source_ask_clock(&m->profile->source);
		m->clock_at = BOOT_TIME_NEVER;
	}
	m->wake_at = boot_min(m->wake_at, m->clock_at);
}

static void ask_for_permit(struct fleet_member *m, const struct clock_reading *now)
{
	const struct fleet_settings *s = &m->fleet.settings;

	if (!s->may_mint || !s->alone || !m->fleet.up)
		return;
	if (fleet_permit_lost(&m->fleet))
		m->permit_at = now->boot;
	if (!boot_before(now->boot, m->permit_at)) {
		store_permit(m->token, s->alone, duration_s(PERMIT_KEPT_S));
		m->permit_at = boot_add(now->boot, duration_s(PERMIT_AGAIN_S));
	}
	m->wake_at = boot_min(m->wake_at, m->permit_at);
}

bool fleet_member_turn(struct fleet_member *m, const struct clock_reading *now)
{
	struct fleet_decision d;

	/* An exchange may have shown that it ends earlier. */
	if (is_served(m))
		fleet_ends(&m->fleet, lifetime_over(&m->profile->source.current.life));
	for (;;) {
		look_at_check(m, now);
		fleet_decide(&m->fleet, now->boot, &d);
		m->wake_at = d.wake_at;
		switch (d.todo) {
		case FLEET_TODO_NOTHING:
			ask_for_permit(m, now);
			ask_for_clock(m, now);
			return false;
		case FLEET_TODO_OPERATION:
			fleet_operation_begin(m, now, &d);
			break;
		case FLEET_TODO_GIVE_UP:
			end_fetch(m, now, &d);
			break;
		case FLEET_TODO_CHECK:
			token_api_verify(m->profile);
			break;
		case FLEET_TODO_CHECKED:
			end_check(m, now, &d);
			break;
		case FLEET_TODO_MINT:
			/* a wish may have ended otherwise meanwhile */
			if (m->profile->source.fetch.purpose == PURPOSE_NONE) {
				fleet_mint_failed(
					&m->fleet, now->boot, RESPONSE_UNAVAILABLE, DURATION_ZERO);
				break;
			}
			if (d.alone)
				fleet_story_alone(m, now);
			m->posting = true;
			m->wake_at = now->boot; /* the lease is kept */
			return true;
		}
	}
}

bool fleet_member_outdone(struct fleet_member *m, const struct clock_reading *now)
{
	const struct fleet_token *t = &m->fleet.current;

	m->posting = false;
	if (!m->fleet.minting || !t->generation || m->fleet.fence > t->generation)
		return false;
	fleet_minted(&m->fleet, now->boot, now->boot, t->issued);
	token_source_superseded(&m->profile->source, now);
	history_add(&m->profile->history, now, EVENT_FLEET, 0,
		"the token that this host fetched came too late: the fleet has a newer one");
	return true;
}

static void minted(
	struct fleet_member *m, const struct clock_reading *now, const struct token_exchange *x)
{
	struct token_source *s = &m->profile->source;
	const struct lifetime *life = &s->current.life;

	if (!fleet_minted(&m->fleet, now->boot, lifetime_over(life), life->issued))
		return;
	token_source_share(s, m->fleet.current.generation);
	m->server_end = lifetime_server_end(
		x->has_sample ? &x->sample : NULL, life->issued, &x->response.claims);
	m->not_before = duration_max(boot_since(life->valid, now->boot), DURATION_ZERO);
	memcpy(m->host, m->link ? m->link->host_bytes : m->host, sizeof(m->host));
}

void fleet_member_fetched(struct fleet_member *m, const struct clock_reading *now,
	enum fetched fetched, const struct token_exchange *x)
{
	const struct token_response *r = &x->response;
	enum response_class class = RESPONSE_UNAVAILABLE;
	struct duration wait = DURATION_ZERO;

	if (!m->fleet.minting)
		return;
	if (fetched == FETCHED_TOKEN) {
		minted(m, now, x);
		return;
	}
	if (fetched == FETCHED_SAME)
		wait = duration_s(FLEET_SAME_WAIT_S);
	else if (r->has_retry_after)
		wait = retry_obey(r->retry_after);
	if (fetched == FETCHED_FAILED && fleet_class_word(r->class))
		class = r->class;
	fleet_mint_failed(&m->fleet, now->boot, class, wait);
}

void fleet_member_stop(struct fleet_member *m, const struct clock_reading *now)
{
	if (!m->fleet.settings.may_mint)
		return;
	fleet_stop(&m->fleet, now->boot);
	fleet_member_ask_for_turn(m);
}

/* ---- reports ---- */

void fleet_member_view(
	const struct profile *p, const struct clock_reading *now, struct fleet_view *ret)
{
	const struct fleet_member *m = p->fleet;
	int64_t hosts;
	bool alone;

	*ret = (struct fleet_view){.state = FLEET_STATE_NONE};
	if (!m || !m->link)
		return;
	hosts = store_hosts(m->link->store);
	*ret = (struct fleet_view){
		.state = FLEET_STATE_UP,
		.lasts = boot_since(now->boot, m->link->since),
		.up = m->link->up,
		.linked = boot_since(now->boot, m->link->since),
		.problem = *m->link->why ? m->link->why : NULL,
		.follows = !m->fleet.settings.may_mint,
		.own = m->fleet.current.own && !m->fleet.current.stopped,
		.generation = m->fleet.current.generation,
		.hosts = hosts > 0 ? (uint64_t)hosts : 0,
		.host = m->link->host,
		.counters = &m->fleet.counters,
	};
	alone = m->fleet.alone && ret->own;
	if (!m->link->up)
		ret->state = alone ? FLEET_STATE_ALONE : FLEET_STATE_DOWN;
	else if (boot_before(now->boot, m->fleet.foreign_until))
		ret->state = FLEET_STATE_OTHER_KEY;
	else if (m->fleet.current.stopped)
		ret->state = FLEET_STATE_STOPPED;
	else if (alone && m->fleet.unpublished && m->fleet.refused_since.ns != BOOT_TIME_NEVER.ns) {
		ret->state = FLEET_STATE_ALONE;
		ret->lasts = boot_since(now->boot, m->fleet.refused_since);
	}
}
