#include "callers.h"

#include "core/token_judge.h"

#include <stdio.h>
#include <stdlib.h>

#define API_WAY_MS 10
#define API_WAY_JITTER_MS 90
#define WAIT_DEFAULT_S 5
/* With so much life left in the newest token, no call should fail. */
#define GOOD_FOR_LONG_S 15

/* A call, and then the uses of the token it brought. */
struct caller_call {
	struct call call;
	struct callers *callers;
	struct caller_call *next;
	struct true_time asked, served;
	bool get;   /* not a rejection */
	bool plain; /* a get without conditions */
	bool blind;
	uint64_t token_id, generation;
	struct boot_time keep_until;
	unsigned uses; /* still to come */
};

static struct caller_call *call_new(struct callers *c)
{
	struct caller_call *call = c->free;

	if (call) {
		c->free = call->next;
		return call;
	}
	call = calloc(1, sizeof(*call));
	if (!call) {
		fprintf(stderr, "sim: out of memory\n");
		exit(2);
	}
	if (c->count == c->room)
		c->all = sim_grow(c->all, &c->room, sizeof(struct caller_call *));
	c->all[c->count++] = call;
	return call;
}

static void call_end(struct caller_call *call)
{
	call->next = call->callers->free;
	call->callers->free = call;
}

static bool one_in_hundred(struct callers *c, unsigned percent)
{
	return percent && random_next(&c->random) % 100 < percent;
}

static void call_begin(
	struct callers *c, enum ask_kind kind, uint64_t generation, struct duration min_ttl);

static void caller_hears_refusal(void *context, uint64_t generation)
{
	struct callers *c = context;

	call_begin(c, ASK_REJECT, generation, DURATION_ZERO);
}

static void token_used(void *context, uint64_t value)
{
	struct caller_call *call = context;
	struct callers *c = call->callers;
	enum api_verdict verdict = server_api(c->server, call->token_id);

	(void)value;
	tally_api(c->tally, verdict, call->served, call->blind, call->generation);
	if (verdict != API_TAKES && !c->load.silent)
		sim_after(c->sim, duration_ms(API_WAY_MS), SIM_LOCAL, caller_hears_refusal, c,
			call->generation);
	if (!--call->uses)
		call_end(call);
}

static void token_sent_to_api(struct caller_call *call)
{
	struct callers *c = call->callers;

	sim_after(c->sim,
		duration_add(duration_ms(API_WAY_MS),
			random_duration(&c->random, duration_ms(API_WAY_JITTER_MS))),
		SIM_WORLD, token_used, call, 0);
}

static void kept_token_used(void *context, uint64_t value)
{
	struct caller_call *call = context;
	struct callers *c = call->callers;
	struct boot_time now = machine_read(c->machine).boot;

	(void)value;
	if (boot_before(now, boot_sub(call->keep_until, duration_ms(1)))) {
		sim_at(c->sim, machine_when(c->machine, call->keep_until), SIM_LOCAL,
			kept_token_used, call, 0);
		return;
	}
	/* The machine slept past its end: nobody uses it. */
	if (boot_before(boot_add(call->keep_until, duration_ms(10)), now)) {
		if (!--call->uses)
			call_end(call);
		return;
	}
	c->tally->kept++;
	token_sent_to_api(call);
}

static void token_given(struct caller_call *call, const struct token_outcome *outcome)
{
	struct callers *c = call->callers;
	struct clock_reading now = machine_read(c->machine);

	call->served = c->sim->now;
	call->blind = tally_blind(c->tally) ||
		      (outcome->stale && token_source_doubtful(outcome->slot, &now));
	call->token_id = server_token_id(outcome->slot->token.text);
	call->generation = c->last_generation = outcome->slot->generation;
	c->tally->stale += outcome->stale;
	tally_served(c->tally, call->generation,
		outcome->slot->rejected && token_source_fetching(&c->driver->broker.source) &&
			boot_before(now.boot, call->call.ask.deadline));
	if (outcome->expires_in.ns < NS_PER_S)
		tally_fail(c->tally, "a token was handed out for less than a second");
	if (call->call.ask.min_ttl.ns > outcome->expires_in.ns)
		tally_fail(c->tally, "less than min_ttl was handed out");
	call->uses = 1;
	token_sent_to_api(call);
	if (!one_in_hundred(c, c->load.keep_percent))
		return;
	call->uses++;
	/* expires_in is in whole seconds */
	call->keep_until = boot_add(
		machine_read(c->machine).boot, duration_s(duration_floor_s(outcome->expires_in)));
	sim_at(c->sim, machine_when(c->machine, call->keep_until), SIM_LOCAL, kept_token_used, call,
		0);
}

static bool newest_is_good(const struct callers *c)
{
	const char *text = c->driver->broker.source.current.token.text;

	return text &&
	       server_token_left(c->server, server_token_id(text)).ns > GOOD_FOR_LONG_S * NS_PER_S;
}

static void call_replied(void *context, struct call *replied, const struct token_outcome *outcome)
{
	struct caller_call *call = context;
	struct callers *c = call->callers;
	struct duration held = true_since(c->sim->now, call->asked);

	c->tally->outcomes[outcome->kind]++;
	if (held.ns) {
		c->tally->waited++;
		if ((uint64_t)(held.ns / NS_PER_MS) > c->tally->longest_wait_ms)
			c->tally->longest_wait_ms = (uint64_t)(held.ns / NS_PER_MS);
	}
	if (!call->get && outcome->kind != OUTCOME_COOLDOWN && outcome->kind != OUTCOME_ACCEPTED)
		tally_rejected(c->tally, replied->ask.generation);
	if (outcome->kind == OUTCOME_TOKEN) {
		token_given(call, outcome);
		return;
	}
	c->tally->errors += call->get;
	c->tally->errors_needless += call->plain && newest_is_good(c);
	call_end(call);
}

static void call_begin(
	struct callers *c, enum ask_kind kind, uint64_t generation, struct duration min_ttl)
{
	struct caller_call *call = call_new(c);
	struct duration wait = c->load.wait.ns ? c->load.wait : duration_s(WAIT_DEFAULT_S);

	*call = (struct caller_call){
		.call = {.ask = {.kind = kind,
				 .min_ttl = min_ttl,
				 .generation = generation,
				 .deadline = boot_add(machine_read(c->machine).boot, wait)},
			.replied = call_replied,
			.context = call},
		.callers = c,
		.asked = c->sim->now,
		.get = kind == ASK_GET,
		.plain = kind == ASK_GET && !min_ttl.ns,
	};
	c->tally->calls++;
	driver_ask(c->driver, &call->call);
}

/* Uniform between none and twice the mean: irregular enough, and no logarithm to differ between
 * machines. */
static struct duration some_interval(struct callers *c, unsigned in_an_hour)
{
	return random_duration(&c->random, duration_ns(2 * 3600 * NS_PER_S / in_an_hour));
}

static void somebody_asks(void *context, uint64_t value)
{
	struct callers *c = context;
	struct duration min_ttl = DURATION_ZERO;

	(void)value;
	if (one_in_hundred(c, c->load.min_ttl_percent))
		min_ttl = random_duration(&c->random, duration_s(c->lifetime_s / 2));
	if (!c->resting)
		call_begin(c, ASK_GET, 0, min_ttl);
	sim_after(c->sim, some_interval(c, c->load.in_an_hour), SIM_LOCAL, somebody_asks, c, 0);
}

static void somebody_lies(void *context, uint64_t value)
{
	struct callers *c = context;

	(void)value;
	if (c->last_generation)
		call_begin(c, ASK_REJECT, c->last_generation, DURATION_ZERO);
	sim_after(
		c->sim, some_interval(c, c->load.false_in_an_hour), SIM_LOCAL, somebody_lies, c, 0);
}

void callers_storm(struct callers *c, unsigned calls, enum ask_kind kind)
{
	uint64_t generation = kind == ASK_REJECT ? c->last_generation : 0;

	for (unsigned i = 0; i < calls; i++)
		call_begin(c, kind, generation, DURATION_ZERO);
}

void callers_rest(struct callers *c, bool resting)
{
	c->resting = resting;
}

void callers_init(struct callers *c, struct sim *sim, struct machine *machine,
	struct server *server, struct driver *driver, struct tally *tally,
	const struct caller_load *load, uint64_t seed)
{
	*c = (struct callers){
		.sim = sim,
		.machine = machine,
		.server = server,
		.driver = driver,
		.tally = tally,
		.load = *load,
		.lifetime_s = server->settings.lifetime_s,
		.random = {seed},
	};
	if (!c->load.in_an_hour)
		c->load.in_an_hour = 3600;
	sim_after(sim, some_interval(c, c->load.in_an_hour), SIM_LOCAL, somebody_asks, c, 0);
	if (load->false_in_an_hour)
		sim_after(sim, some_interval(c, load->false_in_an_hour), SIM_LOCAL, somebody_lies,
			c, 0);
}

void callers_fini(struct callers *c)
{
	for (size_t i = 0; i < c->count; i++)
		free(c->all[i]);
	free(c->all);
	*c = (struct callers){0};
}
