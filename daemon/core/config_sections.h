/* What [broker] and [profile NAME] are beyond their keys: defaults that depend on other keys or on
 * the system, what goes together and what does not, files that have to be fit. */
#ifndef GCTOKEND_CORE_CONFIG_SECTIONS_H
#define GCTOKEND_CORE_CONFIG_SECTIONS_H

struct broker_settings;
struct config;
struct config_draft;
struct draft_section;
struct profile_settings;

/* By the environment's STATE_DIRECTORY, NULL if unset. malloc'd; NULL: no memory. */
char *state_dir_default(const char *directories);
/* Both fill in a whole section. Problems are added to the draft; 0 or -ENOMEM. */
int broker_section_finish(struct config_draft *d, struct broker_settings *broker);
/* After the broker's. The profile has its name. */
int profile_section_finish(struct config_draft *d, struct draft_section *section,
	struct profile_settings *profile, const struct broker_settings *broker);
/* What the profiles are to each other: `config` is made of the draft. */
void profile_sections_compare(struct config_draft *d, const struct config *config);

#endif
