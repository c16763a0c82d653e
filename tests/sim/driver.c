#include "driver.h"

#include "core/token_response.h"
#include "network.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMER_LATE_US 500

static void driver_turn(struct driver *d);

static struct clock_reading driver_now(const struct driver *d)
{
	return machine_read(d->machine);
}

/* ---- exchanges ---- */

static void exchange_of(
	const struct message *m, const struct clock_reading *received, struct exchange *ret)
{
	const struct server_response *a = &m->response;

	*ret = (struct exchange){
		.sent = m->sent,
		.received = a->status ? *received : m->sent,
		.status = a->status,
		.unsent = m->unsent,
		.silence = m->late,
		.failure = a->status ? NULL : "connection refused, or no response in time",
		.body = a->body,
		.body_length = strlen(a->body),
	};
	memcpy(ret->date, a->date, sizeof(ret->date));
	memcpy(ret->retry_after, a->retry_after, sizeof(ret->retry_after));
}

static void driver_ended(struct driver *d, const struct message *m)
{
	struct clock_reading now = driver_now(d);
	struct token_response response;
	struct exchange x;

	exchange_of(m, &now, &x);
	d->ending = m;
	d->under_way[m->kind] = 0;
	switch (m->kind) {
	case MESSAGE_POST:
		token_response_read(&x, &response);
		if (broker_model_post_ended(&d->broker, &now, &x, &response))
			tally_token_came(d->tally, m->left_at, d->broker.generation);
		token_response_fini(&response);
		break;
	case MESSAGE_HEAD:
		if (x.status)
			tally_head_answered(d->tally, x.sent.boot);
		broker_model_head_ended(&d->broker, &now, &x);
		break;
	case MESSAGE_KNOCK:
		if (x.status)
			tally_head_answered(d->tally, x.sent.boot);
		broker_model_knock_ended(&d->broker, &now, &x);
		break;
	}
}

void driver_arrived(struct driver *d, const struct message *m)
{
	driver_ended(d, m);
	driver_turn(d);
}

/* ---- callers ---- */

static void call_deadline(void *context, uint64_t serial)
{
	struct driver *d = context;
	struct clock_reading now = driver_now(d);
	struct boot_time at = broker_model_deadline(&d->broker, &now, serial);

	if (at.ns != BOOT_TIME_NEVER.ns)
		sim_at(d->sim, machine_when(d->machine, at), SIM_LOCAL, call_deadline, d, serial);
	else if (broker_model_wants_turn(&d->broker))
		driver_turn(d);
}

void driver_ask(struct driver *d, struct call *call)
{
	struct clock_reading now = driver_now(d);

	if (!broker_model_ask(&d->broker, &now, call))
		sim_at(d->sim, machine_when(d->machine, call->ask.deadline), SIM_LOCAL,
			call_deadline, d, call->serial);
	if (broker_model_wants_turn(&d->broker))
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
	const struct history *h = &d->broker.history;
	const struct history_event *all[HISTORY_ALL];
	size_t count = d->trace ? history_all(h, all) : 0;

	for (size_t i = 0; i < count; i++) {
		const struct history_event *e = all[i];

		if (e->order > d->traced)
			printf("# %12.3f %s (generation %llu): %s\n", (double)d->sim->now.ns / 1e9,
				event_kind_name(e->kind), (unsigned long long)e->generation,
				e->words);
	}
	d->traced = h->order;
}

static void driver_turn(struct driver *d)
{
	struct clock_reading now = driver_now(d);

	arm(d, broker_model_turn(&d->broker, &now));
}

static void driver_clock_set(void *context)
{
	driver_turn(context);
}

/* ---- what the broker does, and life ---- */

static void send_message(void *world, bool head)
{
	network_send(world, head ? MESSAGE_HEAD : MESSAGE_POST);
}

static void knock(void *world)
{
	network_send(world, MESSAGE_KNOCK);
}

static void give_up(void *world)
{
	struct message given_up = network_give_up(world);

	driver_ended(world, &given_up);
}

static void learnt(void *world, bool dated)
{
	struct driver *d = world;
	struct clock_reading now = driver_now(d);

	if (!dated)
		return;
	tally_exchanged(d->tally, d->ending->left_at);
	tally_estimate(d->tally, &d->broker.clock.skew, d->server, &now);
}

static void decided(void *world)
{
	struct driver *d = world;

	tally_source(d->tally, &d->broker.source);
	driver_trace(d);
}

static void failed(void *world, const char *what)
{
	struct driver *d = world;

	tally_fail(d->tally, "%s", what);
}

void driver_init(struct driver *d, struct sim *sim, struct machine *machine, struct server *server,
	struct tally *tally, const struct driver_settings *settings, uint64_t seed)
{
	static const struct broker_hooks hooks = {.send = send_message,
		.knock = knock,
		.give_up = give_up,
		.learnt = learnt,
		.decided = decided,
		.failed = failed};
	struct clock_reading now;

	*d = (struct driver){
		.sim = sim,
		.machine = machine,
		.server = server,
		.tally = tally,
		.settings = *settings,
		.seed = seed,
		.random = {~seed},
		.timer_at = BOOT_TIME_NEVER,
	};
	machine->clock_set = driver_clock_set;
	machine->clock_set_context = d;
	now = driver_now(d);
	broker_model_init(
		&d->broker, &hooks, d, &now, &settings->source, !settings->no_probes, seed);
	driver_turn(d);
}

void driver_fini(struct driver *d)
{
	broker_model_fini(&d->broker);
}

void driver_restart(struct driver *d)
{
	struct token_outcome broken = {.kind = OUTCOME_UNAVAILABLE, .retry_after_s = -1};
	struct clock_reading now = driver_now(d);
	struct call *call, *next;

	tally_restarted(d->tally);
	call = broker_model_restart(&d->broker, &now, d->seed + d->tally->restarts);
	memset(d->under_way, 0, sizeof(d->under_way));
	d->timer_at = BOOT_TIME_NEVER;
	d->timer_serial++;
	for (; call; call = next) {
		next = call->next;
		call->replied(call->context, call, &broken);
	}
	driver_turn(d);
}
