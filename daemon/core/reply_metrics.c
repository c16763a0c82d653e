#include "reply_metrics.h"

#include "config.h"
#include "metric_lines.h"
#include "probe.h"
#include "reply.h"
#include "reply_metrics_fleet.h"
#include "token_login.h"
#include "token_source.h"
#include "token_view.h"
#include "views.h"

#include <stddef.h>

static void put_plain(
	struct buffer *out, const char *name, const char *type, const char *help, uint64_t value)
{
	metric_family(out, name, type, help);
	buffer_put_text(out, name);
	buffer_put_char(out, ' ');
	buffer_put_unsigned(out, value);
	buffer_put_char(out, '\n');
}

/* A family with one figure of each profile: a uint64_t that is at `member` of its view. */
static void put_each(const struct metric_context *c, const char *name, const char *type,
	const char *help, size_t member)
{
	metric_family(c->out, name, type, help);
	for (size_t i = 0; i < c->count; i++) {
		const char *view = (const char *)&c->profiles[i];

		metric_count(c->out, name, c->profiles[i].settings->name, NULL, NULL,
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

	metric_family(c->out, valid, "gauge", "1 if there is a usable token now.");
	for (size_t i = 0; i < c->count; i++) {
		token_source_view(c->profiles[i].source, c->now, &v);
		metric_count(
			c->out, valid, c->profiles[i].settings->name, NULL, NULL, v.slot != NULL);
	}
	metric_family(c->out, state, "gauge",
		"1 for the state the profile is in: fresh, stale (good, refresh overdue or "
		"failing), waiting, unavailable, client_rejected, login_required, revoked.");
	for (size_t i = 0; i < c->count; i++) {
		token_source_view(c->profiles[i].source, c->now, &v);
		for (int s = SOURCE_FRESH; s <= SOURCE_REVOKED; s++)
			metric_count(c->out, state, c->profiles[i].settings->name, "state",
				source_state_name((enum source_state)s), (int)v.state == s);
	}
	metric_family(
		c->out, expires, "gauge", "How much longer the token is served; 0 without one.");
	for (size_t i = 0; i < c->count; i++) {
		token_source_view(c->profiles[i].source, c->now, &v);
		metric_seconds(c->out, expires, c->profiles[i].settings->name,
			v.slot ? v.expires_in : DURATION_ZERO);
	}
	metric_family(c->out, refresh, "gauge",
		"Time until the planned refresh, negative when overdue; 0 without a token.");
	for (size_t i = 0; i < c->count; i++) {
		token_source_view(c->profiles[i].source, c->now, &v);
		metric_seconds(c->out, refresh, c->profiles[i].settings->name,
			v.slot ? v.refresh_in : DURATION_ZERO);
	}
	metric_family(c->out, generation, "gauge", "Number of the current token; 0 without one.");
	for (size_t i = 0; i < c->count; i++)
		metric_count(c->out, generation, c->profiles[i].settings->name, NULL, NULL,
			c->profiles[i].source->current.generation);
}

static void put_traffic(const struct metric_context *c)
{
	static const char fetches[] = "gctokend_fetches_total";
	static const char failed[] = "gctokend_latest_fetch_failed";
	static const char refused[] = "gctokend_client_rejected";
	static const char served[] = "gctokend_tokens_served_total";
	static const char rejections[] = "gctokend_rejections_total";

	metric_family(c->out, fetches, "counter", "Token requests that ended, by result.");
	for (size_t i = 0; i < c->count; i++)
		for (int class = 0; class <= RESPONSE_LOGIN_REQUIRED; class ++)
			metric_count(c->out, fetches, c->profiles[i].settings->name, "result",
				response_class_name((enum response_class) class),
				c->profiles[i].source->counters.fetches[class]);
	metric_family(c->out, failed, "gauge",
		"1 if the latest token request failed, however good the token at hand is.");
	for (size_t i = 0; i < c->count; i++)
		metric_count(c->out, failed, c->profiles[i].settings->name, NULL, NULL,
			c->profiles[i].source->last_failure.any);
	metric_family(c->out, refused, "gauge",
		"1 while the login server refuses the client: the latest token request ended so.");
	for (size_t i = 0; i < c->count; i++) {
		const struct source_failure *f = &c->profiles[i].source->last_failure;

		metric_count(c->out, refused, c->profiles[i].settings->name, NULL, NULL,
			f->any && f->class == RESPONSE_CLIENT_REJECTED);
	}
	metric_family(c->out, served, "counter", "Tokens handed out, by state.");
	for (size_t i = 0; i < c->count; i++) {
		const struct source_counters *n = &c->profiles[i].source->counters;

		metric_count(c->out, served, c->profiles[i].settings->name, "state", "fresh",
			n->served - n->served_stale);
		metric_count(c->out, served, c->profiles[i].settings->name, "state", "stale",
			n->served_stale);
	}
	metric_family(c->out, rejections, "counter",
		"Rejections of the current token by callers: acted on, or within the cool-down.");
	for (size_t i = 0; i < c->count; i++) {
		const struct source_counters *n = &c->profiles[i].source->counters;

		metric_count(c->out, rejections, c->profiles[i].settings->name, "result",
			"replaced", n->rejected);
		metric_count(c->out, rejections, c->profiles[i].settings->name, "result",
			"cooldown", n->cooled_down);
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

	metric_family(c->out, ends, "gauge",
		"Time until a login that cannot be refreshed ends; absent if it can be, or if "
		"nobody is logged in.");
	for (size_t i = 0; i < c->count; i++)
		if (token_source_login_ends(c->profiles[i].source, c->now, &left))
			metric_seconds(c->out, ends, c->profiles[i].settings->name, left);
	metric_family(c->out, stored, "gauge",
		"1 if the login is on the disk as it is now, 0 if a restart would lose it.");
	for (size_t i = 0; i < c->count; i++)
		if (c->profiles[i].has_login)
			metric_count(c->out, stored, c->profiles[i].settings->name, NULL, NULL,
				c->profiles[i].login.stored);
}

static void put_clocks(const struct metric_context *c)
{
	static const char skew[] = "gctokend_clock_skew_seconds";
	static const char width[] = "gctokend_clock_skew_width_seconds";
	static const char clocks[] = "gctokend_clocks_seen";
	static const char probes[] = "gctokend_clock_probes_total";
	struct skew_estimate e;

	metric_family(c->out, skew, "gauge",
		"Local wall clock minus the login server's, best guess; absent until measured.");
	for (size_t i = 0; i < c->count; i++) {
		skew_query(c->profiles[i].skew, c->now, &e);
		if (e.known)
			metric_seconds(c->out, skew, c->profiles[i].settings->name,
				duration_sub(clock_wall_offset(c->now), e.point));
	}
	metric_family(
		c->out, width, "gauge", "Width of the interval that certainly contains the skew.");
	for (size_t i = 0; i < c->count; i++) {
		skew_query(c->profiles[i].skew, c->now, &e);
		if (e.known)
			metric_seconds(c->out, width, c->profiles[i].settings->name,
				duration_sub(e.hi, e.lo));
	}
	metric_family(
		c->out, clocks, "gauge", "Different clocks that answer for the login server.");
	for (size_t i = 0; i < c->count; i++) {
		skew_query(c->profiles[i].skew, c->now, &e);
		metric_count(c->out, clocks, c->profiles[i].settings->name, NULL, NULL,
			e.known ? e.clocks : 0);
	}
	metric_family(c->out, probes, "counter",
		"HEAD requests sent to read the server's clock, and those that found a silent "
		"server back.");
	for (size_t i = 0; i < c->count; i++)
		metric_count(c->out, probes, c->profiles[i].settings->name, NULL, NULL,
			c->profiles[i].probe->sent_count);
}

static void put_broker(struct buffer *out, const struct broker_view *b)
{
	static const char requests[] = "gctokend_requests_total";
	static const char refused[] = "gctokend_connections_refused_total";
	static const char build[] = "gctokend_build_info";

	metric_family(out, build, "gauge", "1, with the version as a label.");
	buffer_put_text(out, build);
	buffer_put_text(out, "{version=\"");
	buffer_put_text(out, b->version);
	buffer_put_text(out, "\"} 1\n");
	put_plain(out, "gctokend_uptime_seconds", "gauge", "Seconds since the daemon started.",
		(uint64_t)(b->uptime.ns / NS_PER_S));
	metric_family(out, requests, "counter", "Requests answered, by HTTP status.");
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
	metric_family(out, refused, "counter", "Connections refused, by reason.");
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
		reply_metrics_fleet(&c);
	}
	if (broker)
		put_broker(r->out, broker);
	reply_end(r);
}
