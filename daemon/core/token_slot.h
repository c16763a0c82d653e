/* Room for one token, with its number and its life. */
#ifndef GCTOKEND_CORE_TOKEN_SLOT_H
#define GCTOKEND_CORE_TOKEN_SLOT_H

#include "lifetime.h"
#include "token.h"
#include <stdbool.h>
#include <stdint.h>

struct token_slot {
	struct token token; /* text NULL: the slot is empty */
	uint64_t generation;
	struct lifetime life;
	bool rejected;             /* a caller says that the API refused it */
	bool refused;              /* of the previous one: the API itself says so */
	uint64_t fleet_generation; /* by which a fleet's hosts know it; 0: it is not shared */
	bool own;                  /* this host requested it */
};

/* Wipes the token and leaves the slot empty. */
void token_slot_empty(struct token_slot *slot);
/* Empties *to, moves *from into it, leaves *from empty. */
void token_slot_move(struct token_slot *to, struct token_slot *from);
/* May it be handed out at `now`, judged by its own life: valid, and at least a second until dead?
 */
bool token_slot_usable(const struct token_slot *slot, const struct clock_reading *now);

#endif
