#include "redis_channels.h"

#include "redis_codec.h"
#include "redis_commands.h"
#include "redis_link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct redis_channel {
	struct redis_channel *next;
	const char *name;
	void *who;
	bool subscribing;
};

static int send(
	struct redis_channels *c, struct redis_link *link, const char *command, const char *channel)
{
	struct buffer b;
	int r = -ENOMEM;

	buffer_init(&b, NULL, 0);
	redis_write_plain(&b, command, channel);
	if (!buffer_failed(&b))
		r = redis_link_send(link, b.data, b.length);
	buffer_fini(&b);
	if (!r)
		redis_link_expect(link, c->complete ? c->timeout : duration_s(STORE_CONNECT_S));
	return r;
}

static void answered_one(const struct redis_channels *c, struct redis_link *link)
{
	bool more = c->subscribing || c->unsubscribing || c->pinging;

	redis_link_expect(link, more ? c->timeout : DURATION_ZERO);
}

/* ---- what is subscribed to ---- */

static int subscribe(struct redis_channels *c, struct redis_link *link, struct redis_channel *ch)
{
	int r = send(c, link, "SUBSCRIBE", ch->name);

	if (r)
		return r;
	ch->subscribing = true;
	c->subscribing++;
	return 0;
}

int redis_channels_add(
	struct redis_channels *c, struct redis_link *link, const char *name, void *who)
{
	struct redis_channel *ch = malloc(sizeof(*ch));

	if (!ch)
		return -ENOMEM;
	*ch = (struct redis_channel){.next = c->all, .name = name, .who = who};
	if (link && subscribe(c, link, ch)) {
		free(ch);
		return -ENOMEM;
	}
	c->all = ch;
	return 0;
}

void redis_channels_remove(struct redis_channels *c, struct redis_link *link, const void *who)
{
	struct redis_channel **at = &c->all, *ch;

	while ((ch = *at)->who != who)
		at = &ch->next;
	*at = ch->next;
	if (link && send(c, link, "UNSUBSCRIBE", ch->name) == 0)
		c->unsubscribing++;
	free(ch);
}

static void complete(struct redis_channels *c)
{
	if (c->complete || c->subscribing)
		return;
	c->complete = true;
	c->hooks.subscribed(c->context);
}

int redis_channels_open(struct redis_channels *c, struct redis_link *link)
{
	for (struct redis_channel *ch = c->all; ch; ch = ch->next)
		if (subscribe(c, link, ch))
			return -ENOMEM;
	complete(c);
	return 0;
}

void redis_channels_closed(struct redis_channels *c)
{
	for (struct redis_channel *ch = c->all; ch; ch = ch->next)
		ch->subscribing = false;
	c->subscribing = c->unsubscribing = 0;
	c->complete = c->pinging = false;
}

int redis_channels_ping(struct redis_channels *c, struct redis_link *link)
{
	struct clock_reading now;
	int r;

	if (c->pinging)
		return 0;
	c->clock_read(&now);
	r = send(c, link, "PING", NULL);
	if (r)
		return r;
	c->pinged_at = now.boot;
	c->pinging = true;
	return 0;
}

/* ---- what comes ---- */

static struct redis_channel *find(const struct redis_channels *c, const struct fleet_element *name)
{
	struct redis_channel *ch = c->all;

	while (ch && !redis_element_is(name, ch->name))
		ch = ch->next;
	return ch;
}

static bool take_subscribed(
	struct redis_channels *c, struct redis_link *link, struct redis_channel *ch)
{
	/* Or it was removed just now. */
	if (ch ? !ch->subscribing : !c->unsubscribing || !c->subscribing)
		return false;
	if (ch)
		ch->subscribing = false;
	c->subscribing--;
	answered_one(c, link);
	complete(c);
	return true;
}

static bool take_unsubscribed(struct redis_channels *c, struct redis_link *link)
{
	if (!c->unsubscribing)
		return false;
	c->unsubscribing--;
	answered_one(c, link);
	return true;
}

static bool take_message(
	struct redis_channels *c, const struct redis_channel *ch, const struct fleet_element *text)
{
	struct fleet_message m;

	if (text->type != FLEET_ELEMENT_TEXT || (!ch && !c->unsubscribing))
		return false;
	if (!ch)
		return true; /* of one that was removed just now */
	if (fleet_reply_message(text->bytes, text->length, &m))
		return false;
	if (c->complete)
		c->hooks.message(ch->who, &m);
	return true;
}

static bool take_pong(struct redis_channels *c, struct redis_link *link)
{
	if (!c->pinging)
		return false;
	c->pinging = false;
	answered_one(c, link);
	c->hooks.ponged(c->context, c->pinged_at);
	return true;
}

static bool take(struct redis_channels *c, struct redis_link *link, const struct fleet_element *e)
{
	const struct fleet_element *items = e->items;

	if (redis_element_is(e, "PONG")) /* while nothing is subscribed to */
		return take_pong(c, link);
	if (e->type != FLEET_ELEMENT_ARRAY || e->count < 2)
		return false;
	if (e->count == 2)
		return redis_element_is(&items[0], "pong") && take_pong(c, link);
	if (e->count != 3)
		return false;
	if (redis_element_is(&items[0], "message"))
		return take_message(c, find(c, &items[1]), &items[2]);
	if (items[2].type != FLEET_ELEMENT_INTEGER)
		return false;
	if (redis_element_is(&items[0], "subscribe"))
		return take_subscribed(c, link, find(c, &items[1]));
	return redis_element_is(&items[0], "unsubscribe") && take_unsubscribed(c, link);
}

bool redis_channels_told(struct redis_channels *c, struct redis_link *link,
	const struct fleet_element *e, char ret_why[256])
{
	if (e->type == FLEET_ELEMENT_ERROR) {
		snprintf(ret_why, 256, "SUBSCRIBE: %s", redis_error_words(redis_error_kind(e)));
		return false;
	}
	if (take(c, link, e))
		return true;
	snprintf(ret_why, 256, "what came on the connection of messages is no message");
	return false;
}
