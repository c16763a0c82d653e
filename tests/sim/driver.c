#include "driver.h"

#include "core/token_decide.h"
#include "core/token_fetch.h"
#include "core/token_past.h"
#include "core/token_response.h"
#include "network.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TURNS_MAX 50
#define TIMER_LATE_US 500
#define GENERATIONS_AT_ONCE 1000

static void driver_turn(struct driver *d);

static struct clock_reading driver_now(const struct driver *d)
{
	return machine_read(d->machine);
}

/* ---- exchanges ---- */

static void exchange_of(
	const struct letter *l, const struct clock_reading *received, struct exchange *ret)
{
	const struct server_answer *a = &l->answer;

	*ret = (struct exchange){
		.sent = l->sent,
		.received = a->status ? *received : l->sent,
		.status = a->status,
		.failure = a->status ? NULL : "connection refused, or no answer in time",
		.body = a->body,
		.body_length = strlen(a->body),
	};
	memcpy(ret->date, a->date, sizeof(ret->date));
	memcpy(ret->retry_after, a->retry_after, sizeof(ret->retry_after));
}

/* Its Date was evidence. */
static void learnt(struct driver *d, const struct clock_reading *now, const struct letter *l)
{
	tally_exchanged(d->tally, l->left_at);
	tally_estimate(d->tally, &d->clock.skew, d->server, now);
}

static void post_ended(struct driver *d, const struct letter *l)
{
	struct clock_reading now = driver_now(d);
	struct token_response answer;
	struct skew_sample sample;
	struct exchange x;
	bool usable;

	d->post = 0;
	exchange_of(l, &now, &x);
	token_response_read(&x, &answer);
	usable = server_clock_post_ended(&d->clock, &now, &x, &sample);
	if (usable)
		learnt(d, &now, l);
	if (token_source_fetched(&d->source, &now, &x, &answer, usable ? &sample : NULL,
		    server_clock_spread(&d->clock, &now), d->generation + 1) == FETCHED_TOKEN) {
		d->generation++;
		tally_token_came(d->tally, l->left_at, d->generation);
	}
	token_response_fini(&answer);
}

static void head_ended(struct driver *d, const struct letter *l)
{
	struct clock_reading now = driver_now(d);
	struct exchange x;

	d->head = 0;
	exchange_of(l, &now, &x);
	if (server_clock_head_ended(&d->clock, &now, &x))
		learnt(d, &now, l);
}

void driver_ended(struct driver *d, const struct letter *l)
{
	if (l->head)
		head_ended(d, l);
	else
		post_ended(d, l);
	driver_turn(d);
}

/* ---- callers ---- */

static void call_deadline(void *context, uint64_t serial)
{
	struct driver *d = context;
	struct clock_reading now = driver_now(d);
	struct token_outcome outcome;

	for (struct call **at = &d->held; *at; at = &(*at)->next) {
		struct call *call = *at;

		if (call->serial != serial)
			continue;
		if (boot_before(now.boot, call->ask.deadline)) {
			sim_at(d->sim, machine_when(d->machine, call->ask.deadline), SIM_LOCAL,
				call_deadline, d, serial);
			return;
		}
		*at = call->next;
		token_source_ask(&d->source, &now, &call->ask, &outcome);
		if (outcome.kind == OUTCOME_HOLD)
			tally_fail(d->tally, "a call is held past its deadline");
		call->answered(call->context, call, &outcome);
		if (d->source.attention)
			driver_turn(d);
		return;
	}
}

/* True: answered. */
static bool call_try(struct driver *d, const struct clock_reading *now, struct call *call)
{
	struct token_outcome outcome;

	token_source_ask(&d->source, now, &call->ask, &outcome);
	if (outcome.kind == OUTCOME_HOLD)
		return false;
	call->answered(call->context, call, &outcome);
	return true;
}

static void call_hold(struct driver *d, struct call *call)
{
	call->next = d->held;
	d->held = call;
}

static void held_try_again(struct driver *d, const struct clock_reading *now)
{
	struct call *call = d->held, *next;

	d->held = NULL;
	for (; call; call = next) {
		next = call->next;
		if (!call_try(d, now, call))
			call_hold(d, call);
	}
}

void driver_ask(struct driver *d, struct call *call)
{
	struct clock_reading now = driver_now(d);

	call->serial = ++d->serial;
	if (!call_try(d, &now, call)) {
		call_hold(d, call);
		sim_at(d->sim, machine_when(d->machine, call->ask.deadline), SIM_LOCAL,
			call_deadline, d, call->serial);
	}
	if (d->source.attention)
		driver_turn(d);
}

/* ---- timers and decisions ---- */

static void driver_wakes(void *context, uint64_t serial)
{
	struct driver *d = context;

	if (serial != d->timer_serial)
		return;
	d->timer_at = BOOT_TIME_NEVER;
	driver_turn(d);
}

/* One timer for everything, as the daemon has it. */
static void arm(struct driver *d, struct boot_time at)
{
	struct true_time when;

	if (at.ns == d->timer_at.ns)
		return;
	d->timer_at = at;
	d->timer_serial++;
	if (at.ns == BOOT_TIME_NEVER.ns)
		return;
	when = machine_when(d->machine, at);
	when.ns =
		ns_add(when.ns, random_duration(&d->random, duration_ns(TIMER_LATE_US * 1000)).ns);
	sim_at(d->sim, when, SIM_LOCAL, driver_wakes, d, d->timer_serial);
}

static void driver_trace(struct driver *d)
{
	uint64_t first = history_first(&d->history);

	for (uint64_t n = d->traced + 1 > first ? d->traced + 1 : first; n <= d->history.count;
		n++) {
		const struct history_event *e = history_get(&d->history, n);

		if (d->trace)
			printf("# %12.3f %s (generation %llu): %s\n", (double)d->sim->now.ns / 1e9,
				event_kind_name(e->kind), (unsigned long long)e->generation,
				e->words);
	}
	d->traced = d->history.count;
}

static void source_turn(struct driver *d, const struct clock_reading *now)
{
	struct token_source_decisions decisions;

	server_clock_decide(&d->clock, &d->source, now, &decisions);
	d->wake_at = decisions.wake_at;
	if (decisions.changed)
		held_try_again(d, now);
	if (decisions.fetch)
		network_send(d, false);
	tally_source(d->tally, &d->source);
	driver_trace(d);
}

static void driver_turn(struct driver *d)
{
	struct clock_reading now = driver_now(d);
	struct boot_time head_at;
	unsigned turns = 0;
	bool head;

	server_clocks_look(&d->clocks, &now);
	while (d->source.attention || !boot_before(now.boot, d->wake_at)) {
		source_turn(d, &now);
		if (++turns > TURNS_MAX) {
			tally_fail(d->tally, "decisions without end");
			break;
		}
	}
	head_at = server_clock_turn(&d->clock, &now, &head);
	if (head)
		network_send(d, true);
	arm(d, boot_min(d->wake_at, head_at));
}

static void driver_clock_set(void *context)
{
	driver_turn(context);
}

/* ---- life ---- */

static void driver_begin(struct driver *d)
{
	struct clock_reading now = driver_now(d);

	server_clocks_init(&d->clocks, &now);
	server_clock_init(&d->clock, &d->clocks, !d->settings.no_probes, "https://login/");
	token_source_init(&d->source, &d->settings.source, &d->mint, &d->history,
		d->seed + d->tally->restarts);
	server_clock_join(&d->clock, &d->source);
	d->post = d->head = 0;
	d->wake_at = d->timer_at = BOOT_TIME_NEVER;
	d->timer_serial++;
}

void driver_init(struct driver *d, struct sim *sim, struct machine *machine, struct server *server,
	struct tally *tally, const struct driver_settings *settings, uint64_t seed)
{
	*d = (struct driver){
		.sim = sim,
		.machine = machine,
		.server = server,
		.tally = tally,
		.settings = *settings,
		.seed = seed,
		.random = {~seed},
	};
	machine->clock_set = driver_clock_set;
	machine->clock_set_context = d;
	driver_begin(d);
	driver_turn(d);
}

void driver_fini(struct driver *d)
{
	token_source_fini(&d->source);
}

void driver_restart(struct driver *d)
{
	struct boot_time not_before = d->source.not_before;
	struct source_failure failure = d->source.last_failure;
	struct token_outcome broken = {.kind = OUTCOME_UNAVAILABLE, .retry_after_s = -1};
	struct call *call = d->held, *next;

	d->held = NULL;
	token_source_fini(&d->source);
	d->tally->restarts++;
	/* the rest of the block of generations that was reserved on disk */
	d->generation += GENERATIONS_AT_ONCE;
	driver_begin(d);
	token_source_restore(&d->source, not_before, failure.any ? &failure : NULL);
	for (; call; call = next) {
		next = call->next;
		call->answered(call->context, call, &broken);
	}
	driver_turn(d);
}
