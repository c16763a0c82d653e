/* Between the files' text and the model: every setting as text with the place it came from. Private
 * to the three files that turn one into the other: config_parse.c reads, config_build.c fills in
 * the model by the table, config_profile.c knows what profiles need. */
#ifndef GCTOKEND_CORE_CONFIG_DRAFT_H
#define GCTOKEND_CORE_CONFIG_DRAFT_H

#include "config.h"
#include "config_keys.h"
#include "config_parse.h"

struct draft_place {
	unsigned file; /* index into config_draft.files */
	unsigned line; /* 0: nowhere in it */
};

struct draft_setting {
	char *text; /* NULL: not set, the default counts; "": set to none */
	struct draft_place place;
	bool bad; /* a problem has been reported: no further one about it */
};

struct draft_section {
	enum config_section section;
	char *name;                                     /* of a profile */
	bool seen;                                      /* some file has it */
	struct draft_place first;                       /* where it was first opened */
	struct draft_place last;                        /* where it was last opened */
	struct draft_setting settings[CONFIG_KEYS_MAX]; /* by the key's index in the table */
};

struct config_draft {
	char **files;
	unsigned file_count;
	struct draft_section broker;
	struct draft_section **profiles;
	size_t profile_count;
	struct config_problems problems;
};

/* The setting of a key that the table has. */
struct draft_setting *draft_setting(struct draft_section *section, const char *key);
/* Whether it has a value once the default is filled in. */
bool draft_has(struct draft_section *section, const char *key);

/* At the setting if it stands in a file, else at its section. */
void draft_problem(struct config_draft *d, enum config_severity severity,
	struct draft_section *section, const char *key, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

/* Every setting of the section into the structure at `base` (broker_settings or profile_settings),
 * by the table. Problems are added to the draft; 0 or -ENOMEM. */
int draft_fill(struct config_draft *d, struct draft_section *section, void *base,
	const struct config_lookup *lookup);
/* Only one of the two may be set. */
void draft_exclude(
	struct config_draft *d, struct draft_section *section, const char *one, const char *other);
/* Asks the lookup about a path, if there is one. `gid`: as for secret_file. */
void draft_check_secret(struct config_draft *d, struct draft_section *section, const char *key,
	const char *path, gid_t socket_gid, const struct config_lookup *lookup);
/* A systemd credential must be there, where systemd says it would be. */
void draft_check_credential(struct config_draft *d, struct draft_section *section, const char *key,
	const char *name, const struct config_lookup *lookup);

/* All of [broker]. 0 or -ENOMEM. */
int draft_finish_broker(
	struct config_draft *d, struct broker_settings *broker, const struct config_lookup *lookup);
/* What a profile is beyond its keys. 0 or -ENOMEM. */
int draft_finish_profile(struct config_draft *d, struct draft_section *section,
	struct profile_settings *profile, const struct broker_settings *broker,
	const struct config_lookup *lookup);
/* What the profiles are to each other. */
void draft_compare_profiles(struct config_draft *d, const struct config *config);

#endif
