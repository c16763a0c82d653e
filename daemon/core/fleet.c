#include "fleet.h"

#include "fleet_check.h"
#include "fleet_judge.h"
#include "fleet_look.h"
#include "retry.h"

#include <string.h>

/* What two readings of clocks may differ by beyond the drift. */
#define STEP_NOISE_NS (300 * NS_PER_MS)
#define STALE_WAIT_MS 200
#define FAIL_WAIT_REJECTED_S 900
/* A store that refuses is asked again within a minute, or nobody has asked for a token. */
#define REFUSAL_COUNTS_S (RETRY_MOST_S + 10)
/* Of an honest store, whose clock may be set a second ahead of what it has. */
#define LIMIT_WAIT_MOST_S (MINT_WINDOW_S + 2)

static struct duration upto(struct fleet *f, struct duration most)
{
	return random_duration(&f->random, most);
}

/* Something that is worth keeping in the store. */
static bool worth_keeping(const struct fleet *f, struct boot_time now)
{
	return f->current.stopped || (fleet_alive(f, now) && !f->current.rejected);
}

void fleet_init(
	struct fleet *f, const struct fleet_settings *settings, uint64_t seed, struct boot_time now)
{
	*f = (struct fleet){
		.settings = *settings,
		.random = {seed},
		.rank = FLEET_NO_PERMIT,
		.since = now,
		.not_before = FLEET_LONG_AGO,
		.read_at = BOOT_TIME_NEVER,
		.poll_at = BOOT_TIME_NEVER,
		.put_at = BOOT_TIME_NEVER,
		.refused_since = BOOT_TIME_NEVER,
		.refused_at = FLEET_LONG_AGO,
		.foreign_since = FLEET_LONG_AGO,
		.foreign_until = FLEET_LONG_AGO,
		.check.good_until = FLEET_LONG_AGO,
	};
}

void fleet_configure(struct fleet *f, const struct fleet_settings *settings)
{
	f->settings = *settings;
}

void fleet_restore(struct fleet *f, uint64_t seen, uint32_t rank)
{
	fleet_see(f, seen);
	f->lowest = seen;
	f->rank = rank;
}

void fleet_resume(struct fleet *f, const struct fleet_token *token)
{
	f->current = *token;
	f->lowest = token->generation;
	fleet_see(f, token->generation);
}

uint64_t fleet_lowest(const struct fleet *f)
{
	return f->lowest;
}

void fleet_permitted(struct fleet *f, uint32_t rank)
{
	f->rank = rank;
}

bool fleet_permit_lost(struct fleet *f)
{
	bool lost = f->permit_lost && f->rank != FLEET_NO_PERMIT;

	f->permit_lost = false;
	return lost;
}

/* ---- the connection ---- */

static void forget_refusals(struct fleet *f)
{
	f->refused_since = BOOT_TIME_NEVER;
	if (f->give_up == FLEET_BECAUSE_REFUSED)
		f->want_give_up = false;
}

void fleet_up(struct fleet *f, struct boot_time now)
{
	f->up = true;
	f->since = f->anchor = f->read_at = now;
	forget_refusals(f);
	f->stamp.known = false;
	f->busy = false;
	f->permit_lost = true;
	f->poll_at = BOOT_TIME_NEVER;
	if (!boot_is_never(f->put_at))
		f->put_at = now;
}

void fleet_down(struct fleet *f, struct boot_time now)
{
	if (f->up)
		f->since = now;
	if (f->up && f->busy)
		f->counters.operations[f->operation][FLEET_RESULT_LOST]++;
	f->up = false;
	f->stamp.known = false;
	f->busy = false;
}

bool fleet_poll_along(struct fleet *f, struct boot_time now)
{
	if (!f->up || !boot_is_never(f->read_at) ||
		boot_before(boot_add(now, fleet_poll_slack(f)), f->poll_at))
		return false;
	f->read_at = now;
	return true;
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
		boot_is_never(f->put_at))
		f->put_at = boot_add(now, upto(f, duration_s(FLEET_SPREAD_S)));
}

static void read_clock(struct fleet *f, struct boot_time now, int64_t us)
{
	const struct fleet_stamp stamp = {true, us, f->asked_at, now};
	const struct fleet_stamp *last = &f->clock;

	if (last->known) {
		int64_t theirs = duration_from_us(ns_sub(us, last->us)).ns;
		int64_t most = boot_since(now, last->sent).ns;
		int64_t least = boot_since(stamp.sent, last->received).ns;
		int64_t slack = ns_add(FLEET_DRIFT(most), STEP_NOISE_NS);

		if (theirs > ns_add(most, slack) || theirs < ns_sub(least, slack)) {
			f->step = duration_ns(ns_sub(theirs, theirs > most ? most : least));
			redate(f, now);
		}
	}
	f->clock = f->stamp = stamp;
}

/* Flushed, evicted, failed over. A token of our own that it never had goes there at once; else one
 * of many does it. */
static void restore(struct fleet *f, struct boot_time now)
{
	struct duration wait = duration_add(
		duration_ms(FLEET_SPREAD_S * 250), upto(f, duration_s(FLEET_SPREAD_S)));

	if (!worth_keeping(f, now) || !boot_before(f->current.received, f->stamp.sent) ||
		!f->settings.may_mint)
		return;
	if (f->unpublished || f->current.own)
		f->put_at = now;
	else if (boot_is_never(f->put_at))
		f->put_at = boot_add(now, wait);
}

static enum fleet_taken was_read(struct fleet *f, struct boot_time now,
	const struct fleet_answer *a, const struct fleet_sight *sight)
{
	const struct fleet_stored *r = &a->record;
	enum fleet_taken taken = FLEET_TAKEN_NOTHING;

	f->read_at = BOOT_TIME_NEVER;
	f->poll_at = boot_add(boot_add(now, f->settings.poll),
		duration_sub(
			fleet_poll_slack(f), upto(f, duration_ns(fleet_poll_slack(f).ns / 2))));
	if (r->generation)
		taken = fleet_look_at_read(f, now, r, sight);
	else
		f->foreign_until = FLEET_LONG_AGO;
	if (r->generation && r->generation == f->current.generation && !f->unpublished) {
		struct duration left =
			duration_from_us(ns_sub(r->left_us, ns_sub(a->stamp_us, r->t0_us)));

		/* dated rightly already */
		if (f->current.stopped ||
			ns_distance(boot_add(f->stamp.sent, left).ns, f->current.end.ns) < NS_PER_S)
			f->put_at = BOOT_TIME_NEVER;
	}
	if (r->generation < f->current.generation && !fleet_is_foreign(f, now)) {
		f->permit_lost = true;
		restore(f, now);
	}
	fleet_check_read(f, now, a, sight);
	return taken;
}

static void granted(struct fleet *f, struct boot_time now, uint64_t fence)
{
	if (!fleet_may_be_fence(f, fence)) {
		f->not_before = boot_in_s(now, 1);
		return;
	}
	fleet_see(f, fence);
	/* Its token came meanwhile, and the lease ends by itself. */
	if (f->wish == FLEET_WISH_NONE)
		return;
	f->fence = fence;
	f->minting = true;
	f->alone = false;
	f->want_mint = true;
	f->want_give_up = false;
	f->renew_at = boot_add(now, duration_ns(FLEET_RENEW_NS));
}

static bool is_broken(const struct fleet_obstacle *o, const struct fleet_id *id)
{
	return o->outlived && strcmp(o->id.text, id->text) == 0;
}

static enum fleet_taken was_acquired(struct fleet *f, struct boot_time now,
	const struct fleet_answer *a, const struct fleet_sight *sight)
{
	uint64_t known = fleet_highest_known(f);
	enum fleet_taken taken;

	if (f->for_check && a->word != FLEET_SAYS_NEWER) {
		fleet_check_acquired(f, now, a, sight);
		return FLEET_TAKEN_NOTHING;
	}
	switch (a->word) {
	case FLEET_SAYS_NEWER:
		f->not_before = boot_min(f->not_before, now);
		taken = fleet_look_at_read(f, now, &a->record, sight);
		/* no honest store says so */
		if (fleet_highest_known(f) == known)
			f->not_before = f->check.at = boot_in_s(now, 1);
		return taken;
	case FLEET_SAYS_GRANTED:
		granted(f, now, a->fence);
		break;
	case FLEET_SAYS_HELD:
		f->counters.held++;
		f->not_before =
			fleet_wait_for(f, now, &f->lease, a, duration_s(FLEET_LEASE_JITTER_S));
		break;
	case FLEET_SAYS_HOLD:
		if (f->wish == FLEET_WISH_ADMIN && !is_broken(&f->hold, &a->id)) {
			/* an admin does not wait */
			f->hold = (struct fleet_obstacle){a->id, now, true};
			f->not_before = now;
			break;
		}
		f->not_before = fleet_wait_for(f, now, &f->hold, a, duration_s(1));
		f->class = a->class;
		if (!f->hold.outlived)
			fleet_give_up(f, FLEET_BECAUSE_HOLD, boot_since(f->not_before, now));
		break;
	case FLEET_SAYS_LIMIT:
		f->not_before = boot_add(
			boot_add(now, duration_min(a->wait, duration_s(LIMIT_WAIT_MOST_S))),
			upto(f, duration_s(1)));
		fleet_give_up(f, FLEET_BECAUSE_LIMIT, boot_since(f->not_before, now));
		break;
	case FLEET_SAYS_COOLDOWN:
		if (!fleet_may_be_new(f, now)) {
			f->not_before = boot_in_s(now, 1);
			break;
		}
		f->counters.cooled_down++;
		f->current.rejected = false;
		fleet_give_up(
			f, FLEET_BECAUSE_COOLDOWN, duration_min(a->wait, f->settings.cooldown));
		break;
	default: /* no honest store says so */
		f->not_before = boot_in_s(now, 1);
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
	return a->word == FLEET_SAYS_NEWER ? fleet_look_at_read(f, now, &a->record, sight)
					   : FLEET_TAKEN_NOTHING;
}

static enum fleet_taken was_stopped(struct fleet *f, struct boot_time now,
	const struct fleet_answer *a, const struct fleet_sight *sight)
{
	uint64_t generation = f->current.generation;

	if (a->word == FLEET_SAYS_NEWER) {
		fleet_look_at_read(f, now, &a->record, sight);
		if (f->current.generation == generation)
			f->not_before = boot_in_s(now, 1);
		return FLEET_TAKEN_NOTHING;
	}
	f->want_stop = a->word == FLEET_SAYS_GRANTED;
	if (!f->want_stop)
		return FLEET_TAKEN_NOTHING;
	/* somebody may be minting: it is to be above that */
	if (a->fence > f->current.generation && fleet_may_be_fence(f, a->fence))
		f->current.generation = f->seen = a->fence;
	else /* no honest store says so */
		f->not_before = boot_in_s(now, 1);
	return FLEET_TAKEN_NOTHING;
}

static void count_answer(struct fleet *f, const struct fleet_answer *a)
{
	bool empty = a->word == FLEET_SAYS_RECORD && !a->record.generation;

	f->counters.operations[f->operation]
			      [empty ? (unsigned)FLEET_RESULT_EMPTY : (unsigned)a->word]++;
}

enum fleet_taken fleet_answered(struct fleet *f, struct boot_time now,
	const struct fleet_answer *answer, const struct fleet_sight *sight)
{
	f->busy = false;
	if (f->operation != FLEET_READ)
		forget_refusals(f);
	count_answer(f, answer);
	read_clock(f, now, answer->stamp_us);
	switch (f->operation) {
	case FLEET_READ:
		return was_read(f, now, answer, sight);
	case FLEET_ACQUIRE:
		return was_acquired(f, now, answer, sight);
	case FLEET_RENEW:
		/* late or not: whether its token counts, its generation says */
		f->renew_at = boot_add(now, duration_ns(FLEET_RENEW_NS));
		break;
	case FLEET_PUT:
		return was_put(f, now, answer, sight);
	case FLEET_FAIL:
		f->want_fail = false;
		break;
	case FLEET_STOP:
		return was_stopped(f, now, answer, sight);
	case FLEET_ACCEPT:
		f->check.want_accept = false;
		break;
	}
	return FLEET_TAKEN_NOTHING;
}

static void note_refusal(struct fleet *f, struct boot_time now)
{
	f->refused_since = boot_min(f->refused_since, now);
	f->refused_at = now;
}

void fleet_refused(struct fleet *f, struct boot_time now)
{
	struct boot_time later = boot_add(boot_in_s(now, 1), upto(f, duration_s(1)));

	f->busy = false;
	f->counters.operations[f->operation][FLEET_RESULT_REFUSED]++;
	/* No ACQUIRE is sent before it is put, and it is put after a READ. */
	if (f->unpublished && (f->operation == FLEET_READ || f->operation == FLEET_PUT))
		note_refusal(f, now);
	switch (f->operation) {
	case FLEET_READ:
		f->read_at = later;
		if (!f->settings.may_mint)
			f->check.since = FLEET_LONG_AGO; /* asked from here */
		break;
	case FLEET_ACQUIRE:
	case FLEET_STOP:
		if (f->for_check) {
			f->check.since = FLEET_LONG_AGO; /* the same */
			break;
		}
		f->not_before = later;
		note_refusal(f, now);
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
	case FLEET_ACCEPT:
		f->check.want_accept = false; /* the same */
		break;
	}
}

enum fleet_taken fleet_pushed(struct fleet *f, struct boot_time now,
	const struct fleet_message *message, const struct fleet_sight *sight)
{
	/* Put after the latest answered ping of the connection by which it came was sent, and
	 * before now. Where in between the store's clock says; a step of it errs by no more. */
	struct fleet_dating when = {.from = f->anchor};
	enum fleet_taken taken;

	/* Maybe another credential than this host's: what the store says when it is asked, it says
	 * to those whom it concerns. */
	if (message->failure && message->class == RESPONSE_CLIENT_REJECTED) {
		f->not_before = boot_min(f->not_before, boot_add(now, upto(f, duration_s(1))));
		return FLEET_TAKEN_NOTHING;
	}
	if (message->failure) {
		f->class = message->class;
		f->not_before = boot_add(boot_add(now, message->hold), upto(f, duration_s(1)));
		if (!f->minting)
			fleet_give_up(f, FLEET_BECAUSE_HOLD, boot_since(f->not_before, now));
		return FLEET_TAKEN_NOTHING;
	}
	if (f->stamp.known) {
		struct duration since =
			duration_from_us(ns_sub(message->record.t0_us, f->stamp.us));
		struct boot_time at;

		if (since.ns > 0)
			since.ns -= FLEET_DRIFT(since.ns);
		at = boot_add(f->stamp.sent, since);
		/* What is known of this token already is from before that step, and better. Were it
		 * shortened, and put again so by whoever puts dates right, and by others in turn,
		 * each would take some seconds off its life. */
		when.loose = boot_before(boot_add(at, duration_ns(STEP_NOISE_NS)), f->anchor);
		when.from = boot_max(when.from, at);
	}
	when.from = boot_min(when.from, now);
	if (f->stamp.known && message->record.generation > f->current.generation) {
		f->counters.pushed++;
		f->counters.push_delay =
			duration_add(f->counters.push_delay, boot_since(now, when.from));
	}
	taken = fleet_look_at(f, now, &message->record, sight, &when);
	f->not_before = boot_min(f->not_before, now);
	if (f->current.generation == message->record.generation && !f->unpublished)
		f->put_at = BOOT_TIME_NEVER;
	return taken;
}

/* ---- the token source's side ---- */

void fleet_want(struct fleet *f, struct boot_time now, enum fleet_wish wish)
{
	if (f->wish == FLEET_WISH_NONE) {
		f->wished_at = now;
		if (boot_before(boot_in_s(f->refused_at, REFUSAL_COUNTS_S), now))
			forget_refusals(f);
	}
	if (wish > f->wish)
		f->wish = wish;
	if (wish == FLEET_WISH_ADMIN)
		f->not_before = boot_min(f->not_before, now);
	f->want_give_up = false;
	if (wish == FLEET_WISH_REPORT) {
		f->check.state = FLEET_CHECK_NONE;
		f->check.want_release = false; /* it is for this, too */
	}
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
	fleet_take(f, &token);
	f->unpublished = true;
	f->put_at = now;
	return true;
}

void fleet_mint_failed(struct fleet *f, struct boot_time now, enum response_class class,
	struct duration retry_after)
{
	f->minting = false;
	fleet_wish_granted(f);
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

	fleet_take(f, &token);
	f->want_stop = true;
}
