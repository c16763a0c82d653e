#include "connection_hold.h"

#include "connection.h"
#include "connection_type.h"

#include "core/buffer.h"
#include "core/reply.h"
#include "http_protocol.h"
#include "share.h"
#include <assert.h>

void connection_set_hold(struct connection *c, void *hold)
{
	c->hold = hold;
}

void *connection_hold(const struct connection *c)
{
	return c->hold;
}

static struct reply late_reply(const struct connection *c)
{
	struct connections *all = c->all;

	return (struct reply){
		.out = &all->late.out,
		.keep_alive = c->keep_alive && !all->serving.stopping,
		.text = c->text,
		.head = c->head,
		.idle_s = all->serving.idle_s,
	};
}

void connection_reply_begin(struct connection *c, struct reply *ret)
{
	struct connections *all = c->all;

	assert(c->held && !all->late_open);
	all->late_open = true;
	*ret = late_reply(c);
}

void connection_reply_end(struct connection *c, int status)
{
	struct connections *all = c->all;
	const struct reply reply = late_reply(c);

	assert(c->held && all->late_open);
	all->late_open = false;
	c->held = false;
	c->hold = NULL;
	share_replied(&all->serving.sharing, &c->user->share, reply.out->length);
	if (!http_reply_done(&all->serving.counters, &reply, 0, status))
		c->closing = true;
	connection_send(c, &all->late);
}
