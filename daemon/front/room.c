#include "room.h"

#define RESERVE_PART 64
#define RESERVE_MOST 64
#define AT_ONCE_PART 16

uint32_t room_for_all(uint32_t max_connections)
{
	uint32_t reserve = max_connections / RESERVE_PART;

	if (reserve > RESERVE_MOST)
		reserve = RESERVE_MOST;
	if (!reserve)
		reserve = max_connections > 1;
	return max_connections - reserve;
}

uint32_t room_at_once(uint32_t max_connections)
{
	uint32_t part = max_connections / AT_ONCE_PART;

	if (part > ROOM_AT_ONCE)
		return ROOM_AT_ONCE;
	return part ? part : 1;
}

/* More than twice as many: two users with about the same take turns at nothing. Half of the
 * heaviest: there is no need to find the very heaviest each time. */
uint32_t room_gives_way_from(uint32_t newcomer, uint32_t heaviest)
{
	uint64_t least = 2 * (uint64_t)newcomer + 1;
	uint32_t half = heaviest / 2 + heaviest % 2;

	if (heaviest < least)
		return 0;
	return half > least ? half : (uint32_t)least;
}
