/* The configuration from the disk, judged against this system's users, groups and files. */
#ifndef GCTOKEND_HOST_CONFIG_FILES_H
#define GCTOKEND_HOST_CONFIG_FILES_H

#include "core/config.h"
#include "core/config_parse.h"
#include <stdbool.h>
#include <stdio.h>

struct config_unknown;
struct name_table;

#define CONFIG_FILE_DEFAULT "/etc/gctokend/gctokend.conf"
#define CONFIG_FILE_MAX (1024 * 1024) /* bytes of one file */

enum config_purpose {
	CONFIG_FOR_CHECK,
	CONFIG_FOR_START, /* a user or group of a rule that is not known is a warning at most */
	CONFIG_FOR_RELOAD,
};

/* Reads `path`, then `path`.d's files *.conf in byte order. Blocks for the disk. Users and groups
 * are looked up in `names`, which does not; where that is NULL the name service is waited for.
 * CONFIG_VALID: *ret is whole (end it with config_free) and *ret_problems holds warnings at most.
 * CONFIG_INVALID: *ret is untouched and *ret_problems says all that is wrong. -ENOMEM: neither is
 * set. */
int config_load(const char *path, enum config_purpose purpose, struct name_table *names,
	struct config **ret, struct config_problems *ret_problems);
/* For root who checks a configuration by hand: the process goes on as the account that the daemon
 * runs under (see account.h), so that it finds what that one may not read. 0 or negative errno;
 * `text` as account_become. */
int config_become_reader(const char *path, char *text, size_t size);
/* Has `names` ask for all the users and groups that this configuration names. */
void config_ask_for_names(const char *path, enum config_purpose purpose, struct name_table *names);
/* Puts into the rules who the names in them are by now; as config_look_up_names. */
bool config_take_names(
	struct config *config, struct name_table *names, struct config_unknown *ret_unknown);

/* One line each: "file:line: key: what is wrong, what is allowed". */
void config_problems_print(const struct config_problems *problems, FILE *to);

#endif
