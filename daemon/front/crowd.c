#include "crowd.h"

#include "connection.h"
#include "connection_type.h"
#include "room.h"
#include "untaken.h"

#define KEPT_LESS (KEPT_MOST / 4 * 3) /* to which it is brought down then */
/* Before room is looked for again where there was none. */
#define NO_ROOM_MS 50
/* Where nobody waits at a connection for so long, it gives way before those where somebody does.
 * Whoever has only just come gets to ask. */
#define SETTLED_MS 1000
#define LISTS 3 /* in which connections are */

/* Of users for whom more than `above` is kept: those of their connections that have been as they
 * are for longest, until it is less. */
static void keep_less(struct connections *all, struct link *list, size_t above)
{
	static const struct refusal too_much = {503, "temporarily_unavailable",
		"too much is kept for connections of this user: send further requests when this "
		"one is answered",
		1};
	struct link *next;

	for (struct link *l = list->next; l != list && all->kept > KEPT_LESS; l = next) {
		struct connection *c = connection_at(l);

		next = l->next;
		if (!stream_size(&c->stream) || c->user->kept <= above)
			continue;
		if (c->place == PLACE_HELD || c->place == PLACE_READING)
			connection_refuse(c, &too_much);
		all->serving.counters.kept_cut++;
		connection_free(c);
	}
}

/* The users for whom most is kept go first. Each round leaves the heaviest with half of it, so that
 * there are few, however many users there are. */
void crowd_keep_less(struct connections *all)
{
	struct link *lists[] = {&all->busy.list, &all->held};

	for (size_t heaviest = 1; heaviest && all->kept > KEPT_LESS;) {
		heaviest = 0;
		for (size_t i = 0; i < 2; i++)
			for (struct link *l = lists[i]->next; l != lists[i]; l = l->next)
				if (connection_at(l)->user->kept > heaviest)
					heaviest = connection_at(l)->user->kept;
		for (size_t i = 0; i < 2; i++)
			keep_less(all, lists[i], heaviest / 2);
	}
}

/* Which connections give way. None of those that are kept, and none whose page lies there: that
 * would be in flight all the same, and nobody's any more. */
enum giving {
	GIVING_SETTLED,
	GIVING_ANY,
};

static bool may_give_way(struct connection *c, enum giving giving)
{
	if (c->reserved || untaken_still(c))
		return false;
	if (giving == GIVING_ANY)
		return true;
	return !c->held &&
	       (int32_t)((uint32_t)connection_loop_ms(c->all) - c->since_ms) >= SETTLED_MS;
}

/* Closes some of the connections in `lists` whose users have so many: those first that have been as
 * they are for longest, so that who has only just come gets to ask. */
static unsigned give_way(
	struct link *const lists[], size_t count, enum giving giving, uint32_t from, unsigned most)
{
	static const struct refusal crowded = {
		503, "temporarily_unavailable", "too many connections", 1};
	struct link *at[LISTS];
	unsigned closed = 0;

	for (size_t i = 0; i < count; i++)
		at[i] = lists[i]->next;
	while (closed < most) {
		struct connection *c, *oldest = NULL;
		size_t of = 0;

		for (size_t i = 0; i < count; i++) {
			if (at[i] == lists[i])
				continue;
			c = connection_at(at[i]);
			if (!oldest || (int32_t)(c->since_ms - oldest->since_ms) < 0) {
				oldest = c;
				of = i;
			}
		}
		if (!oldest)
			break;
		at[of] = at[of]->next;
		if (oldest->user->connections < from || !may_give_way(oldest, giving))
			continue;
		/* Not in the middle of another reply, nor after a page. */
		if (oldest->place == PLACE_READING || (oldest->held && oldest->place == PLACE_HELD))
			connection_refuse(oldest, &crowded);
		connection_free(oldest);
		closed++;
	}
	return closed;
}

void crowd_make_room(struct connections *all, uint32_t newcomer, uint32_t least)
{
	struct link *lists[LISTS] = {&all->idle.list, &all->busy.list, &all->held};
	uint32_t heaviest = 0, from, some = room_at_once(all->limits.max_connections), closed;
	int64_t ms = connection_loop_ms(all);

	if (newcomer >= all->no_room.newcomer && ms >= all->no_room.at_ms &&
		ms - all->no_room.at_ms < NO_ROOM_MS)
		return;
	for (size_t i = 0; i < LISTS; i++) {
		for (struct link *l = lists[i]->next; l != lists[i]; l = l->next) {
			struct connection *c = connection_at(l);

			if (may_give_way(c, GIVING_ANY) && c->user->connections > heaviest)
				heaviest = c->user->connections;
		}
	}
	from = room_gives_way_from(newcomer, heaviest);
	if (!from) {
		all->no_room.newcomer = newcomer;
		all->no_room.at_ms = ms;
		return;
	}
	if (some < least)
		some = least;
	closed = give_way(lists, LISTS, GIVING_SETTLED, from, some);
	if (closed < least)
		closed += give_way(lists, LISTS, GIVING_ANY, from, some - closed);
	all->serving.counters.gave_way += closed;
}
