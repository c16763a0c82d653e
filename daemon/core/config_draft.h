/* Between the files' text and the model: every setting as text with the place it came from.
 * config_parse.c fills it from the files; here the table turns it into the model; config_sections.c
 * knows what the sections need beyond their keys. */
#ifndef GCTOKEND_CORE_CONFIG_DRAFT_H
#define GCTOKEND_CORE_CONFIG_DRAFT_H

#include "config_keys.h"
#include "config_lookup.h"
#include "config_problems.h"

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
	const struct config_lookup *lookup;
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
int draft_fill(struct config_draft *d, struct draft_section *section, void *base);

#endif
