#include "token_reject.h"

#include "token_ask.h"
#include "token_judge.h"
#include "token_login.h"
#include "token_next.h"

/* An API may know a new token only a moment later: until it is so old, a 401 is no proof. */
#define KNOWN_AFTER_MS 2500
/* So long a verdict is good for those who reject the token next: an API is not to be asked once for
 * each of their calls. */
#define VERDICT_GOOD_FOR_S 2

/* A 401 from here on is a proof. */
static struct boot_time known_from(const struct token_slot *slot)
{
	return boot_add(slot->life.received, duration_ms(KNOWN_AFTER_MS));
}

/* Has everybody wait for the fetch that replaces it, the one under way or the next. */
static void reject_current(
	struct token_source *s, const struct clock_reading *now, uid_t uid, const char *words)
{
	struct token_slot *c = &s->current;

	c->rejected = true;
	s->refresh_unrejected = s->refresh_at;
	s->refresh_at = boot_min(s->refresh_at, now->boot);
	s->verification.fetches_seen = s->fetches_ended;
	s->probes_wanted = 1;
	s->attention = s->changed = true;
	history_add_caused(s->history, now, EVENT_REJECTED, uid, c->generation,
		"a caller (uid %ld) rejected token %s: the API refused it%s", (long)(int)uid,
		c->token.fingerprint, words);
}

static struct duration cooldown_left(const struct token_source *s, const struct clock_reading *now)
{
	return duration_sub(s->settings.reject_cooldown, boot_since(now->boot, s->replaced_at));
}

/* One false report of one host would cost a whole fleet its token; and where a login cannot be
 * refreshed, nothing but a person would make up for one. */
static bool one_word_is_too_little(const struct token_source *s, const struct clock_reading *now)
{
	struct duration ends_in;

	return s->settings.shared || token_source_login_ends(s, now, &ends_in);
}

static bool has_to_be_verified(
	const struct token_source *s, const struct clock_reading *now, struct duration left)
{
	return left.ns > 0 || (s->settings.verifiable && one_word_is_too_little(s, now));
}

const struct token_slot *token_source_to_verify(const struct token_source *s)
{
	const struct token_slot *p = &s->previous;

	return p->token.text && p->generation == s->verification.generation ? p : &s->current;
}

struct boot_time token_source_verify_at(const struct token_source *s)
{
	const struct token_verification *v = &s->verification;
	const struct token_slot *slot = token_source_to_verify(s);

	/* one that was not the previous one when it was asked about is not served for long */
	return v->state == VERIFICATION_DUE && v->generation == slot->generation &&
			       (slot == &s->current || slot->rejected)
		       ? v->at
		       : BOOT_TIME_NEVER;
}

static bool verifying(const struct token_source *s)
{
	const struct token_verification *v = &s->verification;

	return v->generation == s->current.generation &&
	       (v->state == VERIFICATION_DUE || v->state == VERIFICATION_UNDER_WAY);
}

static void ask_api(struct token_source *s, uint64_t generation, uid_t uid, struct boot_time at)
{
	s->verification = (struct token_verification){
		.state = VERIFICATION_DUE,
		.generation = generation,
		.uid = uid,
		.fetches_seen = s->fetches_ended,
		.at = at,
	};
}

void token_source_look_at_rejection(struct token_source *s, const struct clock_reading *now)
{
	const struct token_verification *v = &s->verification;
	bool same = v->generation == s->current.generation;
	struct boot_time at = now->boot;

	if (!s->current.token.text || !s->current.rejected || !s->settings.verifiable ||
		s->settings.shared || token_source_fetching(s) ||
		v->fetches_seen == s->fetches_ended || verifying(s) || (same && v->refused))
		return;
	if (same && v->state == VERIFICATION_ENDED)
		at = boot_max(at, boot_add(v->at, duration_s(VERDICT_GOOD_FOR_S)));
	ask_api(s, s->current.generation, v->uid, at);
}

static void tell_accepted(
	struct token_source *s, const struct clock_reading *now, const struct token_slot *slot)
{
	history_add(s->history, now, EVENT_REJECTED, slot->generation,
		"the API was asked and accepts token %s, which a caller rejected: it is served as "
		"before",
		slot->token.fingerprint);
}

/* The token was good all the time, and everything is as it was before the rejection. */
static void drop_rejection(struct token_source *s, const struct clock_reading *now)
{
	s->current.rejected = false;
	s->replaced_at = now->boot;
	token_source_plan_refresh(s);
	s->refresh_at = boot_min(s->refresh_at, s->refresh_unrejected);
	if (s->next.urgency == URGENCY_WANTED) {
		/* those who need it for another reason will say so again */
		s->next.urgency = URGENCY_NONE;
		s->next.waited = false;
	}
	tell_accepted(s, now, &s->current);
}

/* Nobody is believed who says that of the token before the current one: either it is served to
 * everybody until the current one is, or to nobody. */
static void previous_verified(
	struct token_source *s, const struct clock_reading *now, enum verdict verdict)
{
	struct token_verification *v = &s->verification;
	struct token_slot *p = &s->previous;

	v->state = VERIFICATION_ENDED;
	v->accepted = verdict == VERDICT_ACCEPTED;
	v->refused = verdict == VERDICT_REFUSED && !boot_before(now->boot, known_from(p));
	v->at = now->boot;
	if (!p->rejected)
		return;
	if (v->accepted) {
		p->rejected = false;
		tell_accepted(s, now, p);
	} else if (v->refused) {
		p->refused = true;
		history_add(s->history, now, EVENT_REJECTED, p->generation,
			"the API was asked and refuses token %s: nobody gets it any more",
			p->token.fingerprint);
	}
	s->attention = s->changed = true;
}

void token_source_verified(struct token_source *s, const struct clock_reading *now,
	uint64_t generation, enum verdict verdict)
{
	struct token_verification *v = &s->verification;
	struct boot_time known = known_from(&s->current);

	if (v->state != VERIFICATION_UNDER_WAY || v->generation != generation)
		return;
	if (token_source_to_verify(s) == &s->previous) {
		previous_verified(s, now, verdict);
		return;
	}
	if (s->current.generation != generation || !s->current.token.text)
		return;
	s->attention = true;
	if (verdict == VERDICT_REFUSED && boot_before(now->boot, known)) {
		v->state = VERIFICATION_DUE;
		v->at = known;
		return;
	}
	v->state = VERIFICATION_ENDED;
	v->accepted = verdict == VERDICT_ACCEPTED;
	v->refused = verdict == VERDICT_REFUSED;
	v->at = now->boot;
	s->changed = true;
	if (s->current.rejected) {
		if (v->accepted && !s->settings.shared)
			drop_rejection(s, now);
		return;
	}
	if (verdict == VERDICT_REFUSED)
		reject_current(s, now, v->uid, ", and refuses it still");
	else if (verdict == VERDICT_NONE && one_word_is_too_little(s, now) &&
		 cooldown_left(s, now).ns <= 0)
		reject_current(s, now, v->uid, ", as far as can be known");
}

/* A rejection that comes soon after a replacement: is held for the verdict, or refused. */
static void verify(struct token_source *s, const struct clock_reading *now,
	const struct token_ask *ask, bool expired, struct duration left, struct token_outcome *ret)
{
	struct token_verification *v = &s->verification;
	bool same = v->generation == s->current.generation;

	ret->kind = OUTCOME_COOLDOWN;
	ret->retry_after_s = duration_ceil_s(duration_max(left, duration_s(1)));
	if (same && v->state == VERIFICATION_ENDED &&
		boot_since(now->boot, v->at).ns < VERDICT_GOOD_FOR_S * NS_PER_S) {
		if (v->accepted)
			ret->kind = OUTCOME_ACCEPTED;
	} else if (s->settings.verifiable) {
		if (!verifying(s)) {
			ask_api(s, s->current.generation, ask->uid, now->boot);
			s->attention = true;
		}
		if (!expired) {
			ret->kind = OUTCOME_HOLD;
			return;
		}
	}
	s->counters.cooled_down++;
}

bool token_source_reject_judged(struct token_source *s, const struct clock_reading *now,
	const struct token_ask *ask, bool expired, struct token_outcome *ret)
{
	if (!s->current.token.text || ask->generation != s->current.generation)
		return false;
	if (!s->current.rejected) {
		ret->kind = OUTCOME_ACCEPTED;
		ret->retry_after_s =
			duration_ceil_s(duration_max(cooldown_left(s, now), duration_s(1)));
		s->counters.cooled_down++;
		return true;
	}
	if (expired || !verifying(s))
		return false;
	ret->kind = OUTCOME_HOLD;
	return true;
}

/* There is nothing to replace: the current one is served to whoever says so at once, and to all
 * others as soon as it is valid. A guard ends with the token that it waited for. */
static void reject_previous(struct token_source *s, const struct clock_reading *now, uid_t uid)
{
	const struct token_verification *v = &s->verification;
	bool ready = token_slot_usable(&s->current, now);
	struct token_slot *p = &s->previous;

	if (p->rejected || (v->generation == p->generation && v->accepted &&
				   boot_since(now->boot, v->at).ns < VERDICT_GOOD_FOR_S * NS_PER_S))
		return;
	p->rejected = true;
	if (!ready && s->settings.verifiable && !verifying(s))
		ask_api(s, p->generation, uid, now->boot);
	s->attention = s->changed = true;
	history_add_caused(s->history, now, EVENT_REJECTED, uid, p->generation,
		"a caller (uid %ld) rejected token %s: the API refused it; the next one %s",
		(long)(int)uid, p->token.fingerprint,
		ready ? "takes its place at once" : "is here, and will be valid in a moment");
}

bool token_source_reject(struct token_source *s, const struct clock_reading *now,
	struct token_ask *ask, bool expired, struct token_outcome *ret)
{
	struct duration left = cooldown_left(s, now);
	const struct token_slot *c = &s->current;

	if (!c->token.text || ask->generation != c->generation) {
		if (s->previous.token.text && s->previous.generation == ask->generation)
			reject_previous(s, now, ask->uid);
		ask->kind = ASK_GET;
		return true;
	}
	if (!c->rejected && has_to_be_verified(s, now, left)) {
		verify(s, now, ask, expired, left, ret);
		return false;
	}
	if (!c->rejected)
		reject_current(s, now, ask->uid, "");
	s->counters.rejected++;
	ask->ticket = s->fetches_ended + 1;
	return true;
}
