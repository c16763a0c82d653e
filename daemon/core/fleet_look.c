#include "fleet_look.h"

#include "fleet_judge.h"

#define UNDATED_US (-1000000)
#define MESSAGE_LATE_US 2000000

/* An admin's stop that the store does not have yet has to be higher than whatever is there. */
static void stop_above(struct fleet *f)
{
	f->current.generation = f->lowest = f->seen + 1;
	fleet_see(f, f->current.generation);
}

/* Sealed with a key that is not ours: other hosts go by it. */
static void look_away(struct fleet *f, struct boot_time now, const struct fleet_stored *r,
	const struct fleet_dating *when)
{
	struct duration left = duration_from_us(ns_sub(r->left_us, when->age_us));

	if (!fleet_is_foreign(f, now))
		f->foreign_since = now;
	f->refused = r->generation;
	f->foreign_until = boot_add(when->from, duration_max(left, DURATION_ZERO));
}

/* The same one again: nothing may ever live longer than was once known. */
static enum fleet_taken look_again(struct fleet *f, struct boot_time now,
	const struct fleet_stored *r, struct boot_time end, bool undated)
{
	enum fleet_taken taken = FLEET_TAKEN_NOTHING;

	if (f->current.stopped)
		return taken;
	if (!f->current.own && !undated && boot_before(end, f->current.end)) {
		f->current.end = end;
		taken = FLEET_TAKEN_EARLIER;
	}
	if (r->rejected && !f->current.rejected) {
		f->current.rejected = true;
		f->check.state = FLEET_CHECK_NONE; /* it was asked elsewhere */
		f->not_before = boot_in_s(now, 1); /* whoever reported it has the lease */
		taken = FLEET_TAKEN_REJECTED;
	}
	return taken;
}

/* Whoever holds it may date it anew in a moment; then it can be taken. */
static void wait_for_date(struct fleet *f, struct boot_time now, uint64_t generation)
{
	if (f->refused == generation)
		return;
	f->counters.undated++;
	f->refused = generation;
	f->not_before = boot_in_s(now, FLEET_SPREAD_S + 1);
	f->read_at = boot_sub(f->not_before, duration_ms(500));
}

enum fleet_taken fleet_look_at(struct fleet *f, struct boot_time now, const struct fleet_stored *r,
	const struct fleet_sight *sight, const struct fleet_dating *when)
{
	struct duration left = duration_from_us(ns_sub(r->left_us, when->age_us));
	/* dated in the future: the store's clock was set back since, nobody knows how far */
	bool undated = when->age_us < UNDATED_US;
	struct fleet_token token = {
		.generation = r->generation,
		.received = now,
		.issued = sight->issued,
		.stopped = sight->seal == FLEET_SEAL_STOPPED,
	};

	if (sight->seal == FLEET_SEAL_FOREIGN) {
		look_away(f, now, r, when);
		return FLEET_TAKEN_NOTHING;
	}
	f->foreign_until = FLEET_LONG_AGO;
	if (sight->seal == FLEET_SEAL_GOOD || token.stopped)
		fleet_see(f, r->generation);
	if (f->want_stop) {
		if (f->seen > f->current.generation)
			stop_above(f);
		return FLEET_TAKEN_NOTHING;
	}
	if (sight->seal == FLEET_SEAL_DAMAGED || sight->seal == FLEET_SEAL_NONE) {
		if (r->generation > f->current.generation)
			f->refused = r->generation;
		return FLEET_TAKEN_NOTHING;
	}
	if (token.stopped) {
		if (r->generation <= f->current.generation || r->generation < f->lowest)
			return FLEET_TAKEN_NOTHING;
		token.end = BOOT_TIME_NEVER;
		fleet_take(f, &token);
		return FLEET_TAKEN_STOP;
	}
	left = duration_min(left, duration_sub(sight->issued, duration_s(1)));
	token.end = boot_add(when->from, left);
	if (!boot_is_never(sight->ceiling)) {
		if (undated)
			token.end = boot_add(now, duration_sub(sight->issued, duration_s(1)));
		token.end = boot_min(token.end, sight->ceiling);
		undated = false;
	}
	if (r->generation == f->current.generation)
		return look_again(f, now, r, token.end, undated || when->loose);
	if (r->generation < f->current.generation)
		return FLEET_TAKEN_NOTHING;
	if (r->generation < f->lowest) {
		f->refused = r->generation;
		return FLEET_TAKEN_NOTHING;
	}
	if (undated) {
		wait_for_date(f, now, r->generation);
		return FLEET_TAKEN_NOTHING;
	}
	if (r->rejected || !boot_before(now, fleet_dead_of(f, &token))) {
		f->refused = r->generation;
		return FLEET_TAKEN_NOTHING;
	}
	fleet_take(f, &token);
	f->counters.adopted++;
	return FLEET_TAKEN_TOKEN;
}

/* It was put while messages were heard, and long enough ago for one of it. */
static bool was_missed(const struct fleet *f, const struct fleet_dating *when)
{
	struct boot_time put_at = boot_sub(when->from, duration_from_us(when->age_us));

	return when->age_us > MESSAGE_LATE_US && boot_before(f->since, put_at);
}

enum fleet_taken fleet_look_at_read(struct fleet *f, struct boot_time now,
	const struct fleet_stored *r, const struct fleet_sight *sight)
{
	const struct fleet_dating when = {
		.from = f->stamp.sent,
		.age_us = ns_sub(f->stamp.us, r->t0_us),
	};
	enum fleet_taken taken = fleet_look_at(f, now, r, sight, &when);

	f->counters.missed += taken == FLEET_TAKEN_TOKEN && was_missed(f, &when);
	return taken;
}
