/* Files of configuration -> one whole struct config, or everything that is wrong with them.
 *
 * Files are added in order of reading. In one file no section and no key comes twice; a later file
 * may set a key again, which overrides, set it to nothing, which unsets, and add profiles. Nothing
 * here touches the system: what has to be looked up is asked of the caller. */
#ifndef GCTOKEND_CORE_CONFIG_PARSE_H
#define GCTOKEND_CORE_CONFIG_PARSE_H

#include "config.h"
#include "config_lookup.h"
#include "config_problems.h"
#include <stddef.h>

struct config_builder;

enum config_result {
	CONFIG_VALID = 0,
	CONFIG_INVALID = 1,
};

/* 0; -ENOMEM. */
int config_builder_new(struct config_builder **ret);
void config_builder_free(struct config_builder *b);

/* Reads one file's text (any bytes). Problems are kept for config_builder_finish. */
void config_builder_add(
	struct config_builder *b, const char *file, const char *text, size_t length);
/* A problem with a file that could not even be read. Then only what the other files say is judged,
 * not what they leave out. */
void config_builder_add_problem(struct config_builder *b, const char *file, const char *message);

/* Something is wrong with the file added last, whatever it says. */
void config_builder_complain(struct config_builder *b, const char *message);
/* What the files added so far say of state_dir, or its default; `from_environment`:
 * STATE_DIRECTORY, NULL if unset. malloc'd; NULL: no memory. */
char *config_builder_state_dir(struct config_builder *b, const char *from_environment);

/* Once, after the last file. CONFIG_VALID: *ret is set, and *ret_problems holds warnings at most.
 * CONFIG_INVALID: *ret_problems has at least one error, in order of files and lines. -ENOMEM:
 * neither is touched. The caller ends *ret_problems with config_problems_fini. */
int config_builder_finish(struct config_builder *b, const struct config_lookup *lookup,
	struct config **ret, struct config_problems *ret_problems);

#endif
