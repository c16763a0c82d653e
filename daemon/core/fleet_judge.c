#include "fleet_judge.h"

#include <string.h>

/* Numbers of leases are the store's time of day in ms, or follow on the highest that was heard of.
 * No clock is set beyond the year 10000, and no host misses a million of them. What is beyond is a
 * lie: a token of the highest number of all would be the last one that any host of the fleet takes,
 * and they would remember that for longer than the store does. */
#define FENCE_BY_CLOCK_MAX (UINT64_C(1) << 48)
#define FENCES_MISSED_MAX (UINT64_C(1) << 20)

struct duration duration_from_us(int64_t us)
{
	int64_t ns;

	if (__builtin_mul_overflow(us, (int64_t)NS_PER_US, &ns))
		ns = us < 0 ? INT64_MIN : INT64_MAX;
	return duration_ns(ns);
}

struct boot_time fleet_dead_of(const struct fleet *f, const struct fleet_token *t)
{
	if (t->stopped)
		return BOOT_TIME_NEVER;
	return boot_sub(
		t->end, duration_min(f->settings.use_margin, duration_ns(t->issued.ns / 10)));
}

struct boot_time fleet_dead(const struct fleet *f)
{
	return fleet_dead_of(f, &f->current);
}

bool fleet_alive(const struct fleet *f, struct boot_time now)
{
	return f->current.generation && !f->current.stopped && boot_before(now, fleet_dead(f));
}

bool fleet_is_foreign(const struct fleet *f, struct boot_time now)
{
	return boot_before(now, f->foreign_until);
}

uint64_t fleet_highest_known(const struct fleet *f)
{
	return f->current.generation > f->refused ? f->current.generation : f->refused;
}

bool fleet_may_be_fence(const struct fleet *f, uint64_t fence)
{
	return fence <= FENCE_BY_CLOCK_MAX || fence <= f->seen + FENCES_MISSED_MAX;
}

void fleet_see(struct fleet *f, uint64_t generation)
{
	if (generation > f->seen)
		f->seen = generation;
}

void fleet_wish_granted(struct fleet *f)
{
	f->wish = FLEET_WISH_NONE;
	f->want_give_up = false;
}

void fleet_give_up(struct fleet *f, enum fleet_reason reason, struct duration wait)
{
	if (f->wish == FLEET_WISH_NONE)
		return;
	f->want_give_up = true;
	f->give_up = reason;
	f->give_up_wait = wait;
}

void fleet_take(struct fleet *f, const struct fleet_token *token)
{
	f->current = *token;
	f->lowest = token->generation;
	fleet_see(f, token->generation);
	fleet_wish_granted(f);
	f->lease.outlived = f->hold.outlived = false;
	f->put_at = BOOT_TIME_NEVER;
	f->unpublished = false;
	f->foreign_until = FLEET_LONG_AGO;
	f->refused_since = BOOT_TIME_NEVER;
	fleet_forget_check(f);
}

void fleet_forget_check(struct fleet *f)
{
	f->check = (struct fleet_check){.good_until = FLEET_LONG_AGO};
}

bool fleet_may_be_new(const struct fleet *f, struct boot_time now)
{
	struct boot_time over = boot_add(f->current.received, f->settings.cooldown);

	return f->current.generation && boot_before(now, boot_in_s(over, FLEET_OVERDUE_S));
}

struct boot_time fleet_wait_for(struct fleet *f, struct boot_time now, struct fleet_obstacle *o,
	const struct fleet_answer *a, struct duration jitter)
{
	struct boot_time overdue, at = boot_add(now, duration_max(a->wait, duration_ms(50)));

	if (strcmp(o->id.text, a->id.text) != 0)
		*o = (struct fleet_obstacle){.id = a->id, .since = now};
	overdue = boot_add(o->since, duration_add(a->whole, duration_s(FLEET_OVERDUE_S)));
	if (boot_before(overdue, now)) {
		at = o->outlived ? boot_in_s(now, 1) : now;
		f->counters.broken += !o->outlived;
		o->outlived = true;
		return at;
	}
	at = boot_add(at, random_duration(&f->random, jitter));
	return boot_min(at, boot_add(overdue, duration_ms(1)));
}
