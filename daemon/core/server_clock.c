#include "server_clock.h"

#include "exchange.h"
#include "history.h"
#include "token_decide.h"
#include "token_judge.h"
#include "token_knock.h"
#include "token_source.h"
#include "token_view.h"

#include <stdlib.h>

#define WALL_STEP_NOTICEABLE_NS (NS_PER_S / 2)
#define CONFLICT_NOTICEABLE_NS NS_PER_S
#define LONG_LIVED_S 900
#define MEASURE_APART_S 10

/* ---- our wall clock ---- */

void server_clocks_init(struct server_clocks *all, const struct clock_reading *now)
{
	*all = (struct server_clocks){.wall_offset = clock_wall_offset(now)};
}

static void tell_wall_step(
	struct server_clock *c, const struct clock_reading *now, struct duration step)
{
	struct token_source *s;

	LIST_FOREACH(s, &c->sources, of_clock)
	{
		history_add(s->history, now, EVENT_WALL_STEP, 0,
			"the local wall clock was set %s by %lld ms; tokens do not depend on it",
			step.ns > 0 ? "ahead" : "back", llabs(step.ns) / NS_PER_MS);
		token_source_clock_changed(s);
	}
}

/* A step harms no token by itself. But it may mean that the machine stood still for as long, and
 * only the server's clock can tell. */
void server_clocks_look(struct server_clocks *all, const struct clock_reading *now)
{
	struct duration offset = clock_wall_offset(now);
	struct duration step = duration_sub(offset, all->wall_offset);
	struct server_clock *c;

	if (llabs(step.ns) < WALL_STEP_NOTICEABLE_NS)
		return;
	all->wall_offset = offset;
	all->wall_steps++;
	LIST_FOREACH(c, &all->list, link)
	{
		if (LIST_EMPTY(&c->sources))
			continue;
		tell_wall_step(c, now, step);
		probe_want_after_step(&c->plan);
	}
}

/* ---- the server and those who fetch from it ---- */

void server_clock_init(
	struct server_clock *c, struct server_clocks *all, bool probing, const char *probe_url)
{
	*c = (struct server_clock){.probe_url = probe_url, .knock = KNOCK_NONE};
	probe_init(&c->plan, probing);
	LIST_INSERT_HEAD(&all->list, c, link);
}

void server_clock_fini(struct server_clock *c)
{
	LIST_REMOVE(c, link);
}

void server_clock_join(struct server_clock *c, struct token_source *s)
{
	LIST_INSERT_HEAD(&c->sources, s, of_clock);
}

void server_clock_leave(struct token_source *s)
{
	LIST_REMOVE(s, of_clock);
}

void server_clock_resume(struct server_clock *c, const struct server_clock_past *past)
{
	bool probing = c->plan.enabled;

	c->skew = past->skew;
	c->plan = past->plan;
	c->plan.enabled = probing;
	c->series_begun = past->series_begun;
}

/* ---- exchanges ---- */

struct duration server_clock_spread(const struct server_clock *c, const struct clock_reading *now)
{
	struct skew_estimate e;

	skew_query(&c->skew, now, &e);
	return e.known ? e.spread : DURATION_ZERO;
}

/* Is the next POST so far off that one HEAD is too little until then? */
static bool tokens_live_long(const struct server_clock *c)
{
	const struct token_source *s;

	LIST_FOREACH(s, &c->sources, of_clock)
	if (token_source_issued(s).ns > LONG_LIVED_S * NS_PER_S)
		return true;
	return false;
}

static void want_probes_after_post(struct server_clock *c)
{
	if (c->series_begun)
		probe_want(&c->plan, tokens_live_long(c) ? 2 : 1, false);
	else
		probe_want_series(&c->plan);
	c->series_begun = true;
}

static void learn(
	struct server_clock *c, const struct clock_reading *now, const struct skew_sample *sample)
{
	struct duration miss, spread;
	struct token_source *s;

	skew_add(&c->skew, sample, &miss);
	if (miss.ns > CONFLICT_NOTICEABLE_NS)
		probe_want_after_conflict(&c->plan);
	spread = server_clock_spread(c, now);
	LIST_FOREACH(s, &c->sources, of_clock)
	token_source_exchange(s, now, sample, spread);
}

bool server_clock_post_ended(struct server_clock *c, const struct clock_reading *now,
	const struct exchange *x, struct skew_sample *ret_sample)
{
	struct skew_sample sample;
	bool usable = skew_sample_of(x, &sample);

	if (x->status)
		probe_posted(&c->plan, usable ? &sample : NULL,
			boot_since(x->received.boot, x->sent.boot));
	/* a server in trouble is left in peace */
	if (x->status == 200)
		want_probes_after_post(c);
	if (!usable)
		return false;
	learn(c, now, &sample);
	*ret_sample = sample;
	return true;
}

static void tell_foreign(struct server_clock *c, const struct clock_reading *now)
{
	struct token_source *s;

	LIST_FOREACH(s, &c->sources, of_clock)
	history_add(s->history, now, EVENT_CLOCK_FOREIGN, 0,
		"HEAD %s is answered by another clock than the token endpoint's: not asked again; "
		"clock_probe_url can name a better place",
		c->probe_url);
}

bool server_clock_head_ended(
	struct server_clock *c, const struct clock_reading *now, const struct exchange *x)
{
	struct duration rtt = boot_since(x->received.boot, x->sent.boot);
	struct skew_sample sample;
	bool usable = skew_sample_of(x, &sample);
	struct token_source *s;

	if (probe_ended(&c->plan, usable ? &sample : NULL, rtt, now->boot) == PROBE_FOREIGN) {
		tell_foreign(c, now);
		usable = false;
	}
	if (usable)
		learn(c, now, &sample);
	LIST_FOREACH(s, &c->sources, of_clock)
	token_source_probed(s);
	return usable;
}

void server_clock_head_failed(struct server_clock *c, const struct clock_reading *now)
{
	probe_ended(&c->plan, NULL, DURATION_ZERO, now->boot);
}

/* ---- decisions ---- */

void server_clock_decide(struct server_clock *c, struct token_source *s,
	const struct clock_reading *now, struct token_source_decisions *ret)
{
	token_source_decide(s, now, ret);
	if (ret->probes)
		probe_want(&c->plan, ret->probes, true);
}

struct boot_time server_clock_turn(
	struct server_clock *c, const struct clock_reading *now, bool *ret_head)
{
	struct boot_time aged, at;

	*ret_head = false;
	if (LIST_EMPTY(&c->sources))
		return BOOT_TIME_NEVER;
	at = probe_next(&c->plan, &c->skew, now);
	if (at.ns == BOOT_TIME_NEVER.ns && c->series_begun) {
		aged = probe_look_at_age(&c->plan, &c->skew, now);
		if (aged.ns != BOOT_TIME_NEVER.ns)
			return aged;
		at = probe_next(&c->plan, &c->skew, now);
	}
	if (boot_before(now->boot, at))
		return at;
	probe_sent(&c->plan, now->boot);
	*ret_head = true;
	return BOOT_TIME_NEVER; /* one at a time: its end plans the next */
}

struct boot_time server_clock_knock(
	struct server_clock *c, const struct clock_reading *now, bool *ret_knock)
{
	struct token_source *s, *first = NULL;
	struct boot_time at =
		boot_max(now->boot, boot_max(c->knock.next, probe_knock_from(&c->plan)));

	*ret_knock = false;
	if (c->knock.in_flight)
		return BOOT_TIME_NEVER;
	if (!c->plan.enabled || c->plan.foreign) {
		LIST_FOREACH(s, &c->sources, of_clock)
		token_source_knock_planned(s, BOOT_TIME_NEVER);
		return BOOT_TIME_NEVER;
	}
	LIST_FOREACH(s, &c->sources, of_clock)
	if (!first && token_source_knocks(s))
		first = s;
	if (!first)
		return BOOT_TIME_NEVER;
	*ret_knock = !boot_before(now->boot, at);
	if (*ret_knock) {
		knock_sent(&c->knock, now->boot, &first->random);
		probe_knock_left(&c->plan);
		at = c->knock.next;
	}
	LIST_FOREACH(s, &c->sources, of_clock)
	token_source_knock_planned(s, at);
	return *ret_knock ? BOOT_TIME_NEVER : at;
}

void server_clock_knock_ended(
	struct server_clock *c, const struct clock_reading *now, const struct exchange *x)
{
	bool answered = x && x->status, wanted = false;
	struct token_source *s;

	probe_knock_ended(&c->plan, now->boot, answered);
	if (x)
		LIST_FOREACH(s, &c->sources, of_clock)
	wanted |= token_source_knocked(s, now, answered);
	knock_ended(&c->knock, answered && wanted);
}

enum server_clock_measure server_clock_may_measure(
	const struct server_clock *c, const struct clock_reading *now, struct duration *ret_in)
{
	struct duration since = boot_since(now->boot, c->asked_at);
	struct boot_time from;

	if (c->plan.foreign)
		return SERVER_CLOCK_FOREIGN;
	if (!c->plan.enabled)
		return SERVER_CLOCK_OFF;
	if (c->was_asked && since.ns < MEASURE_APART_S * NS_PER_S) {
		*ret_in = duration_sub(duration_s(MEASURE_APART_S), since);
		return SERVER_CLOCK_TOO_SOON;
	}
	if (!probe_may_measure(&c->plan, now, &from)) {
		*ret_in = boot_since(from, now->boot);
		return SERVER_CLOCK_TOO_OFTEN;
	}
	return SERVER_CLOCK_MEASURABLE;
}

void server_clock_measure(struct server_clock *c, const struct clock_reading *now)
{
	c->was_asked = true;
	c->asked_at = now->boot;
	probe_want_measure(&c->plan);
}

bool server_clock_measuring(const struct server_clock *c, const struct clock_reading *now)
{
	return probe_is_busy(&c->plan, &c->skew, now);
}
