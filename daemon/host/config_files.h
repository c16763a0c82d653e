/* The configuration from the disk, judged against this system's users, groups and files. */
#ifndef GCTOKEND_HOST_CONFIG_FILES_H
#define GCTOKEND_HOST_CONFIG_FILES_H

#include "core/config.h"
#include "core/config_parse.h"
#include <stdio.h>

#define CONFIG_FILE_DEFAULT "/etc/gctokend/gctokend.conf"
#define CONFIG_FILE_MAX (1024 * 1024) /* bytes of one file */

/* Reads `path`, then `path`.d's files *.conf in byte order. Blocks, and asks the system's name
 * services for users and groups: for the start and for reloads. CONFIG_VALID: *ret is whole (end it
 * with config_free) and *ret_problems holds warnings at most. CONFIG_INVALID: *ret is untouched and
 * *ret_problems says all that is wrong. -ENOMEM: neither is set. */
int config_load(const char *path, struct config **ret, struct config_problems *ret_problems);

/* One line each: "file:line: key: what is wrong, what is allowed". */
void config_problems_print(const struct config_problems *problems, FILE *to);

#endif
