/* What an answer or a message of the store changed, in words for whoever asks why. What becomes of
 * tokens themselves, fleet_news.h tells. */
#ifndef GCTOKEND_BROKER_FLEET_STORY_H
#define GCTOKEND_BROKER_FLEET_STORY_H

#include "core/fleet.h"
#include "core/times.h"

#include <stdbool.h>
#include <stdint.h>

struct fleet_member;

/* How it was before. */
struct fleet_story {
	uint64_t put, restored, broken, store_clock_steps, undated;
	bool foreign, minting;
	enum fleet_check_state check;
};

void fleet_story_begin(
	const struct fleet_member *m, const struct clock_reading *now, struct fleet_story *ret);
/* Adds to the profile's history what has changed since. `answer`: NULL of a message. */
void fleet_story_end(struct fleet_member *m, const struct clock_reading *now,
	const struct fleet_story *before, const struct fleet_answer *answer);
/* This host is about to send a token request without the store. */
void fleet_story_alone(const struct fleet_member *m, const struct clock_reading *now);

#endif
