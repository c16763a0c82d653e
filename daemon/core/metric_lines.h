/* Lines of Prometheus' text format 0.0.4, and what they are written from:
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 * For the files of reply_metrics alone. */
#ifndef GCTOKEND_CORE_METRIC_LINES_H
#define GCTOKEND_CORE_METRIC_LINES_H

#include "times.h"
#include <stddef.h>
#include <stdint.h>

struct buffer;
struct profile_view;

/* All lent. */
struct metric_context {
	struct buffer *out;
	const struct clock_reading *now;
	const struct profile_view *profiles;
	size_t count;
};

/* What a family begins with. `type`: "counter" or "gauge". */
void metric_family(struct buffer *out, const char *name, const char *type, const char *help);
/* One figure of a profile; with a label besides the profile's name, unless that is NULL. Nothing of
 * it is escaped: names and labels are our own words, and a profile's name is [a-z0-9_-]. */
void metric_count(struct buffer *out, const char *name, const char *profile, const char *label,
	const char *value, uint64_t count);
/* With three decimals. */
void metric_seconds(struct buffer *out, const char *name, const char *profile, struct duration d);

#endif
