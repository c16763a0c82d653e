/* The reply that tells how the clocks stand to each other. */
#ifndef GCTOKEND_CORE_REPLY_SKEW_H
#define GCTOKEND_CORE_REPLY_SKEW_H

struct clock_reading;
struct profile_view;
struct reply;

void reply_skew(
	struct reply *r, const struct clock_reading *now, const struct profile_view *profile);

#endif
