#include "untaken.h"

#include "connection_type.h"

/* Of all connections those of one user, and of all users. What is left gives way to whoever comes,
 * so that others are served, with or without a page. */
#define PART_OF_USER 16
#define PART_OF_ALL 2
/* Linux 6.8 and later let a process whose user has more than 2,024 descriptors in flight wait for
 * the collection of sockets, which whoever wants to can make long, at each socket that it sends;
 * and so we do to the closers (reaper.h). */
#define MOST_OF_ALL 1500
/* A few programs that start at once. */
#define LEAST_OF_USER 32
/* Before all are looked at again. */
#define LOOK_MS 50

static bool has_room(const struct connection *c)
{
	uint32_t all = c->all->limits.max_connections;
	uint32_t most = all / PART_OF_ALL < MOST_OF_ALL ? all / PART_OF_ALL : MOST_OF_ALL;
	uint32_t count = c->all->untaken.count, each = all / PART_OF_USER;

	if (count >= most)
		return false;
	/* The fewer are left, the fewer one user may have: those who have most are refused first.
	 */
	if (each > (most - count) / 2)
		each = (most - count) / 2;
	return c->user->untaken < (each > LEAST_OF_USER ? each : LEAST_OF_USER);
}

/* Nobody is woken when one is taken, since mostly nobody has to know. */
bool untaken_may_grow(struct connection *c)
{
	struct connections *all = c->all;
	int64_t ms = connection_loop_ms(all);

	if (has_room(c))
		return true;
	if (ms >= all->untaken.looked_ms && ms - all->untaken.looked_ms < LOOK_MS)
		return false;
	all->untaken.looked_ms = ms;
	for (struct link *l = all->held.next; l != &all->held; l = l->next)
		untaken_still(connection_at(l));
	return has_room(c);
}

void untaken_add(struct connection *c)
{
	c->untaken = true;
	c->user->untaken++;
	c->all->untaken.count++;
}

bool untaken_still(struct connection *c)
{
	if (c->untaken && !stream_untaken(&c->stream))
		untaken_forget(c);
	return c->untaken;
}

void untaken_forget(struct connection *c)
{
	if (!c->untaken)
		return;
	c->untaken = false;
	c->user->untaken--;
	c->all->untaken.count--;
}
