/* The metrics of a fleet, of the profiles that are in one; for reply_metrics alone. */
#ifndef GCTOKEND_CORE_REPLY_METRICS_FLEET_H
#define GCTOKEND_CORE_REPLY_METRICS_FLEET_H

struct metric_context;

/* Its families are there without such a profile as well, and are empty. */
void reply_metrics_fleet(const struct metric_context *c);

#endif
