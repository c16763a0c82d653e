#include "fleet_story.h"

#include "fleet_link.h"
#include "fleet_member.h"
#include "profile_type.h"

#include <stdio.h>
#include <string.h>

static bool is_foreign(const struct fleet_member *m, const struct clock_reading *now)
{
	return boot_before(now->boot, m->fleet.foreign_until);
}

void fleet_story_begin(
	const struct fleet_member *m, const struct clock_reading *now, struct fleet_story *ret)
{
	const struct fleet_counters *c = &m->fleet.counters;

	*ret = (struct fleet_story){
		.put = c->put,
		.restored = c->restored,
		.broken = c->broken,
		.store_clock_steps = c->store_clock_steps,
		.undated = c->undated,
		.foreign = is_foreign(m, now),
		.minting = m->fleet.minting,
		.check = m->fleet.check.state,
	};
}

#define TELL(m, now, kind, ...) \
	history_add(&(m)->profile->history, now, kind, (m)->profile->source.current.generation, \
		__VA_ARGS__)

static void tell_lease(struct fleet_member *m, const struct clock_reading *now,
	const struct fleet_story *before, const struct fleet_answer *a)
{
	const struct fleet *f = &m->fleet;

	if (f->minting && !before->minting)
		TELL(m, now, EVENT_FLEET,
			"the fleet's store lets this host fetch the next token (number %llu)",
			(unsigned long long)f->fence);
	if (f->counters.broken != before->broken)
		TELL(m, now, EVENT_FLEET_TROUBLE,
			"a lease or an order to wait stood in the fleet's store for longer than it "
			"said: it counts no more");
	if (a && f->for_check)
		return;
	if (!a || a->word != FLEET_SAYS_HELD) {
		if (a && f->wish == FLEET_WISH_NONE)
			m->held_by[0] = '\0';
		return;
	}
	/* it is renewed, and asked for, again and again */
	if (strcmp(m->held_by, a->host) != 0)
		TELL(m, now, EVENT_FLEET, "host %s of the fleet is fetching a token for all",
			a->host);
	snprintf(m->held_by, sizeof(m->held_by), "%s", a->host);
}

/* What was believed was seen. */
static void tell_lie(
	struct fleet_member *m, const struct clock_reading *now, const struct fleet_answer *a)
{
	if (a && a->word == FLEET_SAYS_GRANTED && a->fence > m->fleet.seen)
		TELL(m, now, EVENT_FLEET_TROUBLE,
			"the fleet's store gives out a number that cannot be: something else has "
			"written to the fleet's keys there. Delete them: hosts put the token there "
			"again");
}

static void tell_check(
	struct fleet_member *m, const struct clock_reading *now, const struct fleet_story *before)
{
	const struct fleet_check *c = &m->fleet.check;

	if (c->state == before->check)
		return;
	if (c->state == FLEET_CHECK_GRANTED)
		TELL(m, now, EVENT_FLEET,
			"this host asks the API about the reported token, for the whole fleet");
	else if (c->state == FLEET_CHECK_ENDED && c->accepted)
		TELL(m, now, EVENT_FLEET,
			"another host of the fleet has asked the API, which accepts the reported "
			"token");
}

static void tell_put(
	struct fleet_member *m, const struct clock_reading *now, const struct fleet_story *before)
{
	const struct fleet_counters *c = &m->fleet.counters;
	unsigned long long generation = m->fleet.current.generation;

	if (c->put == before->put)
		return;
	if (c->restored != before->restored)
		TELL(m, now, EVENT_FLEET,
			"the fleet's store had lost the token, or dated it wrongly: this host put "
			"it there again (number %llu)",
			generation);
	else
		TELL(m, now, EVENT_FLEET,
			"the token is in the fleet's store, and all hosts hear of it (number %llu)",
			generation);
}

static void tell_clock(
	struct fleet_member *m, const struct clock_reading *now, const struct fleet_story *before)
{
	const struct fleet_counters *c = &m->fleet.counters;

	if (c->store_clock_steps != before->store_clock_steps)
		TELL(m, now, EVENT_FLEET_TROUBLE,
			"the clock of the fleet's store was set by %+.1f s, or another server "
			"answers now; tokens are dated anew",
			(double)m->fleet.step.ns / NS_PER_S);
	if (c->undated != before->undated)
		TELL(m, now, EVENT_FLEET,
			"the fleet's store dates its token in the future: it is waited for "
			"somebody who knows better");
}

void fleet_story_end(struct fleet_member *m, const struct clock_reading *now,
	const struct fleet_story *before, const struct fleet_answer *answer)
{
	tell_lie(m, now, answer);
	tell_lease(m, now, before, answer);
	tell_check(m, now, before);
	tell_put(m, now, before);
	tell_clock(m, now, before);
	if (is_foreign(m, now) && !before->foreign)
		TELL(m, now, EVENT_FLEET_TROUBLE,
			"the fleet's token is sealed with a key that is not known here; see "
			"fleet_key_file and fleet_old_key_files");
}

void fleet_story_alone(const struct fleet_member *m, const struct clock_reading *now)
{
	const struct fleet *f = &m->fleet;

	TELL(m, now, EVENT_FLEET_TROUBLE,
		"the fleet's store is of no help%s%.160s: this host fetches for itself (it has "
		"permit number %u)",
		*m->link->why ? ", " : "", m->link->why, f->rank + 1);
}
