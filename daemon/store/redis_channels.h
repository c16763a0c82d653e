/* The connection by which messages come: what is subscribed to, and pings. */
#ifndef GCTOKEND_STORE_REDIS_CHANNELS_H
#define GCTOKEND_STORE_REDIS_CHANNELS_H

#include "store.h"

struct redis_link;
struct redis_channel;

struct redis_channels_hooks {
	void (*subscribed)(void *context); /* to all, for the first time since it was opened */
	void (*message)(void *who, const struct fleet_message *m);
	void (*ponged)(void *context, struct boot_time sent);
};

/* Embedded by its owner; zeroed but for the first four. */
struct redis_channels {
	void (*clock_read)(struct clock_reading *ret);
	struct duration timeout;
	struct redis_channels_hooks hooks;
	void *context;
	struct redis_channel *all;
	unsigned subscribing, unsubscribing; /* that are not confirmed */
	bool complete;                       /* all were, once */
	bool pinging;
	struct boot_time pinged_at;
};

/* `name` is lent. With a link it is subscribed to at once. 0 or -ENOMEM. */
int redis_channels_add(
	struct redis_channels *c, struct redis_link *link, const char *name, void *who);
/* `link` NULL: there is none. */
void redis_channels_remove(struct redis_channels *c, struct redis_link *link, const void *who);
/* The connection is ready: all are subscribed to. 0 or -ENOMEM. */
int redis_channels_open(struct redis_channels *c, struct redis_link *link);
void redis_channels_closed(struct redis_channels *c);
/* Does nothing while the one before is not answered. 0 or -ENOMEM. */
int redis_channels_ping(struct redis_channels *c, struct redis_link *link);
/* Something came. False: it is nothing that can come, and ret_why says so. */
bool redis_channels_told(struct redis_channels *c, struct redis_link *link,
	const struct fleet_element *e, char ret_why[256]);

#endif
