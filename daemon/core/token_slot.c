#include "token_slot.h"

void token_slot_empty(struct token_slot *slot)
{
	token_fini(&slot->token);
	*slot = (struct token_slot){0};
}

void token_slot_move(struct token_slot *to, struct token_slot *from)
{
	token_slot_empty(to);
	*to = *from;
	*from = (struct token_slot){0};
}

bool token_slot_usable(const struct token_slot *slot, const struct clock_reading *now)
{
	return slot->token.text && !boot_before(now->boot, slot->life.valid) &&
	       boot_since(lifetime_dead(&slot->life), now->boot).ns >= NS_PER_S;
}
