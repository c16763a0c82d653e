/* Requests that look: clock, status, history, metrics, health. */
#include "calls_view.h"

#include "broker.h"
#include "call.h"
#include "endpoint.h"
#include "login_file.h"
#include "oauth_client.h"
#include "profile_type.h"
#include "waiter.h"

#include "core/reply.h"
#include "core/reply_status.h"
#include "core/token_view.h"
#include "front/front.h"
#include "host/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEASURE_WAIT_S 15

static void report_of(struct profile *p, struct profile_view *ret)
{
	*ret = (struct profile_view){
		.settings = p->settings,
		.source = &p->source,
		.history = &p->history,
		.skew = &p->endpoint->clock.skew,
		.probe = &p->endpoint->clock.plan,
		.waiting = p->waiting_count,
		.denied = p->denied,
		.pages_given = p->pages_given,
		.pages_retired = p->pages_retired,
		.wall_steps = p->broker->clocks.wall_steps,
	};
	if (p->client->login)
		login_report(p->client->login, ret);
}

int call_answer_skew(struct profile *p, struct buffer *out, bool keep_alive)
{
	struct profile_view report;
	struct clock_reading now;

	clock_read(&now);
	report_of(p, &report);
	reply_skew(out, keep_alive, &now, &report);
	return 200;
}

int call_skew(struct call *c)
{
	int status = call_find_profile(c, RIGHT_SEE);

	return status ? status : call_answer_skew(c->profile, c->out, c->keep_alive);
}

int call_probe(struct call *c)
{
	int status = call_find_profile(c, RIGHT_TOKEN);
	struct server_clock *clock;
	struct duration in;
	struct waiter *w;

	if (status)
		return status;
	clock = &c->profile->endpoint->clock;
	switch (server_clock_may_measure(clock, &c->now, &in)) {
	case SERVER_CLOCK_FOREIGN:
		return call_refuse(c, 503, "temporarily_unavailable",
			"another clock answers HEAD there; clock_probe_url can name a better "
			"place");
	case SERVER_CLOCK_OFF:
		return call_refuse(
			c, 503, "temporarily_unavailable", "clock_probe = no for this profile");
	case SERVER_CLOCK_TOO_SOON:
		return reply_error(c->out, 429, c->keep_alive, "too_many_requests",
			"the clock was measured on demand less than 10 s ago", duration_ceil_s(in));
	case SERVER_CLOCK_MEASURABLE:
		break;
	}
	if (waiter_new(&w, c->profile, c->connection, WAITER_MEASURE, duration_s(MEASURE_WAIT_S)))
		return call_refuse(c, 503, "temporarily_unavailable", "out of memory");
	server_clock_measure(clock, &c->now);
	turn_soon(&c->broker->turn);
	return FRONT_HELD;
}

static void report_of_broker(
	const struct broker *b, const struct clock_reading *now, struct broker_view *ret)
{
	const struct front_counters *n = front_counters(b->front);

	*ret = (struct broker_view){
		.version = b->version,
		.uptime = boot_since(now->boot, b->started.boot),
		.connections = n->connections,
		.waiting = b->waiting_count,
		.requests = n->requests,
		.accepted = n->accepted,
		.refused_total_limit = n->refused_total_limit,
		.refused_user_limit = n->refused_user_limit,
		.refused_user_rate = n->refused_user_rate,
		.accept_failures = n->accept_failures,
		.deadline_cut = n->deadline_cut,
		.reload_failed = b->reload_failed,
		.reload_problem = b->reload_problem,
	};
}

/* Every profile the caller may see; `all`: whatever their rules say. NULL: no memory. */
static struct profile_view *visible_profiles(const struct call *c, bool all, size_t *ret_count)
{
	struct broker *b = c->broker;
	struct profile_view *reports = calloc(b->profile_count + 1, sizeof(*reports));
	size_t count = 0;

	if (!reports)
		return NULL;
	for (size_t i = 0; i < b->profile_count; i++)
		if (all || call_may_see(b->profiles[i], c->connection))
			report_of(b->profiles[i], &reports[count++]);
	*ret_count = count;
	return reports;
}

int call_status_or_metrics(struct call *c)
{
	struct broker *b = c->broker;
	bool metrics = c->api.route == API_METRICS;
	bool admin = call_is_admin(b, c->connection);
	bool all = admin ||
		   (metrics && call_rules_grant(b, &b->config->broker.metrics, c->connection));
	struct profile_view *profiles;
	struct broker_view broker;
	size_t count;

	if (c->api.problem[0])
		return call_refuse(c, 400, "invalid_request", c->api.problem);
	profiles = visible_profiles(c, all, &count);
	if (!profiles)
		return call_refuse(c, 503, "temporarily_unavailable", "out of memory");
	report_of_broker(b, &c->now, &broker);
	if (metrics)
		reply_metrics(c->out, c->keep_alive, &c->now, profiles, count, &broker);
	else
		reply_status(
			c->out, c->keep_alive, &c->now, profiles, count, admin ? &broker : NULL);
	free(profiles);
	return 200;
}

int call_history(struct call *c)
{
	int status = call_find_profile(c, RIGHT_ADMIN);
	struct profile_view report;

	if (status)
		return status;
	report_of(c->profile, &report);
	reply_history(c->out, c->keep_alive, &c->now, &report);
	return 200;
}

int call_healthz(struct call *c)
{
	struct reply a;

	reply_begin(&a, c->out, 200, REPLY_TEXT, c->keep_alive, "");
	buffer_put_text(c->out, "ok\n");
	reply_end(&a);
	return 200;
}

int call_readyz(struct call *c)
{
	struct broker *b = c->broker;
	char words[512] = "no usable token:";
	size_t length = strlen(words);
	bool ready = true;
	struct source_view v;

	if (c->api.problem[0])
		return call_refuse(c, 400, "invalid_request", c->api.problem);
	for (size_t i = 0; i < b->profile_count; i++) {
		struct profile *p = b->profiles[i];

		if (!p->settings->prefetch || !call_may_see(p, c->connection))
			continue;
		token_source_view(&p->source, &c->now, &v);
		if (v.slot && v.expires_in.ns >= duration_s(c->api.min_ttl_s).ns)
			continue;
		ready = false;
		if (length < sizeof(words))
			length += (size_t)snprintf(words + length, sizeof(words) - length,
				" %s (%s)", p->settings->name,
				v.slot ? "min_ttl not met" : source_state_name(v.state));
	}
	return ready ? call_healthz(c) : call_refuse(c, 503, "temporarily_unavailable", words);
}
