#include "knock.h"

void knock_sent(struct knock *k, struct boot_time now, struct random *random)
{
	struct duration pause = duration_add(
		duration_ms(KNOCK_EVERY_MS), random_duration(random, duration_ms(KNOCK_JITTER_MS)));

	k->in_flight = true;
	k->sent = now;
	k->next = boot_add(now, pause);
}

void knock_ended(struct knock *k, bool known)
{
	k->in_flight = false;
	if (known)
		k->next = boot_add(k->sent, duration_s(KNOCK_KNOWN_EVERY_S));
}
