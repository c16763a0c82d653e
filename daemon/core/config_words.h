/* Values of the configuration that are made of several words. Each function gives NULL for a good
 * value, else what is wrong: a phrase that follows the value. Private to config_value.c. */
#ifndef GCTOKEND_CORE_CONFIG_WORDS_H
#define GCTOKEND_CORE_CONFIG_WORDS_H

#include "config_keys.h"

/* CONFIG_USERS, CONFIG_GROUPS, CONFIG_UNITS */
const char *list_problem(enum config_type type, const char *list);
/* RFC 6749 section 3.3 */
const char *scope_problem(const char *text);
/* Form-encoded pairs joined by '&', none of which the daemon sets itself. */
const char *parameters_problem(const char *text);

#endif
