#include "fleet_check.h"

#include "fleet.h"
#include "fleet_judge.h"

/* Whoever asks the API may take so long; then it is asked from here as well. */
#define PATIENCE_S 10
/* A host that only follows is granted nothing: it looks whether another host has asked. */
#define FOLLOWER_PATIENCE_S 3
/* Mostly it takes a moment. */
#define AGAIN_MS 500
#define AGAIN_SPREAD_MS 1000

/* A store could have kept what hosts really told it, and give it out bit by bit. So many verdicts
 * of others in a row count at the most; mostly some fewer, so that hosts that have believed the
 * same ones do not all ask at once. */
#define IN_A_ROW_MOST 20
#define IN_A_ROW_FEWER 10

static void end(struct fleet_check *c, bool accepted)
{
	c->state = FLEET_CHECK_ENDED;
	c->accepted = accepted;
}

static struct boot_time again(struct fleet *f, struct boot_time now)
{
	return boot_add(boot_add(now, duration_ms(AGAIN_MS)),
		random_duration(&f->random, duration_ms(AGAIN_SPREAD_MS)));
}

void fleet_check(struct fleet *f, struct boot_time now)
{
	struct fleet_check *c = &f->check;

	c->state = FLEET_CHECK_WANTED;
	c->since = c->at = now;
	c->doubted = 0;
	if (boot_before(now, c->good_until))
		end(c, true);
}

void fleet_checked(struct fleet *f, struct boot_time now, enum fleet_found found)
{
	struct fleet_check *c = &f->check;

	if (c->state != FLEET_CHECK_UNDER_WAY)
		return;
	c->state = FLEET_CHECK_NONE;
	c->want_release = found == FLEET_FOUND_NOTHING && c->leased && f->up;
	if (found != FLEET_FOUND_ACCEPTED)
		return;
	c->in_a_row = 0;
	c->good_until = boot_add(now, f->settings.cooldown);
	c->want_accept = c->leased && f->up;
	if (c->leased)
		c->verdict = c->fence;
}

static bool enough_in_a_row(struct fleet *f)
{
	return f->check.in_a_row + random_next(&f->random) % IN_A_ROW_FEWER >= IN_A_ROW_MOST;
}

/* The end of a verdict never moves out, and none counts that is older than what was known. */
static bool believe(struct fleet *f, struct boot_time now, const struct fleet_answer *a,
	const struct fleet_sight *sight)
{
	struct duration age = duration_from_us(ns_sub(a->stamp_us, a->verdict.at_us));
	struct duration left = duration_sub(f->settings.cooldown, duration_max(age, DURATION_ZERO));
	struct fleet_check *c = &f->check;

	if (!sight->proven || a->verdict.fence < c->verdict || left.ns <= 0)
		return false;
	if (a->verdict.fence > c->verdict) {
		if (enough_in_a_row(f))
			return false;
		c->in_a_row++;
		fleet_see(f, a->verdict.fence);
		c->verdict = a->verdict.fence;
		c->good_until = boot_add(now, left);
	}
	return boot_before(now, boot_in_s(c->good_until, FLEET_OVERDUE_S));
}

void fleet_check_acquired(struct fleet *f, struct boot_time now, const struct fleet_answer *a,
	const struct fleet_sight *sight)
{
	struct fleet_check *c = &f->check;

	if (c->state != FLEET_CHECK_WANTED)
		return; /* meanwhile it was moot; a lease ends by itself */
	switch (a->word) {
	case FLEET_SAYS_GRANTED:
		if (!fleet_may_be_fence(f, a->fence)) {
			c->at = boot_in_s(now, 1);
			break;
		}
		fleet_see(f, a->fence);
		c->state = FLEET_CHECK_GRANTED;
		c->leased = true;
		c->fence = a->fence;
		f->renew_at = boot_add(now, duration_ns(FLEET_RENEW_NS));
		break;
	case FLEET_SAYS_HELD:
		f->counters.held++;
		c->at = boot_min(again(f, now),
			fleet_wait_for(f, now, &f->lease, a, duration_s(FLEET_LEASE_JITTER_S)));
		break;
	case FLEET_SAYS_ACCEPTED:
		if (believe(f, now, a, sight)) {
			end(c, true);
			break;
		}
		/* an honest store hardly says so again */
		c->at = c->doubted ? boot_in_s(now, 1) : now;
		c->doubted = a->verdict.fence;
		break;
	case FLEET_SAYS_COOLDOWN:
		if (!fleet_may_be_new(f, now)) {
			c->since = FLEET_LONG_AGO; /* asked from here */
			break;
		}
		f->counters.cooled_down++;
		end(c, false);
		break;
	default: /* nor this */
		c->at = boot_in_s(now, 1);
		break;
	}
}

void fleet_check_read(struct fleet *f, struct boot_time now, const struct fleet_answer *a,
	const struct fleet_sight *sight)
{
	struct fleet_check *c = &f->check;

	if (c->state != FLEET_CHECK_WANTED)
		return;
	if (a->verdict.fence && a->record.generation == f->current.generation &&
		believe(f, now, a, sight))
		end(c, true);
	else if (!f->settings.may_mint)
		c->at = again(f, now);
}

static struct boot_time patience_ends(const struct fleet *f)
{
	return boot_in_s(f->check.since, f->settings.may_mint ? PATIENCE_S : FOLLOWER_PATIENCE_S);
}

bool fleet_check_decide(struct fleet *f, struct boot_time now, struct fleet_decision *d)
{
	struct fleet_check *c = &f->check;

	if (c->state == FLEET_CHECK_WANTED &&
		(!f->up || fleet_is_foreign(f, now) || f->unpublished ||
			!boot_before(now, patience_ends(f)))) {
		c->state = FLEET_CHECK_GRANTED;
		c->leased = false;
	}
	switch (c->state) {
	case FLEET_CHECK_GRANTED:
		c->state = FLEET_CHECK_UNDER_WAY;
		d->todo = FLEET_TODO_CHECK;
		return true;
	case FLEET_CHECK_ENDED:
		c->state = FLEET_CHECK_NONE;
		d->todo = FLEET_TODO_CHECKED;
		d->accepted = c->accepted;
		return true;
	case FLEET_CHECK_WANTED:
		d->wake_at = boot_min(d->wake_at, patience_ends(f));
		return false;
	case FLEET_CHECK_NONE:
	case FLEET_CHECK_UNDER_WAY:
		break;
	}
	return false;
}

bool fleet_check_due(const struct fleet *f, struct boot_time now, struct boot_time *wake_at)
{
	if (f->check.state != FLEET_CHECK_WANTED)
		return false;
	if (!boot_before(now, f->check.at))
		return true;
	*wake_at = boot_min(*wake_at, f->check.at);
	return false;
}

bool fleet_check_leased(const struct fleet *f)
{
	return f->check.state == FLEET_CHECK_UNDER_WAY && f->check.leased;
}
