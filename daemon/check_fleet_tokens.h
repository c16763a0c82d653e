/* What the store has of each profile's token, and whether this host can open it. For check_fleet
 * alone. */
#ifndef GCTOKEND_CHECK_FLEET_TOKENS_H
#define GCTOKEND_CHECK_FLEET_TOKENS_H

struct config;
struct findings;
struct fleet_secrets;
struct fleet_trial;

/* `t` is connected. */
void check_fleet_tokens(struct findings *f, struct fleet_trial *t, const struct config *config,
	const struct fleet_secrets *secrets);

#endif
