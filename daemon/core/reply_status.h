/* Replies about profiles: their status, and what happened to them. */
#ifndef GCTOKEND_CORE_REPLY_STATUS_H
#define GCTOKEND_CORE_REPLY_STATUS_H

#include <stddef.h>

struct broker_view;
struct clock_reading;
struct profile_view;
struct reply;

/* `broker`: NULL for callers who are no admins. */
void reply_status(struct reply *r, const struct clock_reading *now,
	const struct profile_view *profiles, size_t count, const struct broker_view *broker);
void reply_history(
	struct reply *r, const struct clock_reading *now, const struct profile_view *profile);
/* {"profile": ..., "state": ...}: what became of it. */
void reply_state(struct reply *r, const char *profile, const char *state);

#endif
