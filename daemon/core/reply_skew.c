/* The clock measurement as the operator sees it. Inside, theta is the server's clock minus our
 * BOOTTIME; outside, the skew is our wall clock minus the server's, positive when ours is ahead. */
#include "reply_skew.h"

#include "config.h"
#include "probe.h"
#include "reply.h"
#include "token_source.h"
#include "views.h"

#include <stdio.h>
#include <stdlib.h>

#define ADVICE_MAX 320
#define NOTICEABLE_MS 1500
#define SERIOUS_MS 60000

static void put_ms(struct buffer *out, const char *name, struct duration d)
{
	buffer_put_text(out, name);
	buffer_put_fixed(out, d.ns / NS_PER_MS, 3);
}

/* Outwards, so that the interval still holds what it held before it was rounded to milliseconds. */
static void put_interval(struct buffer *out, struct duration low, struct duration high)
{
	buffer_put_text(out, "\"low\":");
	buffer_put_fixed(out, (low.ns - (low.ns < 0 ? 999999 : 0)) / NS_PER_MS, 3);
	buffer_put_text(out, ",\"high\":");
	buffer_put_fixed(out, (high.ns + (high.ns > 0 ? 999999 : 0)) / NS_PER_MS, 3);
}

static void write_advice(char *advice, const struct profile_view *p, const struct skew_estimate *e,
	struct duration low, struct duration high)
{
	int64_t least_ms = low.ns > 0    ? low.ns / NS_PER_MS
			   : high.ns < 0 ? -(high.ns / NS_PER_MS)
					 : 0;
	const char *side = low.ns > 0 ? "ahead of" : "behind";
	const char *more = p->probe->foreign ? " HEAD requests reach another clock, so none are "
					       "sent (clock_probe_url can name a better address)."
					     : "";

	if (!e->known)
		snprintf(advice, ADVICE_MAX,
			"The login server has not sent a usable Date yet, so nothing is known of "
			"its clock.");
	else if (e->clocks > 1 && e->spread.ns)
		snprintf(advice, ADVICE_MAX,
			"The login server answers from %u clocks up to %lld ms apart: tokens are "
			"refreshed and retired that much earlier; nothing needs to be done here.%s",
			e->clocks, (long long)(e->spread.ns / NS_PER_MS), more);
	else if (!e->consistent)
		snprintf(advice, ADVICE_MAX,
			"The login server's clock disagreed with itself lately (it was stepped, or "
			"there are several): the interval is wider until it settles.%s",
			more);
	else if (least_ms >= SERIOUS_MS)
		snprintf(advice, ADVICE_MAX,
			"The local clock is at least %lld s %s the login server's: repair it "
			"(timedatectl timesync-status); tokens are safe, other software is not.%s",
			(long long)(least_ms / 1000), side, more);
	else if (least_ms >= NOTICEABLE_MS)
		snprintf(advice, ADVICE_MAX,
			"The local clock is at least %lld.%03lld s %s the login server's: check "
			"that time synchronisation runs (timedatectl); tokens are safe.%s",
			(long long)(least_ms / 1000), (long long)(least_ms % 1000), side, more);
	else if (low.ns < -NOTICEABLE_MS * NS_PER_MS || high.ns > NOTICEABLE_MS * NS_PER_MS)
		snprintf(advice, ADVICE_MAX,
			"How far the local clock is from the login server's is known only within "
			"%lld ms: nothing needs to be done, and further exchanges tell more.%s",
			(long long)((high.ns - low.ns) / NS_PER_MS), more);
	else
		snprintf(advice, ADVICE_MAX,
			"The local clock agrees with the login server's as far as can be told.%s",
			more);
}

static void put_token(
	struct buffer *out, const struct profile_view *p, const struct clock_reading *now)
{
	const struct token_slot *slot = &p->source->current;

	buffer_put_text(out, ",\"token\":");
	if (!slot->token.text) {
		buffer_put_text(out, "null");
		return;
	}
	put_ms(out, "{\"valid_in\":",
		duration_max(DURATION_ZERO, boot_since(slot->life.valid, now->boot)));
	put_ms(out, ",\"dead_in\":", boot_since(lifetime_dead(&slot->life), now->boot));
	buffer_put_text(out, ",\"evidence\":[\"expires_in\"");
	if (slot->life.by_exp)
		buffer_put_text(out, ",\"exp\"");
	buffer_put_text(out, "]}");
}

void reply_skew(struct reply *r, const struct clock_reading *now, const struct profile_view *p)
{
	struct duration wall = clock_wall_offset(now), low = DURATION_ZERO, high = DURATION_ZERO;
	char advice[ADVICE_MAX];
	struct buffer *out = r->out;
	struct skew_estimate e;

	skew_query(p->skew, now, &e);
	reply_begin(r, 200, REPLY_JSON, "");
	buffer_put_text(out, "{\"profile\":");
	buffer_put_json(out, p->settings->name);
	if (e.known) {
		low = duration_sub(wall, e.hi);
		high = duration_sub(wall, e.lo);
		put_ms(out, ",\"skew_seconds\":", duration_sub(wall, e.point));
		buffer_put_char(out, ',');
		put_interval(out, low, high);
	} else {
		buffer_put_text(out, ",\"skew_seconds\":null,\"low\":null,\"high\":null");
	}
	buffer_put_text(out, e.consistent ? ",\"consistent\":true" : ",\"consistent\":false");
	buffer_put_text(out, ",\"clocks_seen\":");
	buffer_put_unsigned(out, e.known ? e.clocks : 0);
	buffer_put_text(out, ",\"samples\":");
	buffer_put_unsigned(out, e.samples);
	buffer_put_text(out, ",\"rtt_min_ms\":");
	if (p->probe->rtt_min.ns)
		buffer_put_fixed(out, p->probe->rtt_min.ns / 1000, 3);
	else
		buffer_put_text(out, "null");
	buffer_put_text(out, ",\"tight\":");
	if (e.known) {
		buffer_put_char(out, '{');
		put_interval(out, duration_sub(wall, e.tight_hi), duration_sub(wall, e.tight_lo));
		buffer_put_char(out, '}');
	} else {
		buffer_put_text(out, "null");
	}
	buffer_put_text(out, ",\"wall_steps\":");
	buffer_put_unsigned(out, p->wall_steps);
	put_token(out, p, now);
	write_advice(advice, p, &e, low, high);
	buffer_put_text(out, ",\"advice\":");
	buffer_put_json(out, advice);
	buffer_put_text(out, "}\n");
	reply_end(r);
}
