/* A host and its store: operations, messages, the connection. */
#include "host_parts.h"

#include "core/lifetime_adopt.h"
#include "core/token_fetch.h"
#include "core/token_fleet.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_S 2
#define HEAD_SPREAD_S 60
#define WAY_NS NS_PER_MS /* the longest to the store or back */

static struct duration way(struct host *h)
{
	return duration_ns(NS_PER_MS / 10 + world_upto(h->world, WAY_NS));
}

static bool is_cut(const struct host *h)
{
	return h->cut_until.ns > h->world->sim.now.ns || !h->world->store.up;
}

/* ---- what comes from the store ---- */

static void head(void *context, uint64_t life)
{
	struct host *h = context;
	struct clock_reading now = host_clock(h);
	struct skew_sample sample;
	int64_t trip = 20 * NS_PER_MS;

	if (h->life != life || h->stopped_until.ns > h->world->sim.now.ns)
		return;
	/* it took so long, and is told of at once */
	sample = (struct skew_sample){
		.sent = now, .received = now.boot, .date_s = now.wall.ns / NS_PER_S};
	sample.sent.boot.ns -= trip;
	sample.sent.wall.ns -= trip;
	sample.lo.ns = sample.date_s * NS_PER_S - now.boot.ns;
	sample.hi.ns = (sample.date_s + 1) * NS_PER_S - sample.sent.boot.ns;
	skew_add(&h->skew, &sample, NULL);
	token_source_exchange(&h->source, &now, &sample, DURATION_ZERO);
	if (h->fleet.current.generation && !h->fleet.current.own) {
		struct boot_time end = lifetime_ceiling(&h->skew, &now, h->sealed.server_end);

		fleet_ends(&h->fleet, end);
		token_source_end_earlier(&h->source, h->fleet.current.generation, end);
	}
	host_turn(h);
}

void host_ask_for_dates(struct host *h)
{
	struct world *w = h->world;

	if (w->run->settings->dates)
		sim_after(&w->sim, duration_ns(world_upto(w, HEAD_SPREAD_S * NS_PER_S)), SIM_WORLD,
			head, h, h->life);
}

static void adopt(struct host *h, const struct sealed *sealed)
{
	struct clock_reading now = host_clock(h);
	const struct lifetime_adoption from = {
		.now = now,
		.end = h->fleet.current.end,
		.issued = sealed->issued,
		.server_end = sealed->server_end,
		.background = token_source_older_in_service(&h->source, &now) != NULL,
	};
	struct lifetime life;
	const struct token_adoption a = {
		.life = &life,
		.generation = h->generation + 1,
		.fleet_generation = h->fleet.current.generation,
		.ends_fetch = !h->posting,
	};
	struct token token;
	char text[32];

	h->sealed = *sealed;
	if (lifetime_adopt(&life, &from, &h->source.settings.policy) != LIFETIME_FINE)
		return;
	snprintf(text, sizeof(text), "t%zu", sealed->token);
	if (token_init(&token, text, strlen(text)))
		abort();
	h->generation += token_source_adopt(&h->source, &now, &token, &a);
	token_fini(&token);
	h->world->figures.adopted++;
	host_ask_for_dates(h);
}

static void took(struct host *h, enum fleet_taken taken, const struct sealed *sealed)
{
	struct clock_reading now = host_clock(h);
	const struct fleet_token *t = &h->fleet.current;

	switch (taken) {
	case FLEET_TAKEN_NOTHING:
	case FLEET_TAKEN_STOP:
		break;
	case FLEET_TAKEN_TOKEN:
		adopt(h, sealed);
		break;
	case FLEET_TAKEN_EARLIER:
		token_source_end_earlier(&h->source, t->generation, t->end);
		break;
	case FLEET_TAKEN_REJECTED:
		token_source_rejected_elsewhere(&h->source, &now, t->generation);
		break;
	}
}

static struct fleet_sight sight_of(const struct host *h, const struct sealed *sealed)
{
	struct clock_reading now = host_clock(h);

	return (struct fleet_sight){
		.seal = FLEET_SEAL_GOOD,
		.issued = sealed->issued,
		.ceiling = lifetime_ceiling(&h->skew, &now, sealed->server_end),
		.proven = true,
	};
}

static void pushed(void *context, uint64_t value)
{
	struct flight *f = context;
	struct host *h = f->host;

	if (h->life == f->life && h->link == f->link && !is_cut(h)) {
		const struct fleet_sight sight = sight_of(h, &f->sealed);
		struct clock_reading now = host_clock(h);

		if (host_waits(h, pushed, f, value))
			return;
		took(h, fleet_pushed(&h->fleet, now.boot, &f->message, &sight), &f->sealed);
		host_turn(h);
	}
	free(f);
}

static void publish(struct world *w, struct store_effect effect, const struct sealed *sealed)
{
	for (unsigned i = 0; i < w->run->hosts; i++) {
		struct host *h = &w->hosts[i];
		struct true_time at = {w->sim.now.ns + way(h).ns};
		struct flight *f;

		if (!h->connected || is_cut(h))
			continue;
		f = host_flight(h);
		f->message = store_message(&w->store, effect);
		f->sealed = *sealed;
		/* in order, as by one connection */
		if (at.ns <= h->pushed_at.ns)
			at.ns = h->pushed_at.ns + 1;
		h->pushed_at = at;
		sim_at(&w->sim, at, SIM_WORLD, pushed, f, 0);
	}
}

/* What the core would have done but for the rule that is left out. */
static void leave_out(struct host *h, const struct fleet_answer *a, struct boot_time put_before,
	uint64_t steps_before)
{
	struct fleet *f = &h->fleet;
	bool fresh = put_before.ns == BOOT_TIME_NEVER.ns && f->put_at.ns != BOOT_TIME_NEVER.ns;

	switch (h->world->run->mutant) {
	case MUTANT_NO_REDATE:
		if (fresh && f->counters.store_clock_steps > steps_before)
			f->put_at = BOOT_TIME_NEVER;
		break;
	case MUTANT_NO_RESTORE:
		if (fresh && a->word == FLEET_SAYS_RECORD && !f->unpublished &&
			a->record.generation < f->current.generation)
			f->put_at = BOOT_TIME_NEVER;
		break;
	case MUTANT_NO_BREAK:
		f->lease.since = f->hold.since = host_clock(h).boot;
		if (a->word == FLEET_SAYS_HELD || a->word == FLEET_SAYS_HOLD)
			f->not_before = boot_add(host_clock(h).boot, a->wait);
		break;
	case MUTANT_NO_VERDICT:
		if (f->check.state == FLEET_CHECK_ENDED && f->check.accepted) {
			f->check.doubted = a->verdict.fence;
			f->check.state = FLEET_CHECK_WANTED;
		}
		f->check.good_until = boot_sub(host_clock(h).boot, duration_s(3600));
		break;
	case MUTANT_NO_CHECK_LEASE:
	case MUTANT_NO_AGE:
	case MUTANT_NONE:
		break;
	}
}

static void answered(void *context, uint64_t value)
{
	struct flight *f = context;
	struct host *h = f->host;

	if (h->life == f->life && h->link == f->link && !is_cut(h)) {
		const struct fleet_sight sight = sight_of(h, &f->sealed);
		struct clock_reading now = host_clock(h);
		struct boot_time put_before = h->fleet.put_at;
		uint64_t steps_before = h->fleet.counters.store_clock_steps;

		if (host_waits(h, answered, f, value))
			return;
		if (h->world->run->mutant == MUTANT_NO_AGE)
			f->answer.record.t0_us = f->answer.stamp_us;
		took(h, fleet_answered(&h->fleet, now.boot, &f->answer, &sight), &f->sealed);
		leave_out(h, &f->answer, put_before, steps_before);
		host_turn(h);
	}
	free(f);
}

/* As leases name it: one that was killed and is back is another one, and waits as all do. */
static int process_of(const struct flight *f)
{
	return (int)f->life * (int)f->host->world->run->hosts + f->host->index;
}

static void executed(void *context, uint64_t value)
{
	struct flight *f = context;
	struct host *h = f->host;
	struct world *w = h->world;
	struct store_effect effect;
	struct sealed put = f->sealed;

	(void)value;
	/* whoever sent it may be dead by now */
	if (h->link != f->link || is_cut(h)) {
		free(f);
		return;
	}
	effect =
		store_execute(&w->store, process_of(f), &f->decision, &put, &f->answer, &f->sealed);
	if (effect.token || effect.failure)
		publish(w, effect, &put);
	sim_after(&w->sim, way(h), SIM_WORLD, answered, f, 0);
}

void host_ask_store(struct host *h, const struct fleet_decision *d)
{
	struct flight *f = host_flight(h);

	f->decision = *d;
	f->sealed = h->sealed;
	sim_after(&h->world->sim, way(h), SIM_WORLD, executed, f, 0);
}

/* ---- the connection ---- */

static void pong(void *context, uint64_t value)
{
	struct flight *f = context;
	struct host *h = f->host;

	if (h->life == f->life && h->link == f->link && !is_cut(h)) {
		if (host_waits(h, pong, f, value))
			return;
		fleet_anchored(&h->fleet, f->sent.boot);
	}
	free(f);
}

static void ping(void *context, uint64_t link)
{
	struct host *h = context;
	struct flight *f;

	if (h->link != link || !h->connected || host_waits(h, ping, h, link))
		return;
	f = host_flight(h);
	f->sent = host_clock(h);
	sim_after(&h->world->sim, duration_add(way(h), way(h)), SIM_WORLD, pong, f, 0);
	sim_after(&h->world->sim, duration_s(STORE_PING_S), SIM_WORLD, ping, h, link);
}

void host_connect(void *context, uint64_t link)
{
	struct host *h = context;
	struct world *w = h->world;

	if (h->link != link || h->connected || host_waits(h, host_connect, h, link))
		return;
	if (is_cut(h)) {
		sim_after(&w->sim, duration_ns(NS_PER_S / 10 + world_upto(w, NS_PER_S)), SIM_WORLD,
			host_connect, h, link);
		return;
	}
	h->connected = true;
	fleet_up(&h->fleet, host_clock(h).boot);
	ping(h, link);
	host_turn(h);
}

static void noticed(void *context, uint64_t link)
{
	struct host *h = context;

	if (h->link != link + 1 || host_waits(h, noticed, h, link))
		return;
	fleet_down(&h->fleet, host_clock(h).boot);
	host_turn(h);
}

void host_lose_link(struct host *h)
{
	struct world *w = h->world;

	h->connected = false;
	noticed(h, h->link++);
	sim_after(&w->sim, duration_ns(NS_PER_S / 10 + world_upto(w, NS_PER_S)), SIM_WORLD,
		host_connect, h, h->link);
}

static void timed_out(void *context, uint64_t link)
{
	struct host *h = context;

	if (h->link == link && h->connected)
		host_lose_link(h);
}

void host_cut(struct host *h, struct duration d)
{
	struct world *w = h->world;

	h->cut_until.ns = w->sim.now.ns + d.ns;
	sim_after(&w->sim, duration_s(TIMEOUT_S), SIM_WORLD, timed_out, h, h->link);
}
