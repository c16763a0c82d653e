/* Values of the configuration that are made of several words. Each `problem` gives NULL for a good
 * value, else what is wrong: a phrase that follows the value. */
#ifndef GCTOKEND_CORE_CONFIG_WORDS_H
#define GCTOKEND_CORE_CONFIG_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_NAME_MAX 255

/* Takes the next name off a list (commas, white space). False at its end, or where a name does not
 * fit `size` (in a list of names that are not too long: CONFIG_NAME_MAX + 1). */
bool config_list_next(const char **list, char *name, size_t size);

const char *users_problem(const char *list);
const char *groups_problem(const char *list);
const char *units_problem(const char *list);
/* True where `name`, of a user or group, is digits only, and so a number and no name: *ret is it,
 * ID_NOBODY where it is too large to be one. */
bool id_is_number(const char *name, uint32_t *ret);
/* RFC 6749 section 3.3 */
const char *scope_problem(const char *text);
/* Form-encoded pairs joined by '&', none of which the daemon sets itself. */
const char *parameters_problem(const char *text);

#endif
