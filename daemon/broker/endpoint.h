/* One login server, as seen through one set of connection settings. Lives as long as the daemon;
 * asked for its clock only while a profile uses it. */
#ifndef GCTOKEND_BROKER_ENDPOINT_H
#define GCTOKEND_BROKER_ENDPOINT_H

#include "core/probe.h"
#include "core/skew.h"
#include "core/times.h"

#include <stdbool.h>
#include <sys/queue.h>

struct broker;
struct exchange;
struct fetch;
struct profile_settings;

struct endpoint {
	TAILQ_ENTRY(endpoint) link; /* broker->endpoints */
	struct broker *broker;
	char *token_url;
	char *probe_url;
	char *ca_file;
	char *proxy;
	unsigned profiles; /* that use it now */
	struct skew skew;
	struct probe_plan plan;
	struct fetch *head;
	bool series_begun;         /* the HEADs after the first POST */
	struct boot_time asked_at; /* latest HEAD that a caller asked for */
	bool was_asked;
	TAILQ_HEAD(, waiter) measuring; /* callers who wait for the HEAD under way */
};

/* Finds it, or makes it. 0 or -ENOMEM. */
int endpoint_get(struct endpoint **ret, struct broker *b, const struct profile_settings *settings);
void endpoint_free(struct endpoint *e);
/* An exchange ended: its sample goes to the estimator and to every profile of the endpoint. False:
 * its Date proves nothing (or is another clock's). *ret_sample is set where true. */
bool endpoint_learn(struct endpoint *e, const struct clock_reading *now, const struct exchange *x,
	bool is_post, struct skew_sample *ret_sample);
/* Sends the HEAD that is due; returns when the next one is. */
struct boot_time endpoint_turn(struct endpoint *e, const struct clock_reading *now);
struct duration endpoint_spread(const struct endpoint *e, const struct clock_reading *now);

#endif
