#include "reply_metrics_fleet.h"

#include "buffer.h"
#include "config.h"
#include "fleet.h"
#include "metric_lines.h"
#include "views.h"

/* The next profile that is in the fleet, from *at on, which is moved behind it; NULL: none is. */
static const struct profile_view *next(const struct metric_context *c, size_t *at)
{
	while (*at < c->count)
		if (c->profiles[(*at)++].fleet.state != FLEET_STATE_NONE)
			return &c->profiles[*at - 1];
	return NULL;
}

static void put_gauge(const struct metric_context *c, const char *name, const char *help,
	uint64_t (*value)(const struct fleet_view *f))
{
	const struct profile_view *p;

	metric_family(c->out, name, "gauge", help);
	for (size_t at = 0; (p = next(c, &at));)
		metric_count(c->out, name, p->settings->name, NULL, NULL, value(&p->fleet));
}

static uint64_t fleet_is_up(const struct fleet_view *f)
{
	return f->up;
}

static uint64_t fleet_is_alone(const struct fleet_view *f)
{
	return f->state == FLEET_STATE_ALONE;
}

static uint64_t fleet_has_other_key(const struct fleet_view *f)
{
	return f->state == FLEET_STATE_OTHER_KEY;
}

static uint64_t fleet_follows(const struct fleet_view *f)
{
	return f->follows;
}

static uint64_t fleet_hosts(const struct fleet_view *f)
{
	return f->hosts;
}

static uint64_t fleet_generation(const struct fleet_view *f)
{
	return f->generation;
}

/* What became of tokens and of requests for them, by the word that `result` has. */
static void put_events(const struct metric_context *c)
{
	static const char name[] = "gctokend_fleet_events_total";
	static const struct {
		const char *event;
		size_t member;
	} events[] = {
		{"minted", offsetof(struct fleet_counters, minted)},
		{"minted_alone", offsetof(struct fleet_counters, minted_alone)},
		{"adopted", offsetof(struct fleet_counters, adopted)},
		{"put", offsetof(struct fleet_counters, put)},
		{"restored", offsetof(struct fleet_counters, restored)},
		{"superseded", offsetof(struct fleet_counters, superseded)},
		{"held", offsetof(struct fleet_counters, held)},
		{"cooled_down", offsetof(struct fleet_counters, cooled_down)},
		{"store_clock_step", offsetof(struct fleet_counters, store_clock_steps)},
		{"broken", offsetof(struct fleet_counters, broken)},
		{"undated", offsetof(struct fleet_counters, undated)},
		{"stale", offsetof(struct fleet_counters, stale)},
		{"missed", offsetof(struct fleet_counters, missed)},
	};
	const struct profile_view *p;

	metric_family(c->out, name, "counter",
		"What happened in the fleet here: minted (fetched by this host), minted_alone (of "
		"these, without the store), adopted (from another host), put (into the store), "
		"restored (of these, because the store had lost it), superseded, held (another "
		"host was asking), cooled_down, store_clock_step, broken (a lease or hold that "
		"stood too long), undated, stale, missed (adopted, but no message of it came).");
	for (size_t at = 0; (p = next(c, &at));)
		for (size_t k = 0; k < sizeof(events) / sizeof(events[0]); k++)
			metric_count(c->out, name, p->settings->name, "event", events[k].event,
				*(const uint64_t *)((const char *)p->fleet.counters +
						    events[k].member));
}

/* Each outcome that an operation can have. */
static void put_operations(const struct metric_context *c)
{
	static const char name[] = "gctokend_fleet_operations_total";
	static const struct {
		enum fleet_operation operation;
		unsigned result;
		const char *labels;
	} all[] = {
#define OPERATION(op, OP, result, RESULT) \
	{FLEET_##OP, RESULT, ",op=\"" op "\",result=\"" result "\"} "}
#define TROUBLE(op, OP) \
	OPERATION(op, OP, "refused", FLEET_RESULT_REFUSED), \
		OPERATION(op, OP, "lost", FLEET_RESULT_LOST)
		OPERATION("read", READ, "record", FLEET_SAYS_RECORD),
		OPERATION("read", READ, "empty", FLEET_RESULT_EMPTY),
		TROUBLE("read", READ),
		OPERATION("acquire", ACQUIRE, "granted", FLEET_SAYS_GRANTED),
		OPERATION("acquire", ACQUIRE, "newer", FLEET_SAYS_NEWER),
		OPERATION("acquire", ACQUIRE, "held", FLEET_SAYS_HELD),
		OPERATION("acquire", ACQUIRE, "hold", FLEET_SAYS_HOLD),
		OPERATION("acquire", ACQUIRE, "limit", FLEET_SAYS_LIMIT),
		OPERATION("acquire", ACQUIRE, "cooldown", FLEET_SAYS_COOLDOWN),
		OPERATION("acquire", ACQUIRE, "accepted", FLEET_SAYS_ACCEPTED),
		TROUBLE("acquire", ACQUIRE),
		OPERATION("renew", RENEW, "kept", FLEET_SAYS_KEPT),
		OPERATION("renew", RENEW, "late", FLEET_SAYS_LATE),
		TROUBLE("renew", RENEW),
		OPERATION("put", PUT, "put", FLEET_SAYS_PUT),
		OPERATION("put", PUT, "newer", FLEET_SAYS_NEWER),
		OPERATION("put", PUT, "same", FLEET_SAYS_SAME),
		OPERATION("put", PUT, "dead", FLEET_SAYS_DEAD),
		OPERATION("put", PUT, "stale", FLEET_SAYS_STALE),
		TROUBLE("put", PUT),
		OPERATION("fail", FAIL, "failed", FLEET_SAYS_FAILED),
		OPERATION("fail", FAIL, "late", FLEET_SAYS_LATE),
		TROUBLE("fail", FAIL),
		OPERATION("stop", STOP, "put", FLEET_SAYS_PUT),
		OPERATION("stop", STOP, "newer", FLEET_SAYS_NEWER),
		OPERATION("stop", STOP, "granted", FLEET_SAYS_GRANTED),
		TROUBLE("stop", STOP),
		OPERATION("accept", ACCEPT, "put", FLEET_SAYS_PUT),
		OPERATION("accept", ACCEPT, "late", FLEET_SAYS_LATE),
		TROUBLE("accept", ACCEPT),
#undef OPERATION
#undef TROUBLE
	};
	const struct profile_view *p;

	metric_family(c->out, name, "counter",
		"What this host asked the fleet's store, and what that answered; refused: with an "
		"error; lost: not at all.");
	for (size_t at = 0; (p = next(c, &at));)
		for (size_t k = 0; k < sizeof(all) / sizeof(all[0]); k++) {
			buffer_printf(c->out, "%s{profile=\"%s\"%s", name, p->settings->name,
				all[k].labels);
			buffer_put_unsigned(c->out,
				p->fleet.counters->operations[all[k].operation][all[k].result]);
			buffer_put_char(c->out, '\n');
		}
}

static void put_pushes(const struct metric_context *c)
{
	static const char pushes[] = "gctokend_fleet_pushes_total";
	static const char delay[] = "gctokend_fleet_push_delay_seconds_total";
	const struct profile_view *p;

	metric_family(c->out, pushes, "counter", "Messages that came of a new token.");
	for (size_t at = 0; (p = next(c, &at));)
		metric_count(
			c->out, pushes, p->settings->name, NULL, NULL, p->fleet.counters->pushed);
	metric_family(c->out, delay, "counter",
		"How long they took in all from the store to here, at the most.");
	for (size_t at = 0; (p = next(c, &at));)
		metric_seconds(c->out, delay, p->settings->name, p->fleet.counters->push_delay);
}

void reply_metrics_fleet(const struct metric_context *c)
{
	static const char link[] = "gctokend_fleet_link_seconds";
	const struct profile_view *p;

	put_gauge(c, "gctokend_fleet_up", "1 if the fleet's store is reached.", fleet_is_up);
	metric_family(
		c->out, link, "gauge", "For how long the store has been reached, or has not been.");
	for (size_t at = 0; (p = next(c, &at));)
		metric_seconds(c->out, link, p->settings->name, p->fleet.linked);
	put_gauge(c, "gctokend_fleet_alone",
		"1 if the store is not reached, or refuses, and this host has fetched for itself.",
		fleet_is_alone);
	put_gauge(c, "gctokend_fleet_other_key",
		"1 if the token in the store is sealed with a key that is not known here.",
		fleet_has_other_key);
	put_gauge(c, "gctokend_fleet_follower", "1 if this host has no client secret.",
		fleet_follows);
	put_gauge(c, "gctokend_fleet_generation",
		"The fleet's number of the current token; 0 without one.", fleet_generation);
	put_gauge(c, "gctokend_fleet_hosts",
		"Hosts that hear of new tokens, as the store counts them; 0 if that is not known.",
		fleet_hosts);
	put_events(c);
	put_operations(c);
	put_pushes(c);
}
