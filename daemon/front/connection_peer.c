#include "connection_peer.h"

#include "connection_type.h"
#include "peer.h"
#include "peer_unit.h"
#include "stream.h"
#include <errno.h>

const struct peer *connection_peer(const struct connection *c)
{
	return &c->peer;
}

const struct peer *connection_peer_in_groups(struct connection *c)
{
	if (!c->groups_known)
		peer_read_groups(&c->all->peers, stream_fd(&c->stream), &c->peer);
	c->groups_known = true;
	return &c->peer;
}

static bool unit_lives(const struct connection *c)
{
	struct connections *all = c->all;
	int64_t ms = connection_loop_ms(all);

	if (all->unit_seen.of != c || all->unit_seen.at_ms != ms) {
		all->unit_seen.of = c;
		all->unit_seen.at_ms = ms;
		all->unit_seen.lives = !peer_unit_still(stream_fd(&c->stream));
	}
	return all->unit_seen.lives;
}

const char *connection_unit(struct connection *c)
{
	int r;

	if (c->unit_known)
		return c->unit && unit_lives(c) ? c->unit : NULL;
	r = peer_unit(stream_fd(&c->stream), c->peer.pid, &c->unit);
	c->unit_known = r != -EMFILE && r != -ENFILE && r != -ENOMEM;
	return c->unit;
}
