/* One login server, as seen through one set of connection settings. Lives as long as the daemon;
 * asked for its clock only while a profile uses it. */
#ifndef GCTOKEND_BROKER_ENDPOINT_H
#define GCTOKEND_BROKER_ENDPOINT_H

#include "waiter_list.h"

#include "core/server_clock.h"
#include "core/times.h"

#include <sys/queue.h>

struct broker;
struct fetch;
struct profile_settings;

struct endpoint {
	TAILQ_ENTRY(endpoint) link; /* broker->endpoints */
	struct broker *broker;
	char *token_url;
	char *probe_url;
	char *ca_file;
	char *proxy, *proxy_user, *proxy_ca_file;
	struct server_clock clock;
	struct fetch *head;
	struct fetch *knock;
	struct waiter_list measuring; /* callers who wait for the HEADs to end */
};

/* Finds it, or makes it. 0 or -ENOMEM. */
int endpoint_get(struct endpoint **ret, struct broker *b, const struct profile_settings *settings);
void endpoint_free(struct endpoint *e);
/* A profile that used it uses another one now. If it was the last, no HEAD is sent any more, and
 * whoever waits for one is answered. */
void endpoint_left(struct endpoint *e);
/* Sends the HEADs that are due; returns when the next one is. */
struct boot_time endpoint_turn(struct endpoint *e, const struct clock_reading *now);

#endif
