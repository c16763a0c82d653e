/* Requests that look: clock, status, history, metrics, health. */
#include "calls_view.h"

#include "broker.h"
#include "endpoint.h"
#include "fleet_member.h"
#include "login_file.h"
#include "oauth_client.h"
#include "profile_type.h"
#include "rights.h"
#include "waiter.h"

#include "core/reply.h"
#include "core/reply_metrics.h"
#include "core/reply_skew.h"
#include "core/reply_status.h"
#include "core/token_view.h"
#include "core/views.h"
#include "front/connection_hold.h"
#include "front/front.h"
#include "host/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEASURE_WAIT_S 15

static void report_of(struct profile *p, struct profile_view *ret)
{
	struct clock_reading now;

	*ret = (struct profile_view){
		.settings = p->settings,
		.source = &p->source,
		.history = &p->history,
		.skew = &p->endpoint->clock.skew,
		.probe = &p->endpoint->clock.plan,
		.waiting = p->waiting_count,
		.denied = p->denied,
		.pages_given = p->page.given,
		.pages_retired = p->page.retired,
		.wall_steps = p->broker->clocks.wall_steps,
	};
	clock_read(&now);
	login_view_fill(p->client->login, ret);
	fleet_member_view(p, &now, &ret->fleet);
}

static int reply_clock(struct profile *p, struct reply *reply)
{
	struct profile_view report;
	struct clock_reading now;

	clock_read(&now);
	report_of(p, &report);
	reply_skew(reply, &now, &report);
	return 200;
}

int call_skew(struct call *c)
{
	return reply_clock(c->profile, c->reply);
}

static void measure_answer(struct waiter *w, const struct clock_reading *now)
{
	struct reply reply;

	(void)now;
	connection_reply_begin(w->connection, &reply);
	waiter_answered(w, reply_clock(w->profile, &reply));
}

static void measure_gone(struct waiter *w)
{
	free(w);
}

/* The reply is about the clock that the profile of that name has now. */
static void measure_moved(struct waiter *w)
{
	(void)w;
}

static const struct waiter_type measure_waiter = {
	measure_answer, measure_gone, measure_moved, NULL};

int call_probe(struct call *c)
{
	struct server_clock *clock = &c->profile->endpoint->clock;
	const struct duration wait = duration_s(MEASURE_WAIT_S);
	struct duration in;
	struct waiter *w;

	switch (server_clock_may_measure(clock, &c->now, &in)) {
	case SERVER_CLOCK_FOREIGN:
		return call_refuse(c, 503, "temporarily_unavailable",
			"another clock answers HEAD there; clock_probe_url can name a better "
			"place");
	case SERVER_CLOCK_OFF:
		return call_refuse(
			c, 503, "temporarily_unavailable", "clock_probe = no for this profile");
	case SERVER_CLOCK_TOO_SOON:
		return reply_error(c->reply, 429, "too_many_requests",
			"the clock was measured on demand less than 10 s ago", duration_ceil_s(in));
	case SERVER_CLOCK_TOO_OFTEN:
		return reply_error(c->reply, 429, "too_many_requests",
			"the clock was asked for so often that its last HEADs are for the daemon "
			"itself",
			duration_ceil_s(in));
	case SERVER_CLOCK_MEASURABLE:
		break;
	}
	w = calloc(1, sizeof(*w));
	if (!w || waiter_begin(w, &measure_waiter, c->profile, c->connection, wait)) {
		free(w);
		return call_out_of_memory(c);
	}
	waiter_wait(w, &c->profile->endpoint->measuring);
	server_clock_measure(clock, &c->now);
	turn_soon(&c->broker->turn);
	return FRONT_HELD;
}

static void report_of_broker(
	const struct broker *b, const struct clock_reading *now, struct broker_view *ret)
{
	const struct front_counters *n = front_counters(b->sockets.front);

	*ret = (struct broker_view){
		.version = b->version,
		.uptime = boot_since(now->boot, b->started.boot),
		.connections = n->connections,
		.waiting = b->waiters.count,
		.requests = n->requests,
		.accepted = n->accepted,
		.refused_total_limit = n->refused_total_limit,
		.refused_user_limit = n->refused_user_limit,
		.refused_user_rate = n->refused_user_rate,
		.accept_failures = n->accept_failures,
		.deadline_cut = n->deadline_cut,
		.descriptors_refused = n->descriptors_refused,
		.closes_stuck = n->closes_stuck,
		.users_held_off = n->users_held_off,
		.gave_way = n->gave_way,
		.kept_cut = n->kept_cut,
		.reload_failed = b->reload_failed,
		.reload_problem = b->reload_problem,
		.unknown_count = b->names.unknown.count,
		.unknown_names = b->names.unknown.text,
	};
}

/* Every profile the caller may see; `all`: whatever their rules say. NULL: no memory. */
static struct profile_view *visible_profiles(const struct call *c, bool all, size_t *ret_count)
{
	struct broker *b = c->broker;
	struct profile_view *reports = calloc(b->profiles.count + 1, sizeof(*reports));
	size_t count = 0;

	if (!reports)
		return NULL;
	for (size_t i = 0; i < b->profiles.count; i++)
		if (all || rights_may(b, c->connection, RIGHT_SEE, b->profiles.items[i]))
			report_of(b->profiles.items[i], &reports[count++]);
	*ret_count = count;
	return reports;
}

int call_status(struct call *c)
{
	bool admin = rights_may(c->broker, c->connection, RIGHT_ADMIN, NULL);
	struct profile_view *profiles;
	struct broker_view broker;
	size_t count;

	profiles = visible_profiles(c, admin, &count);
	if (!profiles)
		return call_out_of_memory(c);
	report_of_broker(c->broker, &c->now, &broker);
	reply_status(c->reply, &c->now, profiles, count, admin ? &broker : NULL);
	free(profiles);
	return 200;
}

int call_metrics(struct call *c)
{
	bool all = rights_may(c->broker, c->connection, RIGHT_METRICS, NULL);
	struct profile_view *profiles;
	struct broker_view broker;
	size_t count;

	profiles = visible_profiles(c, all, &count);
	if (!profiles)
		return call_out_of_memory(c);
	report_of_broker(c->broker, &c->now, &broker);
	reply_metrics(c->reply, &c->now, profiles, count, all ? &broker : NULL);
	free(profiles);
	return 200;
}

int call_history(struct call *c)
{
	struct profile_view report;

	report_of(c->profile, &report);
	reply_history(c->reply, &c->now, &report);
	return 200;
}

int call_healthz(struct call *c)
{

	reply_begin(c->reply, 200, REPLY_TEXT, "");
	buffer_put_text(c->reply->out, "ok\n");
	reply_end(c->reply);
	return 200;
}

/* " and N more". */
#define AND_MORE_MAX 32

int call_readyz(struct call *c)
{
	struct broker *b = c->broker;
	char words[512] = "no usable token: ", one[96];
	size_t length = strlen(words), missing = 0, named = 0, more;
	struct source_view v;

	for (size_t i = 0; i < b->profiles.count; i++) {
		struct profile *p = b->profiles.items[i];

		if (!p->settings->prefetch || !rights_may(b, c->connection, RIGHT_SEE, p))
			continue;
		token_source_view(&p->source, &c->now, &v);
		if (v.slot && v.expires_in.ns >= duration_s(c->api->min_ttl_s).ns)
			continue;
		snprintf(one, sizeof(one), "%s%s (%s)", missing ? ", " : "", p->settings->name,
			v.slot ? "min_ttl not met" : source_state_name(v.state));
		more = strlen(one);
		if (named == missing && length + more + AND_MORE_MAX < sizeof(words)) {
			memcpy(words + length, one, more + 1);
			length += more;
			named++;
		}
		missing++;
	}
	if (named < missing)
		snprintf(words + length, sizeof(words) - length, " and %zu more", missing - named);
	return missing ? call_refuse(c, 503, "temporarily_unavailable", words) : call_healthz(c);
}
