/* What is checked of several keys, in any section. Each adds what is wrong to the draft. */
#ifndef GCTOKEND_CORE_CONFIG_CHECKS_H
#define GCTOKEND_CORE_CONFIG_CHECKS_H

#include "config_draft.h"
#include "config_lookup.h"

/* Only one of the two may be set. */
void check_only_one(
	struct config_draft *d, struct draft_section *section, const char *one, const char *other);
/* `key` says nothing without `other`. */
void check_needs(
	struct config_draft *d, struct draft_section *section, const char *key, const char *other);
/* The file at `path` (NULL: none) is fit. `socket_gid`: the group that must not read a secret. */
void check_file(struct config_draft *d, struct draft_section *section, const char *key,
	enum config_file what, const char *path, gid_t socket_gid);
/* The credential `name` (NULL: none) is there, where systemd says it would be. */
void check_credential(struct config_draft *d, struct draft_section *section, const char *key,
	enum config_file what, const char *name);

#endif
