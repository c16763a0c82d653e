#include "reply_status.h"

#include "config.h"
#include "history.h"
#include "reply.h"
#include "token_login.h"
#include "token_source.h"
#include "token_view.h"
#include "views.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static void put_member(struct buffer *out, const char *name, const char *text)
{
	buffer_put_text(out, name);
	buffer_put_json(out, text);
}

static void put_seconds(struct buffer *out, const char *name, struct duration d)
{
	buffer_put_text(out, name);
	buffer_put_signed(out, duration_floor_s(d));
}

static void put_failure(
	struct buffer *out, const struct source_failure *f, const struct clock_reading *now)
{
	buffer_put_text(out, ",\"last_error\":");
	if (!f->any) {
		buffer_put_text(out, "null");
		return;
	}
	put_member(out, "{\"class\":", response_class_name(f->class));
	buffer_put_text(out, ",\"status\":");
	buffer_put_signed(out, f->status);
	put_member(out, ",\"error\":", f->error);
	put_member(out, ",\"words\":", f->words);
	put_member(out, ",\"correlation_id\":", f->correlation_id);
	put_seconds(out, ",\"ago\":", boot_since(now->boot, f->at));
	buffer_put_char(out, '}');
}

static void put_counters(struct buffer *out, const struct source_counters *c)
{
	uint64_t failures = 0;

	for (int class = 0; class <= RESPONSE_LOGIN_REQUIRED; class ++)
		failures += class == RESPONSE_TOKEN ? 0 : c->fetches[class];
	buffer_put_text(out, ",\"counters\":{\"fetches\":");
	buffer_put_unsigned(out, c->fetches[RESPONSE_TOKEN]);
	buffer_put_text(out, ",\"failures\":");
	buffer_put_unsigned(out, failures);
	buffer_put_text(out, ",\"rejections\":");
	buffer_put_unsigned(out, c->rejected);
	buffer_put_text(out, ",\"served\":");
	buffer_put_unsigned(out, c->served);
	buffer_put_text(out, ",\"served_stale\":");
	buffer_put_unsigned(out, c->served_stale);
	buffer_put_char(out, '}');
}

static void put_login(
	struct buffer *out, const struct profile_view *p, const struct clock_reading *now)
{
	static const char *const states[] = {
		[SOURCE_LOGIN_NOT_NEEDED] = "none",
		[SOURCE_LOGIN_NONE] = "none",
		[SOURCE_LOGIN_REFUSED] = "refused",
		[SOURCE_LOGIN_READY] = "refreshed",
	};
	const char *state = states[p->source->login];
	struct duration ends_in;
	bool ends = token_source_login_ends(p->source, now, &ends_in);

	if (ends && p->source->login == SOURCE_LOGIN_NONE)
		state = "ends";
	put_member(out, ",\"login\":{\"state\":", state);
	buffer_put_text(out, ",\"ends_in\":");
	if (ends)
		buffer_put_signed(out, duration_floor_s(ends_in));
	else
		buffer_put_text(out, "null");
	buffer_put_text(out, ",\"logged_in_at\":");
	if (p->login.logged_in_s)
		buffer_put_signed(out, p->login.logged_in_s);
	else
		buffer_put_text(out, "null");
	buffer_put_text(out, p->login.stored ? ",\"stored\":true" : ",\"stored\":false");
	put_member(out, ",\"problem\":", p->login.problem[0] ? p->login.problem : NULL);
	buffer_put_char(out, '}');
}

static void put_fleet(struct buffer *out, const struct fleet_view *f)
{
	static const char *const states[] = {
		[FLEET_STATE_NONE] = "none",
		[FLEET_STATE_UP] = "up",
		[FLEET_STATE_DOWN] = "down",
		[FLEET_STATE_ALONE] = "alone",
		[FLEET_STATE_OTHER_KEY] = "other_key",
		[FLEET_STATE_STOPPED] = "stopped",
	};

	put_member(out, ",\"fleet\":{\"state\":", states[f->state]);
	put_seconds(out, ",\"for\":", f->lasts);
	put_member(out, ",\"problem\":", f->problem);
	put_member(out, ",\"host\":", f->host);
	put_member(out, ",\"role\":", f->follows ? "follower" : "minter");
	buffer_put_text(out, f->own ? ",\"fetched_here\":true" : ",\"fetched_here\":false");
	buffer_put_text(out, ",\"generation\":");
	if (f->generation)
		buffer_put_unsigned(out, f->generation);
	else
		buffer_put_text(out, "null");
	buffer_put_text(out, ",\"hosts\":");
	if (f->hosts)
		buffer_put_unsigned(out, f->hosts);
	else
		buffer_put_text(out, "null");
	buffer_put_char(out, '}');
}

static void put_profile(
	struct buffer *out, const struct profile_view *p, const struct clock_reading *now)
{
	struct skew_estimate e;
	struct source_view v;

	token_source_view(p->source, now, &v);
	skew_query(p->skew, now, &e);
	put_member(out, "{\"profile\":", p->settings->name);
	put_member(out, ",\"state\":", source_state_name(v.state));
	put_member(out, ",\"region\":", p->settings->region);
	if (v.slot) {
		buffer_put_text(out, ",\"generation\":");
		buffer_put_unsigned(out, v.slot->generation);
		put_member(out, ",\"fingerprint\":", v.slot->token.fingerprint);
		put_seconds(out, ",\"expires_in\":", v.expires_in);
		put_seconds(out, ",\"refresh_in\":", v.refresh_in);
	} else {
		buffer_put_text(out,
			",\"generation\":null,\"fingerprint\":null,\"expires_in\":null,"
			"\"refresh_in\":null");
	}
	buffer_put_text(out, ",\"next\":");
	if (v.next_generation) {
		buffer_put_text(out, "{\"generation\":");
		buffer_put_unsigned(out, v.next_generation);
		buffer_put_text(out, ",\"serves_in\":");
		buffer_put_signed(out, duration_ceil_s(v.next_in));
		buffer_put_char(out, '}');
	} else {
		buffer_put_text(out, "null");
	}
	buffer_put_text(out, ",\"next_attempt_in\":");
	if (v.next_attempt.ns == BOOT_TIME_NEVER.ns)
		buffer_put_text(out, "null");
	else
		buffer_put_signed(out, duration_ceil_s(boot_since(v.next_attempt, now->boot)));
	put_failure(out, &p->source->last_failure, now);
	put_counters(out, &p->source->counters);
	if (p->has_login)
		put_login(out, p, now);
	if (p->fleet.state != FLEET_STATE_NONE)
		put_fleet(out, &p->fleet);
	buffer_put_text(out, ",\"waiting\":");
	buffer_put_unsigned(out, p->waiting);
	buffer_put_text(out, ",\"skew_seconds\":");
	if (e.known)
		buffer_put_fixed(
			out, duration_sub(clock_wall_offset(now), e.point).ns / NS_PER_MS, 3);
	else
		buffer_put_text(out, "null");
	buffer_put_char(out, '}');
}

void reply_status(struct reply *r, const struct clock_reading *now,
	const struct profile_view *profiles, size_t count, const struct broker_view *broker)
{
	struct buffer *out = r->out;

	reply_begin(r, 200, REPLY_JSON, "");
	buffer_put_text(out, "{\"profiles\":[");
	for (size_t i = 0; i < count; i++) {
		if (i)
			buffer_put_char(out, ',');
		put_profile(out, &profiles[i], now);
	}
	buffer_put_char(out, ']');
	if (broker) {
		put_member(out, ",\"broker\":{\"version\":", broker->version);
		put_seconds(out, ",\"uptime\":", broker->uptime);
		buffer_put_text(out, ",\"connections\":");
		buffer_put_unsigned(out, broker->connections);
		buffer_put_text(out, ",\"waiting\":");
		buffer_put_unsigned(out, broker->waiting);
		put_member(out, ",\"reload_problem\":",
			broker->reload_failed ? broker->reload_problem : NULL);
		put_member(out, ",\"unknown_names\":",
			broker->unknown_count ? broker->unknown_names : NULL);
		buffer_put_char(out, '}');
	}
	buffer_put_text(out, "}\n");
	reply_end(r);
}

static void put_time(struct buffer *out, struct wall_time t)
{
	time_t s = (time_t)(t.ns / NS_PER_S);
	char text[32];
	struct tm tm;

	if (!gmtime_r(&s, &tm) || !strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm)) {
		buffer_put_text(out, "null");
		return;
	}
	buffer_put_char(out, '"');
	buffer_put_text(out, text);
	buffer_printf(out, ".%03dZ\"", (int)(t.ns % NS_PER_S / NS_PER_MS));
}

void reply_history(
	struct reply *r, const struct clock_reading *now, const struct profile_view *profile)
{
	const struct history_event *all[HISTORY_ALL];
	size_t count = history_all(profile->history, all);
	struct buffer *out = r->out;

	reply_begin(r, 200, REPLY_JSON, "");
	put_member(out, "{\"profile\":", profile->settings->name);
	buffer_put_text(out, ",\"events\":[");
	for (size_t i = 0; i < count; i++) {
		const struct history_event *e = all[i];

		if (i > 0)
			buffer_put_char(out, ',');
		buffer_put_text(out, "{\"time\":");
		put_time(out, e->at.wall);
		put_seconds(out, ",\"ago\":", boot_since(now->boot, e->at.boot));
		put_member(out, ",\"event\":", event_kind_name(e->kind));
		buffer_put_text(out, ",\"generation\":");
		if (e->generation)
			buffer_put_unsigned(out, e->generation);
		else
			buffer_put_text(out, "null");
		buffer_put_text(out, ",\"times\":");
		buffer_put_unsigned(out, e->times);
		buffer_put_text(out, ",\"since\":");
		put_time(out, e->since.wall);
		put_member(out, ",\"words\":", e->words);
		buffer_put_char(out, '}');
	}
	buffer_put_text(out, "]}\n");
	reply_end(r);
}

void reply_state(struct reply *r, const char *profile, const char *state)
{
	reply_begin(r, 200, REPLY_JSON, "");
	put_member(r->out, "{\"profile\":", profile);
	put_member(r->out, ",\"state\":", state);
	buffer_put_text(r->out, "}\n");
	reply_end(r);
}
