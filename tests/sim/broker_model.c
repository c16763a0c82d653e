#include "broker_model.h"

#include "core/token_decide.h"
#include "core/token_fetch.h"
#include "core/token_past.h"

#define TURNS_MAX 16
#define GENERATIONS_AT_ONCE 1000

/* ---- callers ---- */

/* True: it was replied to. */
static bool try_call(struct broker_model *m, const struct clock_reading *now, struct call *call)
{
	struct token_outcome outcome;

	token_source_ask(&m->source, now, &call->ask, &outcome);
	if (outcome.kind == OUTCOME_HOLD) {
		if (!boot_before(now->boot, call->ask.deadline))
			m->hooks->failed(m->world, "a call is held past its deadline");
		return false;
	}
	call->replied(call->context, call, &outcome);
	return true;
}

static void hold(struct broker_model *m, struct call *call)
{
	call->next = m->held;
	m->held = call;
}

static void try_held_again(struct broker_model *m, const struct clock_reading *now)
{
	struct call *call = m->held, *next;

	m->held = NULL;
	for (; call; call = next) {
		next = call->next;
		if (!try_call(m, now, call))
			hold(m, call);
	}
}

bool broker_model_ask(struct broker_model *m, const struct clock_reading *now, struct call *call)
{
	call->serial = ++m->serial;
	if (try_call(m, now, call))
		return true;
	hold(m, call);
	return false;
}

struct boot_time broker_model_deadline(
	struct broker_model *m, const struct clock_reading *now, uint64_t serial)
{
	for (struct call **at = &m->held; *at; at = &(*at)->next) {
		struct call *call = *at;

		if (call->serial != serial)
			continue;
		if (boot_before(now->boot, call->ask.deadline))
			return call->ask.deadline;
		*at = call->next;
		try_call(m, now, call);
		break;
	}
	return BOOT_TIME_NEVER;
}

bool broker_model_wants_turn(const struct broker_model *m)
{
	return token_source_needs_turn(&m->source);
}

void broker_model_forget(struct broker_model *m, const struct call *call)
{
	for (struct call **at = &m->held; *at; at = &(*at)->next)
		if (*at == call) {
			*at = call->next;
			return;
		}
}

/* ---- decisions ---- */

static void decide(struct broker_model *m, const struct clock_reading *now)
{
	struct token_source_decisions d;

	if (m->hooks->deciding)
		m->hooks->deciding(m->world);
	server_clock_decide(&m->clock, &m->source, now, &d);
	if (!boot_before(now->boot, d.wake_at))
		m->hooks->failed(m->world, "the next decision is due with this one");
	m->wake_at = d.wake_at;
	if (d.changed)
		try_held_again(m, now);
	if (d.give_up)
		m->hooks->give_up(m->world);
	if (d.fetch)
		m->hooks->send(m->world, false);
	if (m->hooks->decided)
		m->hooks->decided(m->world);
}

struct boot_time broker_model_turn(struct broker_model *m, const struct clock_reading *now)
{
	struct boot_time head_at, knock_at;
	unsigned turns = 0;
	bool head, knock;

	server_clocks_look(&m->clocks, now);
	while (token_source_needs_turn(&m->source) || !boot_before(now->boot, m->wake_at)) {
		decide(m, now);
		if (++turns > TURNS_MAX) {
			m->hooks->failed(m->world, "decisions without end");
			break;
		}
	}
	head_at = server_clock_turn(&m->clock, now, &head);
	if (head)
		m->hooks->send(m->world, true);
	knock_at = server_clock_knock(&m->clock, now, &knock);
	if (knock)
		m->hooks->knock(m->world);
	return boot_min(m->wake_at, boot_min(head_at, knock_at));
}

/* ---- exchanges ---- */

bool broker_model_post_ended(struct broker_model *m, const struct clock_reading *now,
	const struct exchange *x, struct token_response *response)
{
	struct skew_sample sample;
	bool dated = server_clock_post_ended(&m->clock, now, x, &sample);

	m->hooks->learnt(m->world, dated);
	if (token_source_fetched(&m->source, now, x, response, dated ? &sample : NULL,
		    server_clock_spread(&m->clock, now), m->generation + 1) != FETCHED_TOKEN)
		return false;
	m->generation++;
	return true;
}

void broker_model_head_ended(
	struct broker_model *m, const struct clock_reading *now, const struct exchange *x)
{
	m->hooks->learnt(m->world, server_clock_head_ended(&m->clock, now, x));
}

void broker_model_knock_ended(
	struct broker_model *m, const struct clock_reading *now, const struct exchange *x)
{
	server_clock_knock_ended(&m->clock, now, x);
}

/* ---- life ---- */

static void begin(struct broker_model *m, const struct clock_reading *now,
	const struct token_source_settings *settings, bool probing, uint64_t seed)
{
	server_clocks_init(&m->clocks, now);
	server_clock_init(&m->clock, &m->clocks, probing, "https://login.example/");
	token_source_init(&m->source, settings, &m->mint, &m->history, seed);
	server_clock_join(&m->clock, &m->source);
	m->wake_at = BOOT_TIME_NEVER;
}

void broker_model_init(struct broker_model *m, const struct broker_hooks *hooks, void *world,
	const struct clock_reading *now, const struct token_source_settings *settings, bool probing,
	uint64_t seed)
{
	m->hooks = hooks;
	m->world = world;
	begin(m, now, settings, probing, seed);
}

void broker_model_fini(struct broker_model *m)
{
	token_source_fini(&m->source);
}

struct call *broker_model_restart(
	struct broker_model *m, const struct clock_reading *now, uint64_t seed)
{
	struct token_source_settings settings = m->source.settings;
	struct source_failure failure = m->source.last_failure;
	struct boot_time not_before = m->source.not_before;
	bool probing = m->clock.plan.enabled;
	struct call *held = m->held;

	m->held = NULL;
	token_source_fini(&m->source);
	/* the rest of the block of generations that was reserved on disk */
	m->generation += GENERATIONS_AT_ONCE;
	begin(m, now, &settings, probing, seed);
	token_source_restore(&m->source, not_before, failure.any ? &failure : NULL);
	return held;
}
