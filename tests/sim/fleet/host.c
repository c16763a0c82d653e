/* One host: the shipped core, carried out as the daemon does it. */
#include "host_parts.h"

#include "core/fleet_decide.h"
#include "core/token_ask.h"
#include "core/token_decide.h"
#include "core/token_fleet.h"
#include "core/token_reject.h"

#include <stdlib.h>

#define PERMITS 3
#define FOLLOWERS_OF 5

struct clock_reading host_clock(const struct host *h)
{
	struct duration passed = duration_ns(h->world->sim.now.ns);

	return (struct clock_reading){
		.boot = {h->boot_ns + passed.ns + drift_of(passed, h->ppm).ns},
		.wall = {login_clock_ns(&h->world->login)}};
}

bool world_dates(struct world *w)
{
	uint64_t generation = w->store.data.record.generation;

	for (unsigned i = 0; generation && i < w->run->hosts; i++) {
		const struct host *h = &w->hosts[i];

		if (h->connected && h->fleet.current.generation == generation &&
			fleet_alive(&h->fleet, host_clock(h).boot))
			return true;
	}
	return !generation;
}

struct flight *host_flight(struct host *h)
{
	struct flight *f = calloc(1, sizeof(*f));

	if (!f)
		abort();
	f->host = h;
	f->life = h->life;
	f->link = h->link;
	return f;
}

/* A host that stands still notices when it goes on. */
bool host_waits(struct host *h, void (*happen)(void *, uint64_t), void *context, uint64_t value)
{
	struct sim *sim = &h->world->sim;

	if (h->stopped_until.ns <= sim->now.ns)
		return false;
	sim_at(sim, h->stopped_until, SIM_WORLD, happen, context, value);
	return true;
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

static void begin_check(struct host *h, const struct clock_reading *now)
{
	const struct token_slot *c = &h->source.current;

	if (token_source_to_verify(&h->source) != c || !c->fleet_generation ||
		c->fleet_generation != h->fleet.current.generation) {
		host_ask_api(h);
		return;
	}
	fleet_check(&h->fleet, now->boot);
	if (h->world->run->mutant == MUTANT_NO_CHECK_LEASE)
		h->fleet.check.since = boot_sub(now->boot, duration_s(3600));
}

static enum fleet_found found(const struct token_source *s)
{
	if (s->verification.state == VERIFICATION_ENDED && s->verification.accepted)
		return FLEET_FOUND_ACCEPTED;
	return s->current.rejected ? FLEET_FOUND_REJECTED : FLEET_FOUND_NOTHING;
}

static void look_at_check(struct host *h, const struct clock_reading *now)
{
	const struct token_verification *v = &h->source.verification;

	if (h->fleet.check.state == FLEET_CHECK_UNDER_WAY && v->state != VERIFICATION_UNDER_WAY)
		fleet_checked(&h->fleet, now->boot, found(&h->source));
	if (h->fleet.check.state == FLEET_CHECK_NONE && !h->asking_api &&
		v->state == VERIFICATION_UNDER_WAY && v->generation == h->source.current.generation)
		host_ask_api(h);
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

	if (h->wake == wake && !host_waits(h, woken, h, wake))
		host_turn(h);
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

void host_turn(struct host *h)
{
	struct clock_reading now = host_clock(h);
	struct token_source_decisions d;
	struct fleet_decision fd;

	if (h->stopped_until.ns > h->world->sim.now.ns)
		return; /* whatever wakes it decides then */
	do {
		uint64_t life = h->life;

		token_source_decide(&h->source, &now, &d);
		if (d.fetch)
			fleet_want(&h->fleet, now.boot, wish_of(h));
		if (d.verify)
			begin_check(h, &now);
		look_at_check(h, &now);
		if (h->life != life)
			return;
		fleet_decide(&h->fleet, now.boot, &fd);
		switch (fd.todo) {
		case FLEET_TODO_NOTHING:
			break;
		case FLEET_TODO_OPERATION:
			host_ask_store(h, &fd);
			break;
		case FLEET_TODO_MINT:
			host_post(h);
			break;
		case FLEET_TODO_GIVE_UP:
			give_up(h, &fd, &now);
			break;
		case FLEET_TODO_CHECK:
			host_ask_api(h);
			break;
		case FLEET_TODO_CHECKED:
			token_source_verified(&h->source, &now, h->source.current.generation,
				fd.accepted ? VERDICT_ACCEPTED : VERDICT_TOO_NEW);
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
		.reject_cooldown = COOLDOWN,
		.shared = true,
		.verifiable = true,
		.mint_limit = 15,
	};
	struct world *w = h->world;
	bool followers = w->run->settings->followers;
	/* of those that may mint */
	int place = followers ? h->index / FOLLOWERS_OF : h->index;
	const struct fleet_settings fleet = {
		.may_mint = !followers || h->index % FOLLOWERS_OF == 0,
		.poll = {10 * NS_PER_S},
		.use_margin = {2 * NS_PER_S},
		.alone = PERMITS,
		.cooldown = COOLDOWN,
	};
	struct clock_reading now = host_clock(h);
	uint64_t lowest = fleet_lowest(&h->fleet);

	token_source_init(&h->source, &settings, &h->mint, &h->history, random_next(&w->random));
	fleet_init(&h->fleet, &fleet, random_next(&w->random), now.boot);
	fleet_restore(&h->fleet, lowest,
		fleet.may_mint && place < PERMITS ? (uint32_t)place : FLEET_NO_PERMIT);
	h->skew = (struct skew){0};
	host_ask_for_dates(h);
	host_connect(h, h->link);
	host_turn(h);
}

static void started(void *context, uint64_t life)
{
	struct host *h = context;

	if (h->life == life)
		host_start(h);
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
	h->connected = h->posting = h->asking_api = false;
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

	token_source_ask(&h->source, now, &ask, &outcome);
}

void host_report(struct host *h)
{
	struct clock_reading now = host_clock(h);
	const struct token_slot *c = &h->source.current;

	if (!h->source.mint || h->stopped_until.ns > h->world->sim.now.ns || !c->token.text)
		return;
	report(h, &now, c->generation);
	host_turn(h);
}

void host_look(struct host *h)
{
	struct world *w = h->world;
	struct world_figures *f = &w->figures;
	struct clock_reading now = host_clock(h);
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
		if (w->login.tokens[token].revoked) {
			f->refused++;
			report(h, &now, outcome.slot->generation);
		}
	} else {
		f->without++;
	}
	if (token_source_needs_turn(&h->source))
		host_turn(h);
}
