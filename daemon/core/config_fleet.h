/* What the keys of a fleet mean together, in [broker] and in a profile. Problems are added to the
 * draft. */
#ifndef GCTOKEND_CORE_CONFIG_FLEET_H
#define GCTOKEND_CORE_CONFIG_FLEET_H

struct broker_settings;
struct config_draft;
struct draft_section;
struct profile_settings;

/* After the section was filled in. */
void fleet_keys_finish(struct config_draft *d, struct draft_section *section,
	const struct broker_settings *broker);
/* Likewise, and after the broker's: says whether the profile is in the fleet. */
void fleet_profile_finish(
	struct config_draft *d, struct draft_section *section, struct profile_settings *profile);

#endif
