/* Prometheus text exposition format 0.0.4:
 * https://prometheus.io/docs/instrumenting/exposition_formats/ */
#include "reply_metrics.h"

#include "config.h"
#include "fleet.h"
#include "probe.h"
#include "reply.h"
#include "token_login.h"
#include "token_source.h"
#include "token_view.h"
#include "views.h"

#include <stddef.h>

struct metric_context {
	struct buffer *out;
	const struct clock_reading *now;
	const struct profile_view *profiles;
	size_t count;
};

static void put_family(struct buffer *out, const char *name, const char *type, const char *help)
{
	buffer_put_text(out, "# HELP ");
	buffer_put_text(out, name);
	buffer_put_char(out, ' ');
	buffer_put_text(out, help);
	buffer_put_text(out, "\n# TYPE ");
	buffer_put_text(out, name);
	buffer_put_char(out, ' ');
	buffer_put_text(out, type);
	buffer_put_char(out, '\n');
}

/* Profile names are [a-z0-9_-]: nothing to escape. */
static void put_name(struct buffer *out, const char *name, const char *profile, const char *label,
	const char *value)
{
	buffer_put_text(out, name);
	buffer_put_text(out, "{profile=\"");
	buffer_put_text(out, profile);
	if (label) {
		buffer_put_text(out, "\",");
		buffer_put_text(out, label);
		buffer_put_text(out, "=\"");
		buffer_put_text(out, value);
	}
	buffer_put_text(out, "\"} ");
}

static void put_count(struct buffer *out, const char *name, const char *profile, const char *label,
	const char *value, uint64_t count)
{
	put_name(out, name, profile, label, value);
	buffer_put_unsigned(out, count);
	buffer_put_char(out, '\n');
}

static void put_seconds(
	struct buffer *out, const char *name, const char *profile, struct duration d)
{
	put_name(out, name, profile, NULL, NULL);
	buffer_put_fixed(out, d.ns / NS_PER_MS, 3);
	buffer_put_char(out, '\n');
}

static void put_plain(
	struct buffer *out, const char *name, const char *type, const char *help, uint64_t value)
{
	put_family(out, name, type, help);
	buffer_put_text(out, name);
	buffer_put_char(out, ' ');
	buffer_put_unsigned(out, value);
	buffer_put_char(out, '\n');
}

/* A family with one figure of each profile: a uint64_t that is at `member` of its view. */
static void put_each(const struct metric_context *c, const char *name, const char *type,
	const char *help, size_t member)
{
	put_family(c->out, name, type, help);
	for (size_t i = 0; i < c->count; i++) {
		const char *view = (const char *)&c->profiles[i];

		put_count(c->out, name, c->profiles[i].settings->name, NULL, NULL,
			*(const uint64_t *)(view + member));
	}
}

static void put_tokens(const struct metric_context *c)
{
	static const char valid[] = "gctokend_token_valid";
	static const char state[] = "gctokend_token_state";
	static const char expires[] = "gctokend_token_expires_in_seconds";
	static const char refresh[] = "gctokend_token_refresh_in_seconds";
	static const char generation[] = "gctokend_token_generation";
	struct source_view v;

	put_family(c->out, valid, "gauge", "1 if there is a usable token now.");
	for (size_t i = 0; i < c->count; i++) {
		token_source_view(c->profiles[i].source, c->now, &v);
		put_count(c->out, valid, c->profiles[i].settings->name, NULL, NULL, v.slot != NULL);
	}
	put_family(c->out, state, "gauge",
		"1 for the state the profile is in: fresh, stale (good, refresh overdue or "
		"failing), waiting, unavailable, client_rejected, login_required, revoked.");
	for (size_t i = 0; i < c->count; i++) {
		token_source_view(c->profiles[i].source, c->now, &v);
		for (int s = SOURCE_FRESH; s <= SOURCE_REVOKED; s++)
			put_count(c->out, state, c->profiles[i].settings->name, "state",
				source_state_name((enum source_state)s), (int)v.state == s);
	}
	put_family(c->out, expires, "gauge", "How much longer the token is served; 0 without one.");
	for (size_t i = 0; i < c->count; i++) {
		token_source_view(c->profiles[i].source, c->now, &v);
		put_seconds(c->out, expires, c->profiles[i].settings->name,
			v.slot ? v.expires_in : DURATION_ZERO);
	}
	put_family(c->out, refresh, "gauge",
		"Time until the planned refresh, negative when overdue; 0 without a token.");
	for (size_t i = 0; i < c->count; i++) {
		token_source_view(c->profiles[i].source, c->now, &v);
		put_seconds(c->out, refresh, c->profiles[i].settings->name,
			v.slot ? v.refresh_in : DURATION_ZERO);
	}
	put_family(c->out, generation, "gauge", "Number of the current token; 0 without one.");
	for (size_t i = 0; i < c->count; i++)
		put_count(c->out, generation, c->profiles[i].settings->name, NULL, NULL,
			c->profiles[i].source->current.generation);
}

static void put_traffic(const struct metric_context *c)
{
	static const char fetches[] = "gctokend_fetches_total";
	static const char failed[] = "gctokend_latest_fetch_failed";
	static const char refused[] = "gctokend_client_rejected";
	static const char served[] = "gctokend_tokens_served_total";
	static const char rejections[] = "gctokend_rejections_total";

	put_family(c->out, fetches, "counter", "Token requests that ended, by result.");
	for (size_t i = 0; i < c->count; i++)
		for (int class = 0; class <= RESPONSE_LOGIN_REQUIRED; class ++)
			put_count(c->out, fetches, c->profiles[i].settings->name, "result",
				response_class_name((enum response_class) class),
				c->profiles[i].source->counters.fetches[class]);
	put_family(c->out, failed, "gauge",
		"1 if the latest token request failed, however good the token at hand is.");
	for (size_t i = 0; i < c->count; i++)
		put_count(c->out, failed, c->profiles[i].settings->name, NULL, NULL,
			c->profiles[i].source->last_failure.any);
	put_family(c->out, refused, "gauge",
		"1 while the login server refuses the client: the latest token request ended so.");
	for (size_t i = 0; i < c->count; i++) {
		const struct source_failure *f = &c->profiles[i].source->last_failure;

		put_count(c->out, refused, c->profiles[i].settings->name, NULL, NULL,
			f->any && f->class == RESPONSE_CLIENT_REJECTED);
	}
	put_family(c->out, served, "counter", "Tokens handed out, by state.");
	for (size_t i = 0; i < c->count; i++) {
		const struct source_counters *n = &c->profiles[i].source->counters;

		put_count(c->out, served, c->profiles[i].settings->name, "state", "fresh",
			n->served - n->served_stale);
		put_count(c->out, served, c->profiles[i].settings->name, "state", "stale",
			n->served_stale);
	}
	put_family(c->out, rejections, "counter",
		"Rejections of the current token by callers: acted on, or within the cool-down.");
	for (size_t i = 0; i < c->count; i++) {
		const struct source_counters *n = &c->profiles[i].source->counters;

		put_count(c->out, rejections, c->profiles[i].settings->name, "result", "replaced",
			n->rejected);
		put_count(c->out, rejections, c->profiles[i].settings->name, "result", "cooldown",
			n->cooled_down);
	}
	put_each(c, "gctokend_waiting_requests", "gauge",
		"Requests being held: they wait for a token, for the next one (after=), for a "
		"measurement of the clock or for a revocation.",
		offsetof(struct profile_view, waiting));
	put_each(c, "gctokend_denied_requests_total", "counter",
		"Requests that the profile's rules refused.",
		offsetof(struct profile_view, denied));
	put_each(c, "gctokend_pages_given_total", "counter",
		"Times a caller was given the page, to read tokens from memory; such reads are "
		"not counted as served.",
		offsetof(struct profile_view, pages_given));
	put_each(c, "gctokend_pages_retired_total", "counter",
		"Pages retired: with their token, at a reload, a revocation or a logout, or "
		"because the rules changed.",
		offsetof(struct profile_view, pages_retired));
}

static void put_logins(const struct metric_context *c)
{
	static const char ends[] = "gctokend_login_ends_in_seconds";
	static const char stored[] = "gctokend_login_stored";
	struct duration left;

	put_family(c->out, ends, "gauge",
		"Time until a login that cannot be refreshed ends; absent if it can be, or if "
		"nobody is logged in.");
	for (size_t i = 0; i < c->count; i++)
		if (token_source_login_ends(c->profiles[i].source, c->now, &left))
			put_seconds(c->out, ends, c->profiles[i].settings->name, left);
	put_family(c->out, stored, "gauge",
		"1 if the login is on the disk as it is now, 0 if a restart would lose it.");
	for (size_t i = 0; i < c->count; i++)
		if (c->profiles[i].has_login)
			put_count(c->out, stored, c->profiles[i].settings->name, NULL, NULL,
				c->profiles[i].login.stored);
}

static void put_clocks(const struct metric_context *c)
{
	static const char skew[] = "gctokend_clock_skew_seconds";
	static const char width[] = "gctokend_clock_skew_width_seconds";
	static const char clocks[] = "gctokend_clocks_seen";
	static const char probes[] = "gctokend_clock_probes_total";
	struct skew_estimate e;

	put_family(c->out, skew, "gauge",
		"Local wall clock minus the login server's, best guess; absent until measured.");
	for (size_t i = 0; i < c->count; i++) {
		skew_query(c->profiles[i].skew, c->now, &e);
		if (e.known)
			put_seconds(c->out, skew, c->profiles[i].settings->name,
				duration_sub(clock_wall_offset(c->now), e.point));
	}
	put_family(
		c->out, width, "gauge", "Width of the interval that certainly contains the skew.");
	for (size_t i = 0; i < c->count; i++) {
		skew_query(c->profiles[i].skew, c->now, &e);
		if (e.known)
			put_seconds(c->out, width, c->profiles[i].settings->name,
				duration_sub(e.hi, e.lo));
	}
	put_family(c->out, clocks, "gauge", "Different clocks that answer for the login server.");
	for (size_t i = 0; i < c->count; i++) {
		skew_query(c->profiles[i].skew, c->now, &e);
		put_count(c->out, clocks, c->profiles[i].settings->name, NULL, NULL,
			e.known ? e.clocks : 0);
	}
	put_family(c->out, probes, "counter",
		"HEAD requests sent to read the server's clock, and those that found a silent "
		"server back.");
	for (size_t i = 0; i < c->count; i++)
		put_count(c->out, probes, c->profiles[i].settings->name, NULL, NULL,
			c->profiles[i].probe->sent_count);
}

static void put_fleet_gauge(const struct metric_context *c, const char *name, const char *help,
	uint64_t (*value)(const struct fleet_view *f))
{
	put_family(c->out, name, "gauge", help);
	for (size_t i = 0; i < c->count; i++)
		if (c->profiles[i].fleet.state != FLEET_STATE_NONE)
			put_count(c->out, name, c->profiles[i].settings->name, NULL, NULL,
				value(&c->profiles[i].fleet));
}

static uint64_t fleet_is_up(const struct fleet_view *f)
{
	return f->state != FLEET_STATE_DOWN && f->state != FLEET_STATE_ALONE;
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
static void put_fleet_events(const struct metric_context *c)
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

	put_family(c->out, name, "counter",
		"What happened in the fleet here: minted (fetched by this host), minted_alone (of "
		"these, without the store), adopted (from another host), put (into the store), "
		"restored (of these, because the store had lost it), superseded, held (another "
		"host was asking), cooled_down, store_clock_step, broken (a lease or hold that "
		"stood too long), undated, stale, missed (adopted, but no message of it came).");
	for (size_t i = 0; i < c->count; i++) {
		const struct fleet_view *f = &c->profiles[i].fleet;

		if (f->state == FLEET_STATE_NONE)
			continue;
		for (size_t k = 0; k < sizeof(events) / sizeof(events[0]); k++)
			put_count(c->out, name, c->profiles[i].settings->name, "event",
				events[k].event,
				*(const uint64_t *)((const char *)f->counters + events[k].member));
	}
}

/* Each outcome that an operation can have. */
static void put_fleet_operations(const struct metric_context *c)
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

	put_family(c->out, name, "counter",
		"What this host asked the fleet's store, and what that answered; refused: with an "
		"error; lost: not at all.");
	for (size_t i = 0; i < c->count; i++) {
		const struct fleet_view *f = &c->profiles[i].fleet;

		if (f->state == FLEET_STATE_NONE)
			continue;
		for (size_t k = 0; k < sizeof(all) / sizeof(all[0]); k++) {
			buffer_printf(c->out, "%s{profile=\"%s\"%s", name,
				c->profiles[i].settings->name, all[k].labels);
			buffer_put_unsigned(
				c->out, f->counters->operations[all[k].operation][all[k].result]);
			buffer_put_char(c->out, '\n');
		}
	}
}

static void put_fleet_pushes(const struct metric_context *c)
{
	static const char pushes[] = "gctokend_fleet_pushes_total";
	static const char delay[] = "gctokend_fleet_push_delay_seconds_total";

	put_family(c->out, pushes, "counter", "Messages that came of a new token.");
	for (size_t i = 0; i < c->count; i++)
		if (c->profiles[i].fleet.state != FLEET_STATE_NONE)
			put_count(c->out, pushes, c->profiles[i].settings->name, NULL, NULL,
				c->profiles[i].fleet.counters->pushed);
	put_family(c->out, delay, "counter",
		"How long they took in all from the store to here, at the most.");
	for (size_t i = 0; i < c->count; i++)
		if (c->profiles[i].fleet.state != FLEET_STATE_NONE)
			put_seconds(c->out, delay, c->profiles[i].settings->name,
				c->profiles[i].fleet.counters->push_delay);
}

static void put_fleet(const struct metric_context *c)
{
	static const char link[] = "gctokend_fleet_link_seconds";

	put_fleet_gauge(c, "gctokend_fleet_up", "1 if the fleet's store is reached.", fleet_is_up);
	put_family(
		c->out, link, "gauge", "For how long the store has been reached, or has not been.");
	for (size_t i = 0; i < c->count; i++)
		if (c->profiles[i].fleet.state != FLEET_STATE_NONE)
			put_seconds(c->out, link, c->profiles[i].settings->name,
				c->profiles[i].fleet.lasts);
	put_fleet_gauge(c, "gctokend_fleet_alone",
		"1 if the store is not reached and this host has fetched for itself.",
		fleet_is_alone);
	put_fleet_gauge(c, "gctokend_fleet_other_key",
		"1 if the token in the store is sealed with a key that is not known here.",
		fleet_has_other_key);
	put_fleet_gauge(c, "gctokend_fleet_follower", "1 if this host has no client secret.",
		fleet_follows);
	put_fleet_gauge(c, "gctokend_fleet_generation",
		"The fleet's number of the current token; 0 without one.", fleet_generation);
	put_fleet_gauge(c, "gctokend_fleet_hosts",
		"Hosts that hear of new tokens, as the store counts them; 0 if that is not known.",
		fleet_hosts);
	put_fleet_events(c);
	put_fleet_operations(c);
	put_fleet_pushes(c);
}

static void put_broker(struct buffer *out, const struct broker_view *b)
{
	static const char requests[] = "gctokend_requests_total";
	static const char refused[] = "gctokend_connections_refused_total";
	static const char build[] = "gctokend_build_info";

	put_family(out, build, "gauge", "1, with the version as a label.");
	buffer_put_text(out, build);
	buffer_put_text(out, "{version=\"");
	buffer_put_text(out, b->version);
	buffer_put_text(out, "\"} 1\n");
	put_plain(out, "gctokend_uptime_seconds", "gauge", "Seconds since the daemon started.",
		(uint64_t)(b->uptime.ns / NS_PER_S));
	put_family(out, requests, "counter", "Requests answered, by HTTP status.");
	for (unsigned status = 100; status < 600; status++)
		if (b->requests[status]) {
			buffer_put_text(out, requests);
			buffer_put_text(out, "{code=\"");
			buffer_put_unsigned(out, status);
			buffer_put_text(out, "\"} ");
			buffer_put_unsigned(out, b->requests[status]);
			buffer_put_char(out, '\n');
		}
	put_plain(out, "gctokend_connections", "gauge", "Connections of callers now.",
		b->connections);
	put_plain(out, "gctokend_connections_accepted_total", "counter", "Connections accepted.",
		b->accepted);
	put_family(out, refused, "counter", "Connections refused, by reason.");
	buffer_printf(out, "%s{reason=\"total_limit\"} %llu\n", refused,
		(unsigned long long)b->refused_total_limit);
	buffer_printf(out, "%s{reason=\"user_limit\"} %llu\n", refused,
		(unsigned long long)b->refused_user_limit);
	buffer_printf(out, "%s{reason=\"user_rate\"} %llu\n", refused,
		(unsigned long long)b->refused_user_rate);
	put_plain(out, "gctokend_accept_failures_total", "counter",
		"Times that accepting a connection failed: descriptors or memory ran out.",
		b->accept_failures);
	put_plain(out, "gctokend_deadline_cuts_total", "counter",
		"Connections cut because a request or the reading of a reply took too long.",
		b->deadline_cut);
	put_plain(out, "gctokend_descriptors_refused_total", "counter",
		"Connections closed because a descriptor was passed, where the kernel does not "
		"refuse descriptors.",
		b->descriptors_refused);
	put_plain(out, "gctokend_closes_stuck_total", "counter",
		"Processes that had not finished closing what was passed after a second.",
		b->closes_stuck);
	put_plain(out, "gctokend_users_held_off_total", "counter",
		"Times that a user was held off, because the kernel took too long at its "
		"connections.",
		b->users_held_off);
	put_plain(out, "gctokend_connections_gave_way_total", "counter",
		"Connections closed because all were taken and a user with far fewer needed one.",
		b->gave_way);
	put_plain(out, "gctokend_kept_cuts_total", "counter",
		"Connections cut because too much was kept for callers who do not read, or who ask "
		"further while a request waits.",
		b->kept_cut);
	put_plain(out, "gctokend_config_reload_failed", "gauge",
		"1 if the latest reload was refused and the older configuration stays in use.",
		b->reload_failed);
	put_plain(out, "gctokend_unknown_names", "gauge",
		"Users and groups that rules name and the system does not know.", b->unknown_count);
}

void reply_metrics(struct reply *r, const struct clock_reading *now,
	const struct profile_view *profiles, size_t count, const struct broker_view *broker)
{
	struct metric_context c = {r->out, now, profiles, count};

	reply_begin(r, 200, REPLY_METRICS, "");
	if (count) {
		put_tokens(&c);
		put_traffic(&c);
		put_logins(&c);
		put_clocks(&c);
		put_fleet(&c);
	}

	if (broker)
		put_broker(r->out, broker);
	reply_end(r);
}
