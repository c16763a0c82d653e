/* What the configuration means on this system: asked of whoever reads it, since nothing here
 * touches the system. */
#ifndef GCTOKEND_CORE_CONFIG_LOOKUP_H
#define GCTOKEND_CORE_CONFIG_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum config_file {
	CONFIG_FILE_SECRET,
	CONFIG_FILE_KEY, /* a secret as well */
	CONFIG_FILE_ID,
	CONFIG_FILE_CA,
	CONFIG_FILE_CREDENTIAL, /* systemd has seen to its mode */
	CONFIG_FILE_KEY_CREDENTIAL,
	CONFIG_FILE_TLS_KEY, /* a secret; a private key in PEM form */
	CONFIG_FILE_SOCKET,  /* which need not be there */
};

/* `context` is passed to every call. */
struct config_lookup {
	void *context;
	/* 0; -ENOENT: there is none of that name; -EINPROGRESS: that is not known yet; other
	 * negative errno: could not be found out. */
	int (*uid_by_name)(void *context, const char *name, uid_t *ret);
	int (*gid_by_name)(void *context, const char *name, gid_t *ret);
	/* A rule's user or group that cannot be resolved is no error: nothing is granted to it. */
	bool names_may_be_missing;
	/* True if the file that a key names can be read, and holds what such a key is about; else
	 * `problem` says in a phrase after the path what is wrong with it. If it can, but may be
	 * meant otherwise, `problem` says that likewise; it is untouched if nothing is to be said.
	 * `socket_gid` as in broker_settings: the group that must not read a secret. */
	bool (*file_fit)(void *context, enum config_file what, const char *path, gid_t socket_gid,
		char *problem, size_t problem_size);
	/* Likewise of the directory of the state, if there is one yet. */
	bool (*state_dir_fit)(void *context, const char *path, char *problem, size_t problem_size);
	/* A variable of the environment, NULL if unset: STATE_DIRECTORY, CREDENTIALS_DIRECTORY. */
	const char *(*variable)(void *context, const char *name);
};

#endif
