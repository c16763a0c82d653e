/* The help about the keys. */
#ifndef GCTOKEND_CORE_CONFIG_HELP_H
#define GCTOKEND_CORE_CONFIG_HELP_H

#include <stddef.h>

struct buffer;
struct config_key;

/* --help-config: everything of the table, 80 columns wide. */
void config_help_write(struct buffer *out);

#define CONFIG_HELP_RULES_MAX 320
/* "Allowed: yes or no. A change needs a restart." */
void config_help_rules(const struct config_key *key, char ret[CONFIG_HELP_RULES_MAX]);

#endif
