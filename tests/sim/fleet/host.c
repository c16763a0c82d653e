/* One host: the shipped core, carried out as the daemon does it. */
#include "world.h"

#include "core/exchange.h"
#include "core/lifetime_adopt.h"
#include "core/token_ask.h"
#include "core/token_decide.h"
#include "core/token_fetch.h"
#include "core/token_fleet.h"
#include "core/token_response.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_S 2
#define LOGIN_TIMEOUT_S 10
#define PING_S 10
#define HEAD_SPREAD_S 60
#define WAY_NS NS_PER_MS /* the longest to the store or back */
#define PERMITS 3
#define TROUBLE_FROM_S 60 /* a fleet begins in peace */

/* Something on its way to or from a host. */
struct flight {
	struct host *host;
	uint64_t life, link;
	struct fleet_decision decision;
	struct sealed sealed;
	struct fleet_answer answer;
	struct fleet_message message;
	struct clock_reading sent;
	int64_t date_s; /* what the login server's clock said */
	size_t token;
	bool failed;
};

static void turn(struct host *h);

static struct clock_reading clock_of(const struct host *h)
{
	struct duration passed = duration_ns(h->world->sim.now.ns);

	return (struct clock_reading){
		.boot = {h->boot_ns + passed.ns + drift_of(passed, h->ppm).ns},
		.wall = {login_clock_ns(&h->world->login)}};
}

static struct flight *flight_new(struct host *h)
{
	struct flight *f = calloc(1, sizeof(*f));

	if (!f)
		abort();
	f->host = h;
	f->life = h->life;
	f->link = h->link;
	return f;
}

static struct duration way(struct host *h)
{
	return duration_ns(NS_PER_MS / 10 + world_upto(h->world, WAY_NS));
}

/* A host that stands still notices when it goes on. */
static bool waits(struct host *h, void (*happen)(void *, uint64_t), void *context, uint64_t value)
{
	struct sim *sim = &h->world->sim;

	if (h->stopped_until.ns <= sim->now.ns)
		return false;
	sim_at(sim, h->stopped_until, SIM_WORLD, happen, context, value);
	return true;
}

static bool is_cut(const struct host *h)
{
	return h->cut_until.ns > h->world->sim.now.ns || !h->world->store.up;
}

/* ---- what comes from the store ---- */

static void head(void *context, uint64_t life)
{
	struct host *h = context;
	struct clock_reading now = clock_of(h);
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
	turn(h);
}

static void ask_for_dates(struct host *h)
{
	struct world *w = h->world;

	if (w->run->settings->dates)
		sim_after(&w->sim, duration_ns(world_upto(w, HEAD_SPREAD_S * NS_PER_S)), SIM_WORLD,
			head, h, h->life);
}

static void adopt(struct host *h, const struct sealed *sealed)
{
	struct clock_reading now = clock_of(h);
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
	ask_for_dates(h);
}

static void took(struct host *h, enum fleet_taken taken, const struct sealed *sealed)
{
	struct clock_reading now = clock_of(h);
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
	struct clock_reading now = clock_of(h);

	return (struct fleet_sight){
		.seal = FLEET_SEAL_GOOD,
		.issued = sealed->issued,
		.ceiling = lifetime_ceiling(&h->skew, &now, sealed->server_end),
	};
}

static void pushed(void *context, uint64_t value)
{
	struct flight *f = context;
	struct host *h = f->host;

	if (h->life == f->life && h->link == f->link && !is_cut(h)) {
		const struct fleet_sight sight = sight_of(h, &f->sealed);
		struct clock_reading now = clock_of(h);

		if (waits(h, pushed, f, value))
			return;
		took(h, fleet_pushed(&h->fleet, now.boot, &f->message, &sight), &f->sealed);
		turn(h);
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
		f = flight_new(h);
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
		f->lease.since = f->hold.since = clock_of(h).boot;
		if (a->word == FLEET_SAYS_HELD || a->word == FLEET_SAYS_HOLD)
			f->not_before = boot_add(clock_of(h).boot, a->wait);
		break;
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
		struct clock_reading now = clock_of(h);
		struct boot_time put_before = h->fleet.put_at;
		uint64_t steps_before = h->fleet.counters.store_clock_steps;

		if (waits(h, answered, f, value))
			return;
		if (h->world->run->mutant == MUTANT_NO_AGE)
			f->answer.record.t0_us = f->answer.stamp_us;
		took(h, fleet_answered(&h->fleet, now.boot, &f->answer, &sight), &f->sealed);
		leave_out(h, &f->answer, put_before, steps_before);
		turn(h);
	}
	free(f);
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
	effect = store_execute(&w->store, h->index, &f->decision, &put, &f->answer, &f->sealed);
	if (effect.token || effect.failure)
		publish(w, effect, &put);
	sim_after(&w->sim, way(h), SIM_WORLD, answered, f, 0);
}

static void begin_operation(struct host *h, const struct fleet_decision *d)
{
	struct flight *f = flight_new(h);

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
		if (waits(h, pong, f, value))
			return;
		fleet_anchored(&h->fleet, f->sent.boot);
	}
	free(f);
}

static void ping(void *context, uint64_t link)
{
	struct host *h = context;
	struct flight *f;

	if (h->link != link || !h->connected || waits(h, ping, h, link))
		return;
	f = flight_new(h);
	f->sent = clock_of(h);
	sim_after(&h->world->sim, duration_add(way(h), way(h)), SIM_WORLD, pong, f, 0);
	sim_after(&h->world->sim, duration_s(PING_S), SIM_WORLD, ping, h, link);
}

static void connect_again(void *context, uint64_t link)
{
	struct host *h = context;
	struct world *w = h->world;

	if (h->link != link || h->connected || waits(h, connect_again, h, link))
		return;
	if (is_cut(h)) {
		sim_after(&w->sim, duration_ns(NS_PER_S / 10 + world_upto(w, NS_PER_S)), SIM_WORLD,
			connect_again, h, link);
		return;
	}
	h->connected = true;
	fleet_up(&h->fleet, clock_of(h).boot);
	ping(h, link);
	turn(h);
}

static void noticed(void *context, uint64_t link)
{
	struct host *h = context;

	if (h->link != link + 1 || waits(h, noticed, h, link))
		return;
	fleet_down(&h->fleet, clock_of(h).boot);
	turn(h);
}

void host_lose_link(struct host *h, struct true_time again)
{
	struct world *w = h->world;
	int64_t at = again.ns > w->sim.now.ns ? again.ns : w->sim.now.ns;

	h->connected = false;
	noticed(h, h->link++);
	sim_at(&w->sim, (struct true_time){at + NS_PER_S / 10 + world_upto(w, NS_PER_S)}, SIM_WORLD,
		connect_again, h, h->link);
}

static void timed_out(void *context, uint64_t link)
{
	struct host *h = context;

	if (h->link == link && h->connected)
		host_lose_link(h, h->cut_until);
}

void host_cut(struct host *h, struct duration d)
{
	struct world *w = h->world;

	h->cut_until.ns = w->sim.now.ns + d.ns;
	sim_after(&w->sim, duration_s(TIMEOUT_S), SIM_WORLD, timed_out, h, h->link);
}

/* ---- token requests ---- */

static void issued(struct host *h, struct flight *f, const struct clock_reading *now)
{
	const struct exchange x = {.sent = f->sent, .received = *now, .status = 200, .body = ""};
	struct token_response response = {
		.class = RESPONSE_TOKEN, .status = 200, .expires_in = h->world->login.life};
	struct skew_sample sample = {.sent = f->sent,
		.received = now->boot,
		.date_s = f->date_s,
		.lo = {f->date_s * NS_PER_S - now->boot.ns},
		.hi = {(f->date_s + 1) * NS_PER_S - f->sent.boot.ns}};
	const struct skew_sample *known = h->world->run->settings->dates ? &sample : NULL;
	char text[32];

	if (h->fleet.current.generation >= h->fleet.fence) {
		token_source_superseded(&h->source, now);
		fleet_minted(&h->fleet, now->boot, now->boot, h->world->login.life);
		return;
	}
	snprintf(text, sizeof(text), "t%zu", f->token);
	if (token_init(&response.token, text, strlen(text)))
		abort();
	if (known) {
		skew_add(&h->skew, known, NULL);
		token_source_exchange(&h->source, now, known, DURATION_ZERO);
	}
	if (token_source_fetched(&h->source, now, &x, &response, known, DURATION_ZERO,
		    h->generation + 1) == FETCHED_TOKEN) {
		h->generation++;
		fleet_minted(&h->fleet, now->boot, lifetime_over(&h->source.current.life),
			h->world->login.life);
		token_source_share(&h->source, h->fleet.current.generation);
		h->sealed = (struct sealed){.token = f->token,
			.issued = h->world->login.life,
			.server_end =
				lifetime_server_end(known, h->world->login.life, &response.claims)};
	} else {
		fleet_mint_failed(&h->fleet, now->boot, RESPONSE_UNAVAILABLE, DURATION_ZERO);
	}
	token_response_fini(&response);
}

static void post_ended(void *context, uint64_t value)
{
	struct flight *f = context;
	struct host *h = f->host;

	if (h->life == f->life) {
		struct clock_reading now = clock_of(h);

		if (waits(h, post_ended, f, value))
			return;
		h->posting = false;
		if (f->failed) {
			const struct exchange x = {
				.sent = f->sent, .received = now, .status = 503, .body = ""};
			struct token_response response = {
				.class = RESPONSE_UNAVAILABLE, .status = 503};

			token_source_fetched(&h->source, &now, &x, &response, NULL, DURATION_ZERO,
				h->generation + 1);
			fleet_mint_failed(&h->fleet, now.boot, RESPONSE_UNAVAILABLE, DURATION_ZERO);
		} else {
			issued(h, f, &now);
		}
		turn(h);
	}
	free(f);
}

static void count_post(struct world *w)
{
	const size_t places = sizeof(w->posts) / sizeof(*w->posts);
	unsigned in_window = 0;

	w->posts[w->post_count++ % places] = w->sim.now;
	for (size_t i = w->post_count; i-- > 0 && w->post_count - i <= places; in_window++)
		if (w->sim.now.ns - w->posts[i % places].ns >= 300 * NS_PER_S)
			break;
	if (in_window > w->figures.posts_in_window)
		w->figures.posts_in_window = in_window;
	w->figures.posts++;
}

static void post_arrived(void *context, uint64_t value)
{
	struct flight *f = context;
	struct world *w = f->host->world;

	(void)value;
	count_post(w);
	f->failed = w->login.down;
	f->date_s = login_clock_ns(&w->login) / NS_PER_S;
	if (!f->failed)
		f->token = login_issue(&w->login);
	sim_after(
		&w->sim, duration_ns(world_upto(w, 300 * NS_PER_MS)), SIM_WORLD, post_ended, f, 0);
}

static void trouble_the_minter(struct host *h)
{
	const struct minter_trouble *t = &h->world->run->settings->minter;
	struct world *w = h->world;

	if (w->sim.now.ns < TROUBLE_FROM_S * NS_PER_S || w->sim.now.ns >= w->trouble_until.ns)
		return;
	if (world_chance(w, t->stopped))
		host_stop(h, duration_s(5 + world_upto(w, 55)));
	if (world_chance(w, t->cut_from_store))
		host_cut(h, duration_s(5 + world_upto(w, 85)));
	if (world_chance(w, t->cut_from_login))
		host_cut_from_login(h, duration_s(30 + world_upto(w, 270)));
	if (world_chance(w, t->set_back))
		w->store.offset_us -= world_upto(w, INT64_C(3600) * 1000000);
	if (world_chance(w, t->killed))
		host_kill(h);
}

static void begin_post(struct host *h)
{
	struct world *w = h->world;
	struct flight *f = flight_new(h);

	f->sent = clock_of(h);
	h->posting = true;
	token_source_posts(&h->source, &f->sent);
	trouble_the_minter(h);
	if (h->login_cut_until.ns > w->sim.now.ns) {
		f->failed = true;
		sim_after(&w->sim, duration_s(LOGIN_TIMEOUT_S), SIM_WORLD, post_ended, f, 0);
	} else {
		sim_after(&w->sim, duration_ns(50 * NS_PER_MS + world_upto(w, 200 * NS_PER_MS)),
			SIM_WORLD, post_arrived, f, 0);
	}
}

/* ---- decisions ---- */

static void give_up(struct host *h, const struct fleet_decision *d, const struct clock_reading *now)
{
	const struct token_refusal refusal = {
		.class = d->reason == FLEET_BECAUSE_HOLD ? d->class : RESPONSE_UNAVAILABLE,
		.words = "the fleet says so",
		.wait = d->wait,
		.accepted = d->reason == FLEET_BECAUSE_COOLDOWN,
	};

	token_source_give_up(&h->source, now, &refusal);
}

static enum fleet_wish wish_of(const struct host *h)
{
	const struct token_slot *c = &h->source.current;

	if (!c->token.text)
		return FLEET_WISH_TOKEN;
	return c->rejected ? FLEET_WISH_REPORT : FLEET_WISH_REFRESH;
}

static void woken(void *context, uint64_t wake)
{
	struct host *h = context;

	if (h->wake == wake && !waits(h, woken, h, wake))
		turn(h);
}

static void wake_at(struct host *h, struct boot_time at, const struct clock_reading *now)
{
	struct duration d = boot_since(at, now->boot);

	h->wake++;
	if (at.ns == BOOT_TIME_NEVER.ns)
		return;
	d = duration_add(duration_sub(d, drift_of(d, h->ppm)), duration_ns(2000));
	sim_after(&h->world->sim, d, SIM_WORLD, woken, h, h->wake);
}

static void turn(struct host *h)
{
	struct clock_reading now = clock_of(h);
	struct token_source_decisions d;
	struct fleet_decision fd;

	if (h->stopped_until.ns > h->world->sim.now.ns)
		return; /* whatever wakes it decides then */
	do {
		uint64_t life = h->life;

		token_source_decide(&h->source, &now, &d);
		if (d.fetch)
			fleet_want(&h->fleet, now.boot, wish_of(h));
		fleet_decide(&h->fleet, now.boot, &fd);
		switch (fd.todo) {
		case FLEET_TODO_NOTHING:
			break;
		case FLEET_TODO_OPERATION:
			begin_operation(h, &fd);
			break;
		case FLEET_TODO_MINT:
			begin_post(h);
			break;
		case FLEET_TODO_GIVE_UP:
			give_up(h, &fd, &now);
			break;
		}
		if (h->life != life || h->stopped_until.ns > h->world->sim.now.ns)
			return; /* killed or stopped right then */
	} while (fd.todo != FLEET_TODO_NOTHING);
	wake_at(h, boot_min(d.wake_at, fd.wake_at), &now);
}

/* ---- its life ---- */

void host_start(struct host *h)
{
	const struct token_source_settings settings = {
		.policy = {.use_margin = {2 * NS_PER_S}, .refresh_margin_auto = true},
		.prefetch = true,
		.reject_cooldown = {30 * NS_PER_S},
		.shared = true,
		.mint_limit = 15,
	};
	const struct fleet_settings fleet = {
		.may_mint = true,
		.poll = {10 * NS_PER_S},
		.use_margin = {2 * NS_PER_S},
		.alone = PERMITS,
	};
	struct world *w = h->world;
	struct clock_reading now = clock_of(h);
	uint64_t lowest = fleet_lowest(&h->fleet);

	token_source_init(&h->source, &settings, &h->mint, &h->history, random_next(&w->random));
	fleet_init(&h->fleet, &fleet, random_next(&w->random), now.boot);
	fleet_restore(&h->fleet, lowest, h->index < PERMITS ? (uint32_t)h->index : FLEET_NO_PERMIT);
	h->skew = (struct skew){0};
	ask_for_dates(h);
	connect_again(h, h->link);
	turn(h);
}

static void started(void *context, uint64_t life)
{
	struct host *h = context;

	if (h->life == life)
		host_start(h);
}

void host_fini(struct host *h)
{
	token_source_fini(&h->source);
}

void host_kill(struct host *h)
{
	struct world_figures *f = &h->world->figures;
	const struct fleet_counters *c = &h->fleet.counters;

	f->restored += c->restored;
	f->superseded += c->superseded;
	f->steps += c->store_clock_steps;
	f->broken += c->broken;
	f->alone += c->minted_alone;
	f->undated += c->undated;
	f->held += c->held;
	h->fleet.counters = (struct fleet_counters){0};
	h->life++;
	h->link++;
	h->wake++;
	h->connected = h->posting = false;
	token_source_fini(&h->source);
	h->source = (struct token_source){0};
	sim_after(&h->world->sim, duration_s(1 + world_upto(h->world, 4)), SIM_WORLD, started, h,
		h->life);
}

void host_stop(struct host *h, struct duration d)
{
	struct sim *sim = &h->world->sim;

	h->stopped_until.ns = sim->now.ns + d.ns;
	sim_at(sim, h->stopped_until, SIM_WORLD, woken, h, ++h->wake);
}

void host_cut_from_login(struct host *h, struct duration d)
{
	h->login_cut_until.ns = h->world->sim.now.ns + d.ns;
}

/* A 401, and its program says so. */
static void report(struct host *h, const struct clock_reading *now, uint64_t generation)
{
	struct token_ask ask = {
		.kind = ASK_REJECT, .generation = generation, .deadline = now->boot};
	struct token_outcome outcome;

	h->world->figures.refused++;
	token_source_ask(&h->source, now, &ask, &outcome);
}

void host_look(struct host *h)
{
	struct world *w = h->world;
	struct world_figures *f = &w->figures;
	struct clock_reading now = clock_of(h);
	struct token_ask ask = {.kind = ASK_GET, .deadline = now.boot};
	struct token_outcome outcome;

	if (!h->source.mint || h->stopped_until.ns > w->sim.now.ns)
		return; /* there is no daemon just now, or it stands still */
	token_source_ask(&h->source, &now, &ask, &outcome);
	f->looks++;
	if (outcome.kind == OUTCOME_TOKEN) {
		size_t token = strtoul(outcome.slot->token.text + 1, NULL, 10);

		if (login_over(&w->login, token)) {
			struct duration late = duration_sub(
				true_since(w->sim.now, w->login.tokens[token].issued_at),
				w->login.life);

			f->past_end++;
			f->past_end_most = duration_max(f->past_end_most, late);
		}
		if (w->login.tokens[token].revoked)
			report(h, &now, outcome.slot->generation);
	} else {
		f->without++;
	}
	if (token_source_needs_turn(&h->source))
		turn(h);
}
