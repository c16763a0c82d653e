/* The reply to Prometheus, in its text format 0.0.4. */
#ifndef GCTOKEND_CORE_REPLY_METRICS_H
#define GCTOKEND_CORE_REPLY_METRICS_H

#include <stddef.h>

struct broker_view;
struct clock_reading;
struct profile_view;
struct reply;

/* `broker` NULL: nothing about the broker as a whole. */
void reply_metrics(struct reply *r, const struct clock_reading *now,
	const struct profile_view *profiles, size_t count, const struct broker_view *broker);

#endif
