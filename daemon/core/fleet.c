#include "fleet.h"

#include <string.h>

#define NS_PER_US 1000
/* Reads and puts after a loss are spread over this. */
#define SPREAD_S 3
/* A lease or hold is broken when it has stood so much longer than it says. */
#define OVERDUE_S 2
/* A stamp is too old to date a token by. */
#define STAMP_FRESH_NS NS_PER_S
/* What two readings of clocks may differ by beyond the drift. */
#define STEP_NOISE_NS (300 * NS_PER_MS)
#define UNDATED_US (-1000000)
/* A connection that has only just been lost, or was never there, is waited for. */
#define DOWN_PATIENCE_S 5
#define FOLLOWER_PATIENCE_S 10
#define ALONE_AFTER_S 30
#define ALONE_LEFT_S 30
#define RANK_APART_S 2
#define RANK_LAST 16
#define STALE_WAIT_MS 200
#define RENEW_NS (FLEET_LEASE_S * NS_PER_S / 3)
#define FAIL_WAIT_REJECTED_S 900
/* rho: 100 ppm. */
#define DRIFT(ns) ((ns) / 10000)

static const struct boot_time long_ago = {INT64_MIN};

static struct duration upto(struct fleet *f, struct duration most)
{
	return random_duration(&f->random, most);
}

static struct boot_time in_s(struct boot_time now, int64_t s)
{
	return boot_add(now, duration_s(s));
}

static bool is_never(struct boot_time t)
{
	return t.ns == BOOT_TIME_NEVER.ns;
}

static struct duration from_us(int64_t us)
{
	int64_t ns;

	if (__builtin_mul_overflow(us, (int64_t)NS_PER_US, &ns))
		ns = us < 0 ? INT64_MIN : INT64_MAX;
	return duration_ns(ns);
}

/* A token is not served to its very end. */
static struct boot_time dead_of(const struct fleet *f, const struct fleet_token *t)
{
	if (t->stopped)
		return BOOT_TIME_NEVER;
	return boot_sub(
		t->end, duration_min(f->settings.use_margin, duration_ns(t->issued.ns / 10)));
}

static struct boot_time dead(const struct fleet *f)
{
	return dead_of(f, &f->current);
}

bool fleet_alive(const struct fleet *f, struct boot_time now)
{
	return f->current.generation && !f->current.stopped && boot_before(now, dead(f));
}

/* Something that is worth keeping in the store. */
static bool worth_keeping(const struct fleet *f, struct boot_time now)
{
	return f->current.stopped || (fleet_alive(f, now) && !f->current.rejected);
}

static bool is_foreign(const struct fleet *f, struct boot_time now)
{
	return boot_before(now, f->foreign_until);
}

static void see(struct fleet *f, uint64_t generation)
{
	if (generation > f->seen)
		f->seen = generation;
}

void fleet_init(
	struct fleet *f, const struct fleet_settings *settings, uint64_t seed, struct boot_time now)
{
	*f = (struct fleet){
		.settings = *settings,
		.random = {seed},
		.rank = FLEET_NO_PERMIT,
		.since = now,
		.not_before = long_ago,
		.read_at = BOOT_TIME_NEVER,
		.poll_at = BOOT_TIME_NEVER,
		.put_at = BOOT_TIME_NEVER,
		.foreign_since = long_ago,
		.foreign_until = long_ago,
	};
}

void fleet_configure(struct fleet *f, const struct fleet_settings *settings)
{
	f->settings = *settings;
}

void fleet_restore(struct fleet *f, uint64_t seen, uint32_t rank)
{
	see(f, seen);
	f->lowest = seen;
	f->rank = rank;
}

void fleet_resume(struct fleet *f, const struct fleet_token *token)
{
	f->current = *token;
	f->lowest = token->generation;
	see(f, token->generation);
}

uint64_t fleet_lowest(const struct fleet *f)
{
	return f->lowest;
}

void fleet_permitted(struct fleet *f, uint32_t rank)
{
	f->rank = rank;
}

/* ---- what there is ---- */

static void wish_granted(struct fleet *f)
{
	f->wish = FLEET_WISH_NONE;
	f->want_give_up = false;
}

static void give_up(struct fleet *f, enum fleet_reason reason, struct duration wait)
{
	if (f->wish == FLEET_WISH_NONE)
		return;
	f->want_give_up = true;
	f->give_up = reason;
	f->give_up_wait = wait;
}

static void take(struct fleet *f, const struct fleet_token *token)
{
	f->current = *token;
	f->lowest = token->generation;
	see(f, token->generation);
	wish_granted(f);
	f->lease.outlived = f->hold.outlived = false;
	f->put_at = BOOT_TIME_NEVER;
	f->unpublished = false;
	f->foreign_until = long_ago;
}

/* What ACQUIRE need not tell. */
static uint64_t highest_known(const struct fleet *f)
{
	return f->current.generation > f->refused ? f->current.generation : f->refused;
}

/* An admin's stop that the store does not have yet has to be higher than whatever is there. */
static void stop_above(struct fleet *f)
{
	f->current.generation = f->lowest = f->seen + 1;
	see(f, f->current.generation);
}

/* When the record's life begins to be counted by our clock, and how old it was then. */
struct dating {
	struct boot_time from;
	int64_t age_us;
};

/* Sealed with a key that is not ours: other hosts go by it. */
static void look_away(struct fleet *f, struct boot_time now, const struct fleet_stored *r,
	const struct dating *when)
{
	struct duration left = from_us(ns_sub(r->left_us, when->age_us));

	if (!is_foreign(f, now))
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
		f->not_before = in_s(now, 1); /* whoever reported it has the lease */
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
	f->not_before = in_s(now, SPREAD_S + 1);
	f->read_at = boot_sub(f->not_before, duration_ms(500));
}

static enum fleet_taken look_at(struct fleet *f, struct boot_time now, const struct fleet_stored *r,
	const struct fleet_sight *sight, const struct dating *when)
{
	struct duration left = from_us(ns_sub(r->left_us, when->age_us));
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
	f->foreign_until = long_ago;
	if (sight->seal == FLEET_SEAL_GOOD || token.stopped)
		see(f, r->generation);
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
		take(f, &token);
		return FLEET_TAKEN_STOP;
	}
	left = duration_min(left, duration_sub(sight->issued, duration_s(1)));
	token.end = boot_add(when->from, left);
	if (!is_never(sight->ceiling)) {
		if (undated)
			token.end = boot_add(now, duration_sub(sight->issued, duration_s(1)));
		token.end = boot_min(token.end, sight->ceiling);
		undated = false;
	}
	if (r->generation == f->current.generation)
		return look_again(f, now, r, token.end, undated);
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
	if (r->rejected || !boot_before(now, dead_of(f, &token))) {
		f->refused = r->generation;
		return FLEET_TAKEN_NOTHING;
	}
	take(f, &token);
	f->counters.adopted++;
	return FLEET_TAKEN_TOKEN;
}

static enum fleet_taken look_at_read(struct fleet *f, struct boot_time now,
	const struct fleet_stored *r, const struct fleet_sight *sight)
{
	const struct dating when = {
		.from = f->stamp.sent,
		.age_us = ns_sub(f->stamp.us, r->t0_us),
	};

	return look_at(f, now, r, sight, &when);
}

/* ---- the connection ---- */

void fleet_up(struct fleet *f, struct boot_time now)
{
	f->up = true;
	f->since = f->anchor = f->read_at = now;
	f->stamp.known = false;
	f->busy = false;
	f->poll_at = BOOT_TIME_NEVER;
	if (!is_never(f->put_at))
		f->put_at = now;
}

void fleet_down(struct fleet *f, struct boot_time now)
{
	if (f->up)
		f->since = now;
	f->up = false;
	f->stamp.known = false;
	f->busy = false;
}

void fleet_anchored(struct fleet *f, struct boot_time sent)
{
	f->anchor = boot_max(f->anchor, sent);
}

/* What is dated by a clock that was set, or by another server's, is dated wrongly: it is put right.
 */
static void redate(struct fleet *f, struct boot_time now)
{
	f->counters.store_clock_steps++;
	if (fleet_alive(f, now) && !f->current.rejected && f->settings.may_mint &&
		is_never(f->put_at))
		f->put_at = boot_add(now, upto(f, duration_s(SPREAD_S)));
}

static void read_clock(struct fleet *f, struct boot_time now, int64_t us)
{
	const struct fleet_stamp stamp = {true, us, f->asked_at, now};
	const struct fleet_stamp *last = &f->clock;

	if (last->known) {
		int64_t theirs = from_us(ns_sub(us, last->us)).ns;
		int64_t most = boot_since(now, last->sent).ns;
		int64_t least = boot_since(stamp.sent, last->received).ns;
		int64_t slack = ns_add(DRIFT(most), STEP_NOISE_NS);

		if (theirs > ns_add(most, slack) || theirs < ns_sub(least, slack))
			redate(f, now);
	}
	f->clock = f->stamp = stamp;
}

/* Flushed, evicted, failed over. A token of our own that it never had goes there at once; else one
 * of many does it. */
static void restore(struct fleet *f, struct boot_time now)
{
	struct duration wait =
		duration_add(duration_ms(SPREAD_S * 250), upto(f, duration_s(SPREAD_S)));

	if (!worth_keeping(f, now) || !boot_before(f->current.received, f->stamp.sent) ||
		!f->settings.may_mint)
		return;
	if (f->unpublished || f->current.own)
		f->put_at = now;
	else if (is_never(f->put_at))
		f->put_at = boot_add(now, wait);
}

static enum fleet_taken was_read(struct fleet *f, struct boot_time now,
	const struct fleet_answer *a, const struct fleet_sight *sight)
{
	const struct fleet_stored *r = &a->record;
	enum fleet_taken taken = FLEET_TAKEN_NOTHING;

	f->read_at = BOOT_TIME_NEVER;
	f->poll_at = boot_add(now, duration_ns(f->settings.poll.ns / 10 * 9));
	f->poll_at = boot_add(f->poll_at, upto(f, duration_ns(f->settings.poll.ns / 5)));
	if (r->generation)
		taken = look_at_read(f, now, r, sight);
	else
		f->foreign_until = long_ago;
	if (r->generation && r->generation == f->current.generation && !f->unpublished) {
		struct duration left = from_us(ns_sub(r->left_us, ns_sub(a->stamp_us, r->t0_us)));

		/* dated rightly already */
		if (f->current.stopped ||
			ns_distance(boot_add(f->stamp.sent, left).ns, f->current.end.ns) < NS_PER_S)
			f->put_at = BOOT_TIME_NEVER;
	}
	if (r->generation < f->current.generation && !is_foreign(f, now))
		restore(f, now);
	return taken;
}

/* A lease or hold of another host. By our own clock it ends, whatever the store's does. */
static void wait_for(struct fleet *f, struct boot_time now, struct fleet_obstacle *o,
	const struct fleet_answer *a, struct duration jitter)
{
	struct boot_time overdue, at = boot_add(now, duration_max(a->wait, duration_ms(50)));

	if (strcmp(o->id.text, a->id.text) != 0)
		*o = (struct fleet_obstacle){.id = a->id, .since = now};
	overdue = boot_add(o->since, duration_add(a->whole, duration_s(OVERDUE_S)));
	if (boot_before(overdue, now)) {
		f->not_before = o->outlived ? in_s(now, 1) : now;
		f->counters.broken += !o->outlived;
		o->outlived = true;
		return;
	}
	at = boot_add(at, upto(f, jitter));
	f->not_before = boot_min(at, boot_add(overdue, duration_ms(1)));
}

static void granted(struct fleet *f, struct boot_time now, uint64_t fence)
{
	see(f, fence);
	/* Its token came meanwhile, and the lease ends by itself. */
	if (f->wish == FLEET_WISH_NONE)
		return;
	f->fence = fence;
	f->minting = true;
	f->alone = false;
	f->want_mint = true;
	f->want_give_up = false;
	f->renew_at = boot_add(now, duration_ns(RENEW_NS));
}

static bool is_broken(const struct fleet_obstacle *o, const struct fleet_id *id)
{
	return o->outlived && strcmp(o->id.text, id->text) == 0;
}

static enum fleet_taken was_acquired(struct fleet *f, struct boot_time now,
	const struct fleet_answer *a, const struct fleet_sight *sight)
{
	uint64_t known = highest_known(f);
	enum fleet_taken taken;

	switch (a->word) {
	case FLEET_SAYS_NEWER:
		f->not_before = boot_min(f->not_before, now);
		taken = look_at_read(f, now, &a->record, sight);
		/* no honest store says so */
		if (highest_known(f) == known)
			f->not_before = in_s(now, 1);
		return taken;
	case FLEET_SAYS_GRANTED:
		granted(f, now, a->fence);
		break;
	case FLEET_SAYS_HELD:
		f->counters.held++;
		wait_for(f, now, &f->lease, a, duration_s(2));
		break;
	case FLEET_SAYS_HOLD:
		if (f->wish == FLEET_WISH_ADMIN && !is_broken(&f->hold, &a->id)) {
			/* an admin does not wait */
			f->hold = (struct fleet_obstacle){a->id, now, true};
			f->not_before = now;
			break;
		}
		wait_for(f, now, &f->hold, a, duration_s(1));
		f->class = a->class;
		if (!f->hold.outlived)
			give_up(f, FLEET_BECAUSE_HOLD, boot_since(f->not_before, now));
		break;
	case FLEET_SAYS_LIMIT:
		f->not_before = boot_add(boot_add(now, a->wait), upto(f, duration_s(1)));
		give_up(f, FLEET_BECAUSE_LIMIT, boot_since(f->not_before, now));
		break;
	case FLEET_SAYS_COOLDOWN:
		f->counters.cooled_down++;
		f->current.rejected = false;
		give_up(f, FLEET_BECAUSE_COOLDOWN, a->wait);
		break;
	default:
		break;
	}
	return FLEET_TAKEN_NOTHING;
}

static enum fleet_taken was_put(struct fleet *f, struct boot_time now, const struct fleet_answer *a,
	const struct fleet_sight *sight)
{
	switch (a->word) {
	case FLEET_SAYS_STALE:
		/* the stamp was from before a step, or it took long: another one, and again */
		f->counters.stale++;
		f->stamp.known = false;
		f->put_at = boot_add(now, duration_ms(STALE_WAIT_MS));
		return FLEET_TAKEN_NOTHING;
	case FLEET_SAYS_NEWER:
		f->counters.superseded += f->unpublished;
		break;
	case FLEET_SAYS_PUT:
		f->counters.put++;
		f->counters.restored += !f->unpublished;
		break;
	default:
		break;
	}
	f->put_at = BOOT_TIME_NEVER;
	f->unpublished = false;
	return a->word == FLEET_SAYS_NEWER ? look_at_read(f, now, &a->record, sight)
					   : FLEET_TAKEN_NOTHING;
}

static enum fleet_taken was_stopped(struct fleet *f, struct boot_time now,
	const struct fleet_answer *a, const struct fleet_sight *sight)
{
	uint64_t generation = f->current.generation;

	if (a->word == FLEET_SAYS_NEWER) {
		look_at_read(f, now, &a->record, sight);
		if (f->current.generation == generation)
			f->not_before = in_s(now, 1);
		return FLEET_TAKEN_NOTHING;
	}
	f->want_stop = a->word == FLEET_SAYS_GRANTED;
	if (!f->want_stop)
		return FLEET_TAKEN_NOTHING;
	/* somebody may be minting: it is to be above that */
	if (a->fence > f->current.generation)
		f->current.generation = f->seen = a->fence;
	else /* no honest store says so */
		f->not_before = in_s(now, 1);
	return FLEET_TAKEN_NOTHING;
}

enum fleet_taken fleet_answered(struct fleet *f, struct boot_time now,
	const struct fleet_answer *answer, const struct fleet_sight *sight)
{
	f->busy = false;
	read_clock(f, now, answer->stamp_us);
	switch (f->operation) {
	case FLEET_READ:
		return was_read(f, now, answer, sight);
	case FLEET_ACQUIRE:
		return was_acquired(f, now, answer, sight);
	case FLEET_RENEW:
		/* late or not: whether its token counts, its generation says */
		f->renew_at = boot_add(now, duration_ns(RENEW_NS));
		break;
	case FLEET_PUT:
		return was_put(f, now, answer, sight);
	case FLEET_FAIL:
		f->want_fail = false;
		break;
	case FLEET_STOP:
		return was_stopped(f, now, answer, sight);
	}
	return FLEET_TAKEN_NOTHING;
}

void fleet_refused(struct fleet *f, struct boot_time now)
{
	struct boot_time later = boot_add(in_s(now, 1), upto(f, duration_s(1)));

	f->busy = false;
	switch (f->operation) {
	case FLEET_READ:
		f->read_at = later;
		break;
	case FLEET_ACQUIRE:
	case FLEET_STOP:
		f->not_before = later;
		break;
	case FLEET_RENEW:
		f->renew_at = later;
		break;
	case FLEET_PUT:
		f->put_at = later;
		break;
	case FLEET_FAIL:
		f->want_fail = false; /* the lease ends by itself */
		f->not_before = later;
		break;
	}
}

enum fleet_taken fleet_pushed(struct fleet *f, struct boot_time now,
	const struct fleet_message *message, const struct fleet_sight *sight)
{
	/* Put after the latest answered ping of the connection by which it came was sent, and
	 * before now. Where in between the store's clock says; a step of it errs by no more. */
	struct dating when = {.from = f->anchor};
	enum fleet_taken taken;

	if (message->failure) {
		f->class = message->class;
		f->not_before = boot_add(boot_add(now, message->hold), upto(f, duration_s(1)));
		if (!f->minting)
			give_up(f, FLEET_BECAUSE_HOLD, boot_since(f->not_before, now));
		return FLEET_TAKEN_NOTHING;
	}
	if (f->stamp.known) {
		struct duration since = from_us(ns_sub(message->record.t0_us, f->stamp.us));

		if (since.ns > 0)
			since.ns -= DRIFT(since.ns);
		when.from = boot_max(when.from, boot_add(f->stamp.sent, since));
	}
	when.from = boot_min(when.from, now);
	taken = look_at(f, now, &message->record, sight, &when);
	f->not_before = boot_min(f->not_before, now);
	if (f->current.generation == message->record.generation && !f->unpublished)
		f->put_at = BOOT_TIME_NEVER;
	return taken;
}

/* ---- the token source's side ---- */

void fleet_want(struct fleet *f, struct boot_time now, enum fleet_wish wish)
{
	if (f->wish == FLEET_WISH_NONE)
		f->wished_at = now;
	if (wish > f->wish)
		f->wish = wish;
	if (wish == FLEET_WISH_ADMIN)
		f->not_before = boot_min(f->not_before, now);
	f->want_give_up = false;
	if (wish == FLEET_WISH_REPORT && f->current.generation && !f->current.rejected) {
		f->current.rejected = true;
		f->not_before = boot_min(f->not_before, now);
	}
}

void fleet_credential_changed(struct fleet *f, struct boot_time now)
{
	f->not_before = boot_min(f->not_before, now);
}

bool fleet_minted(
	struct fleet *f, struct boot_time now, struct boot_time end, struct duration issued)
{
	const struct fleet_token token = {
		/* no lease of an honest store is lower than what this host has had */
		.generation = f->fence > f->lowest ? f->fence : f->lowest,
		.end = end,
		.received = now,
		.issued = issued,
		.own = true,
	};

	f->minting = false;
	f->counters.minted++;
	f->counters.minted_alone += f->alone;
	if (f->current.generation && f->fence <= f->current.generation)
		return false;
	take(f, &token);
	f->unpublished = true;
	f->put_at = now;
	return true;
}

void fleet_mint_failed(struct fleet *f, struct boot_time now, enum response_class class,
	struct duration retry_after)
{
	f->minting = false;
	wish_granted(f);
	f->class = class;
	f->fail_wait = class == RESPONSE_CLIENT_REJECTED ? duration_s(FAIL_WAIT_REJECTED_S)
							 : duration_max(retry_after, DURATION_ZERO);
	f->want_fail = !f->alone;
	f->not_before = boot_add(now, f->fail_wait);
}

void fleet_ends(struct fleet *f, struct boot_time end)
{
	if (f->current.generation && !f->current.stopped)
		f->current.end = boot_min(f->current.end, end);
}

void fleet_stop(struct fleet *f, struct boot_time now)
{
	const struct fleet_token token = {
		.generation = f->seen + 1,
		.end = BOOT_TIME_NEVER,
		.received = now,
		.stopped = true,
		.own = true,
	};

	take(f, &token);
	f->want_stop = true;
}

/* ---- decisions ---- */

/* What is over is forgotten, but not its number. */
static void let_go(struct fleet *f, struct boot_time now)
{
	if (!f->current.generation || f->current.stopped || boot_before(now, dead(f)))
		return;
	f->lowest = f->current.generation + 1;
	f->current = (struct fleet_token){.generation = 0};
	f->put_at = BOOT_TIME_NEVER;
	f->unpublished = false;
}

static void begin(struct fleet *f, struct boot_time now, enum fleet_operation operation,
	struct fleet_decision *d)
{
	f->busy = true;
	f->operation = operation;
	f->asked_at = now;
	d->todo = FLEET_TODO_OPERATION;
	d->operation = operation;
}

static void begin_acquire(struct fleet *f, struct boot_time now, struct fleet_decision *d)
{
	/* nobody waits while the old one lives */
	bool waits = !fleet_alive(f, now) || f->current.rejected;

	begin(f, now, FLEET_ACQUIRE, d);
	f->lease_length = duration_s(waits ? FLEET_LEASE_S : FLEET_LEASE_LIVING_S);
	d->generation = highest_known(f);
	d->reject = f->wish == FLEET_WISH_REPORT ? f->current.generation : 0;
	d->floor = f->seen;
	d->lease = f->lease_length;
	if (f->lease.outlived)
		d->break_lease = f->lease.id;
	if (f->hold.outlived)
		d->break_hold = f->hold.id;
}

static void begin_put(struct fleet *f, struct boot_time now, struct fleet_decision *d)
{
	/* What is left is counted from the later end of the stamp: less rather than more. */
	struct duration left = boot_since(f->current.end, f->stamp.received);

	begin(f, now, FLEET_PUT, d);
	d->generation = f->current.generation;
	d->stamp_us = f->stamp.us;
	d->left_us = left.ns / NS_PER_US;
	d->issued = f->current.issued;
}

static void begin_fail(struct fleet *f, struct boot_time now, struct fleet_decision *d)
{
	begin(f, now, FLEET_FAIL, d);
	d->fence = f->fence;
	d->class = f->class;
	d->wait = f->fail_wait;
	d->living = fleet_alive(f, now) && !f->current.rejected;
}

static void decide_minting(struct fleet *f, struct boot_time now, struct fleet_decision *d)
{
	if (f->want_mint) {
		f->want_mint = false;
		d->todo = FLEET_TODO_MINT;
		d->alone = f->alone;
		return;
	}
	/* The POST takes its time, and the lease is kept. */
	if (f->alone || !f->up || f->busy)
		return;
	if (boot_before(now, f->renew_at)) {
		d->wake_at = boot_min(d->wake_at, f->renew_at);
		return;
	}
	begin(f, now, FLEET_RENEW, d);
	d->fence = f->fence;
	d->lease = f->lease_length;
}

/* True: there is something to tell the store, or to ask it, besides a token. */
static bool decide_upkeep(struct fleet *f, struct boot_time now, struct fleet_decision *d)
{
	if (is_never(f->read_at) && !boot_before(now, f->poll_at))
		f->read_at = now;
	d->wake_at = boot_min(d->wake_at, is_never(f->read_at) ? f->poll_at : f->read_at);
	if (!boot_before(now, f->read_at)) {
		begin(f, now, FLEET_READ, d);
	} else if (f->want_fail) {
		begin_fail(f, now, d);
	} else if (is_foreign(f, now)) {
		d->wake_at = boot_min(d->wake_at, f->foreign_until);
	} else if (f->want_stop && boot_before(now, f->not_before)) {
		d->wake_at = boot_min(d->wake_at, f->not_before);
	} else if (f->want_stop) {
		begin(f, now, FLEET_STOP, d);
		d->generation = f->current.generation;
	} else if (!boot_before(now, f->put_at)) {
		if (f->current.stopped) {
			begin(f, now, FLEET_STOP, d);
			d->generation = f->current.generation;
			f->put_at = BOOT_TIME_NEVER;
		} else if (f->stamp.known &&
			   boot_since(now, f->stamp.received).ns <= STAMP_FRESH_NS) {
			begin_put(f, now, d);
		} else if (is_never(f->read_at)) {
			/* dated by a fresh reading of the store's clock, lest a step lies between
			 */
			begin(f, now, FLEET_READ, d);
		}
	} else {
		d->wake_at = boot_min(d->wake_at, f->put_at);
	}
	return d->todo != FLEET_TODO_NOTHING;
}

/* Before a permit counts: whoever has a lower rank goes first, and what lives is served first. */
static struct boot_time alone_at(const struct fleet *f, struct boot_time now)
{
	struct boot_time since = is_foreign(f, now) && f->up ? f->foreign_since : f->since;
	struct duration left =
		duration_max(duration_s(ALONE_LEFT_S), duration_ns(f->current.issued.ns / 20));
	int64_t place = f->rank < RANK_LAST ? f->rank : RANK_LAST;
	struct boot_time at;

	if (!f->settings.may_mint || f->rank == FLEET_NO_PERMIT || f->rank >= f->settings.alone)
		return BOOT_TIME_NEVER;
	at = in_s(since, ALONE_AFTER_S + place * RANK_APART_S);
	if (fleet_alive(f, now) && !f->current.rejected)
		at = boot_max(
			at, boot_sub(dead(f), duration_ns(left.ns - left.ns / RANK_LAST * place)));
	return boot_max(at, f->not_before);
}

/* A token is wanted, and the store is of no help. */
static void decide_alone(
	struct fleet *f, struct boot_time now, enum fleet_reason reason, struct fleet_decision *d)
{
	struct boot_time at = alone_at(f, now);
	struct boot_time patience = in_s(boot_max(f->wished_at, f->since), DOWN_PATIENCE_S);

	if (!boot_before(now, at)) {
		f->minting = f->alone = f->want_mint = true;
		f->fence = f->seen + 1 + f->rank;
		see(f, f->fence);
		decide_minting(f, now, d);
		return;
	}
	d->wake_at = boot_min(d->wake_at, at);
	/* What lives is served, and whoever asks for another one has to wait. */
	if (fleet_alive(f, now) && !f->current.rejected)
		return;
	if (boot_before(now, patience))
		d->wake_at = boot_min(d->wake_at, patience);
	else
		give_up(f, reason, duration_s(DOWN_PATIENCE_S));
}

static void decide_asking(struct fleet *f, struct boot_time now, struct fleet_decision *d)
{
	struct boot_time patience = in_s(f->wished_at, FOLLOWER_PATIENCE_S);

	if (f->current.stopped && f->wish != FLEET_WISH_ADMIN)
		return;
	if (!f->settings.may_mint) {
		if (fleet_alive(f, now) && !f->current.rejected)
			return;
		if (boot_before(now, patience))
			d->wake_at = boot_min(d->wake_at, patience);
		else
			give_up(f, FLEET_BECAUSE_FOLLOWER, f->settings.poll);
		return;
	}
	/* First it is put; then it can be replaced. */
	if (f->unpublished)
		return;
	if (boot_before(now, f->not_before))
		d->wake_at = boot_min(d->wake_at, f->not_before);
	else
		begin_acquire(f, now, d);
}

void fleet_decide(struct fleet *f, struct boot_time now, struct fleet_decision *ret)
{
	struct fleet_decision d = {.todo = FLEET_TODO_NOTHING, .wake_at = BOOT_TIME_NEVER};

	let_go(f, now);
	if (f->current.generation && !f->current.stopped)
		d.wake_at = dead(f);
	if (f->minting) {
		decide_minting(f, now, &d);
	} else if (!f->busy && !(f->up && decide_upkeep(f, now, &d)) &&
		   f->wish != FLEET_WISH_NONE && !f->want_give_up) {
		if (!f->up)
			decide_alone(f, now, FLEET_BECAUSE_DOWN, &d);
		else if (is_foreign(f, now))
			decide_alone(f, now, FLEET_BECAUSE_FOREIGN, &d);
		else
			decide_asking(f, now, &d);
	}
	/* An answer that is awaited may grant it still. */
	if (d.todo == FLEET_TODO_NOTHING && f->want_give_up && !f->minting &&
		!(f->busy && f->operation == FLEET_ACQUIRE)) {
		d.todo = FLEET_TODO_GIVE_UP;
		d.reason = f->give_up;
		d.wait = f->give_up_wait;
		d.class = f->class;
		wish_granted(f);
	}
	*ret = d;
}
