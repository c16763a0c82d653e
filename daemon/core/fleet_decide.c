#include "fleet_decide.h"

#include "fleet.h"
#include "fleet_check.h"
#include "fleet_judge.h"

/* A stamp is too old to date a token by. */
#define STAMP_FRESH_NS NS_PER_S
/* A connection that has only just been lost, or was never there, is waited for. */
#define DOWN_PATIENCE_S 5
#define FOLLOWER_PATIENCE_S 10
#define ALONE_AFTER_S 30
#define ALONE_LEFT_S 30
#define RANK_APART_S 2
#define RANK_LAST 16
/* Hosts that mint alone know nothing of each other, and two of them may even have been told the
 * same rank; no two tokens are to have the same generation. */
#define ALONE_APART 65536

/* What is over is forgotten, but not its number. */
static void let_go(struct fleet *f, struct boot_time now)
{
	if (!f->current.generation || f->current.stopped || boot_before(now, fleet_dead(f)))
		return;
	f->lowest = f->current.generation + 1;
	f->current = (struct fleet_token){.generation = 0};
	f->put_at = BOOT_TIME_NEVER;
	f->unpublished = false;
	fleet_forget_check(f);
}

static void begin(struct fleet *f, struct boot_time now, enum fleet_operation operation,
	struct fleet_decision *d)
{
	f->busy = true;
	f->operation = operation;
	f->for_check = false;
	f->asked_at = now;
	d->todo = FLEET_TODO_OPERATION;
	d->operation = operation;
}

static void begin_acquire(
	struct fleet *f, struct boot_time now, bool for_check, struct fleet_decision *d)
{
	/* nobody waits while the old one lives */
	bool waits = for_check || !fleet_alive(f, now) || f->current.rejected;

	begin(f, now, FLEET_ACQUIRE, d);
	f->for_check = d->check = for_check;
	d->doubted = f->check.doubted;
	f->lease_length = duration_s(waits ? FLEET_LEASE_S : FLEET_LEASE_LIVING_S);
	d->generation = fleet_highest_known(f);
	d->reject = for_check || f->wish == FLEET_WISH_REPORT ? f->current.generation : 0;
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

static void begin_accept(struct fleet *f, struct boot_time now, struct fleet_decision *d)
{
	begin(f, now, FLEET_ACCEPT, d);
	d->fence = f->check.fence;
	d->generation = f->current.generation;
}

/* The lease is this host's for a moment more, and then nobody's. */
static void begin_release(struct fleet *f, struct boot_time now, struct fleet_decision *d)
{
	begin(f, now, FLEET_RENEW, d);
	d->fence = f->check.fence;
	d->lease = duration_ms(1);
	f->check.want_release = false; /* at the worst it ends by itself */
}

/* What it is for takes its time. */
static void keep_lease(
	struct fleet *f, struct boot_time now, uint64_t fence, struct fleet_decision *d)
{
	if (!f->up || f->busy)
		return;
	if (boot_before(now, f->renew_at)) {
		d->wake_at = boot_min(d->wake_at, f->renew_at);
		return;
	}
	begin(f, now, FLEET_RENEW, d);
	d->fence = fence;
	d->lease = f->lease_length;
}

static void decide_minting(struct fleet *f, struct boot_time now, struct fleet_decision *d)
{
	if (f->want_mint) {
		f->want_mint = false;
		d->todo = FLEET_TODO_MINT;
		d->alone = f->alone;
		return;
	}
	if (!f->alone)
		keep_lease(f, now, f->fence, d);
}

/* True: there is something to tell the store, or to ask it, besides a token. */
static bool decide_upkeep(struct fleet *f, struct boot_time now, struct fleet_decision *d)
{
	d->poll = boot_is_never(f->read_at) && !boot_before(now, f->poll_at);
	if (d->poll)
		f->read_at = now;
	d->wake_at = boot_min(d->wake_at, boot_is_never(f->read_at) ? f->poll_at : f->read_at);
	if (!boot_before(now, f->read_at)) {
		begin(f, now, FLEET_READ, d);
	} else if (f->want_fail) {
		begin_fail(f, now, d);
	} else if (f->check.want_accept) {
		begin_accept(f, now, d);
	} else if (f->check.want_release) {
		begin_release(f, now, d);
	} else if (fleet_is_foreign(f, now)) {
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
		} else if (boot_is_never(f->read_at)) {
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
static struct boot_time alone_at(
	const struct fleet *f, struct boot_time now, struct boot_time since)
{
	struct duration left =
		duration_max(duration_s(ALONE_LEFT_S), duration_ns(f->current.issued.ns / 20));
	int64_t place = f->rank < RANK_LAST ? f->rank : RANK_LAST;
	struct boot_time at;

	if (!f->settings.may_mint || f->rank == FLEET_NO_PERMIT || f->rank >= f->settings.alone)
		return BOOT_TIME_NEVER;
	at = boot_in_s(since, ALONE_AFTER_S + place * RANK_APART_S);
	if (fleet_alive(f, now) && !f->current.rejected)
		at = boot_max(at, boot_sub(fleet_dead(f),
					  duration_ns(left.ns - left.ns / RANK_LAST * place)));
	return boot_max(at, f->not_before);
}

/* A token is wanted, and the store has been of no help since then. */
static void decide_alone(struct fleet *f, struct boot_time now, enum fleet_reason reason,
	struct boot_time since, struct fleet_decision *d)
{
	struct boot_time at = alone_at(f, now, since);
	struct boot_time patience = boot_in_s(boot_max(f->wished_at, f->since), DOWN_PATIENCE_S);

	if (!boot_before(now, at)) {
		f->minting = f->alone = f->want_mint = true;
		f->fence = f->seen + 1 + random_next(&f->random) % ALONE_APART;
		fleet_see(f, f->fence);
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
		fleet_give_up(f, reason, duration_s(DOWN_PATIENCE_S));
}

static void decide_asking(struct fleet *f, struct boot_time now, struct fleet_decision *d)
{
	struct boot_time patience = boot_in_s(f->wished_at, FOLLOWER_PATIENCE_S);

	if (f->current.stopped && f->wish != FLEET_WISH_ADMIN)
		return;
	if (!f->settings.may_mint) {
		if (fleet_alive(f, now) && !f->current.rejected)
			return;
		if (boot_before(now, patience))
			d->wake_at = boot_min(d->wake_at, patience);
		else
			fleet_give_up(f, FLEET_BECAUSE_FOLLOWER, f->settings.poll);
		return;
	}
	/* First it is put; then it can be replaced. */
	if (f->unpublished)
		return;
	if (boot_before(now, f->not_before))
		d->wake_at = boot_min(d->wake_at, f->not_before);
	else
		begin_acquire(f, now, false, d);
}

/* A caller reported the current token. */
static void decide_check(struct fleet *f, struct boot_time now, struct fleet_decision *d)
{
	if (!fleet_check_due(f, now, &d->wake_at))
		return;
	if (f->settings.may_mint)
		begin_acquire(f, now, true, d);
	else
		begin(f, now, FLEET_READ, d);
}

/* It has refused something since the token was wanted, too: what it did before may be over. */
static bool is_refusing(const struct fleet *f)
{
	return !boot_is_never(f->refused_since) && !boot_before(f->refused_at, f->wished_at);
}

static void decide_idle(struct fleet *f, struct boot_time now, struct fleet_decision *d)
{
	if (f->wish != FLEET_WISH_NONE && !f->want_give_up) {
		if (!f->up)
			decide_alone(f, now, FLEET_BECAUSE_DOWN, f->since, d);
		else if (fleet_is_foreign(f, now))
			decide_alone(f, now, FLEET_BECAUSE_FOREIGN, f->foreign_since, d);
		else if (is_refusing(f))
			decide_alone(f, now, FLEET_BECAUSE_REFUSED, f->refused_since, d);
	}
	if (f->wish != FLEET_WISH_NONE && !f->want_give_up && !f->minting && f->up &&
		!fleet_is_foreign(f, now))
		decide_asking(f, now, d);
	if (d->todo == FLEET_TODO_NOTHING)
		decide_check(f, now, d);
}

void fleet_decide(struct fleet *f, struct boot_time now, struct fleet_decision *ret)
{
	struct fleet_decision d = {.todo = FLEET_TODO_NOTHING, .wake_at = BOOT_TIME_NEVER};

	let_go(f, now);
	if (f->current.generation && !f->current.stopped)
		d.wake_at = fleet_dead(f);
	if (fleet_check_decide(f, now, &d)) {
		*ret = d;
		return;
	}
	if (f->minting)
		decide_minting(f, now, &d);
	else if (fleet_check_leased(f) && f->wish != FLEET_WISH_ADMIN)
		keep_lease(f, now, f->check.fence, &d);
	else if (!f->busy && !(f->up && decide_upkeep(f, now, &d)))
		decide_idle(f, now, &d);
	/* An answer that is awaited may grant it still. */
	if (d.todo == FLEET_TODO_NOTHING && f->want_give_up && !f->minting &&
		!(f->busy && f->operation == FLEET_ACQUIRE)) {
		d.todo = FLEET_TODO_GIVE_UP;
		d.reason = f->give_up;
		d.wait = f->give_up_wait;
		d.class = f->class;
		fleet_wish_granted(f);
	}
	*ret = d;
}
