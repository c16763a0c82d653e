#include "lifetime_adopt.h"

#define HELD_BACK_MAX_NS (10 * NS_PER_S)
#define HELD_BACK_ALONE_MAX_NS (4 * NS_PER_S)
/* So much earlier than in truth may `server_end` be: the rounding of a Date, one that is kept for a
 * while, the way of the response. */
#define SERVER_END_EARLY_NS (3 * NS_PER_S)
#define REFRESH_OWN_PERCENT 66
#define REFRESH_OTHERS_PERCENT 70
#define REFRESH_LAST_PERCENT 80

enum lifetime_verdict lifetime_adopt(struct lifetime *ret, const struct lifetime_adoption *a,
	const struct lifetime_policy *policy)
{
	struct duration most =
		duration_ns(a->background ? HELD_BACK_MAX_NS : HELD_BACK_ALONE_MAX_NS);
	struct duration held_back = duration_max(duration_min(a->not_before, most), DURATION_ZERO);
	struct lifetime l = {
		.sent = a->now,
		.received = a->now.boot,
		.end = boot_min(a->end, boot_add(a->now.boot, a->issued)),
		.valid = boot_add(a->now.boot, held_back),
		.guard_until = boot_add(a->now.boot, held_back),
		.issued = a->issued,
		.margin = duration_min(policy->use_margin, duration_ns(a->issued.ns / 10)),
		.spread = duration_min(a->spread, duration_ns(a->issued.ns / 10)),
		.wall_ref = clock_wall_offset(&a->now),
		.wall_ref_at = a->now.boot,
	};

	/* If the server's clock is ahead of ours by more than this, the token surely ends before
	 * `end`: a later exchange that finds so has found a step like any other. */
	if (a->server_end.ns) {
		l.dated = true;
		l.hi0 = duration_ns(
			ns_add(ns_sub(a->server_end.ns, l.end.ns), SERVER_END_EARLY_NS));
	}
	if (boot_since(lifetime_dead(&l), l.valid).ns < NS_PER_S)
		return LIFETIME_DEAD;
	*ret = l;
	return LIFETIME_FINE;
}

struct wall_time lifetime_server_end(
	const struct skew_sample *sample, struct duration issued, const struct jwt_claims *claims)
{
	struct wall_time end = {0};

	if (!sample)
		return end;
	end.ns = ns_add(ns_add(sample->sent.boot.ns, sample->lo.ns), ns_sub(issued.ns, NS_PER_S));
	if (claims->has_exp && claims->exp * NS_PER_S < end.ns)
		end.ns = claims->exp * NS_PER_S;
	if (end.ns < 0)
		end.ns = 0;
	return end;
}

struct boot_time lifetime_ceiling(
	const struct skew *skew, const struct clock_reading *now, struct wall_time server_end)
{
	struct skew_estimate estimate;

	if (!server_end.ns)
		return BOOT_TIME_NEVER;
	skew_query(skew, now, &estimate);
	if (!estimate.known)
		return BOOT_TIME_NEVER;
	/* of the clock that most exchanges agree on: one that lies ends no token */
	return (struct boot_time){
		ns_sub(server_end.ns, ns_add(estimate.tight_hi.ns, SKEW_DATE_STALENESS_NS))};
}

struct boot_time lifetime_shared_refresh_at(
	const struct lifetime *l, bool own, struct random *random)
{
	int64_t percent = l->issued.ns / 100;
	int64_t left = (100 - (own ? REFRESH_OWN_PERCENT : REFRESH_OTHERS_PERCENT)) * percent;
	struct duration jitter = random_duration(random,
		duration_ns(own ? 0 : (REFRESH_LAST_PERCENT - REFRESH_OTHERS_PERCENT) * percent));

	return boot_add(boot_sub(lifetime_dead(l), duration_ns(left)), jitter);
}
