/* Files of configuration -> one whole struct config, or everything that is wrong with them.
 *
 * Files are added in order of reading. In one file no section and no key comes twice; a later file
 * may set a key again, which overrides, set it to nothing, which unsets, and add profiles. Nothing
 * here touches the system: what has to be looked up is asked of the caller. */
#ifndef GCTOKEND_CORE_CONFIG_PARSE_H
#define GCTOKEND_CORE_CONFIG_PARSE_H

#include "config.h"
#include "config_problems.h"
#include <stddef.h>
#include <sys/types.h>

struct config_builder;

/* What the configuration means on this system. `context` is passed to every call. */
struct config_lookup {
	void *context;
	/* 0; -ENOENT: there is none of that name; other negative errno: could not be found out. */
	int (*uid_by_name)(void *context, const char *name, uid_t *ret);
	int (*gid_by_name)(void *context, const char *name, gid_t *ret);
	/* True if it is fit; else `problem` says in a phrase after the path what is wrong with it.
	 * `socket_gid` as in broker_settings. */
	bool (*secret_file)(void *context, const char *path, gid_t socket_gid, char *problem,
		size_t problem_size);
	/* True if it can be read and is a regular file; for ca_file and client_id_file. */
	bool (*readable_file)(void *context, const char *path, char *problem, size_t problem_size);
	/* A variable of the environment, NULL if unset: STATE_DIRECTORY, CREDENTIALS_DIRECTORY. */
	const char *(*variable)(void *context, const char *name);
};

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

/* Once, after the last file. CONFIG_VALID: *ret is set, and *ret_problems holds warnings at most.
 * CONFIG_INVALID: *ret_problems has at least one error, in order of files and lines. -ENOMEM:
 * neither is touched. The caller ends *ret_problems with config_problems_fini. */
int config_builder_finish(struct config_builder *b, const struct config_lookup *lookup,
	struct config **ret, struct config_problems *ret_problems);

#endif
