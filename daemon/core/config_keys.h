/* Every key of the configuration, once: the table that drives parsing, defaults, checks on reload,
 * --help-config, and the test of the commented example. */
#ifndef GCTOKEND_CORE_CONFIG_KEYS_H
#define GCTOKEND_CORE_CONFIG_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer;
struct config;

/* Five less than a socket's address holds: while the socket is made, a lock and the new socket
 * stand beside it under its name and a suffix. */
#define CONFIG_SOCKET_PATH_MAX 102

enum config_section {
	CONFIG_SECTION_BROKER,
	CONFIG_SECTION_PROFILE,
};

enum config_type {
	CONFIG_PATH,             /* char * */
	CONFIG_SOCKET_PATH,      /* char *, CONFIG_SOCKET_PATH_MAX */
	CONFIG_MODE,             /* mode_t */
	CONFIG_GROUP,            /* gid_t; none: (gid_t)-1 */
	CONFIG_USERS,            /* struct id_list */
	CONFIG_GROUPS,           /* struct id_list */
	CONFIG_UNITS,            /* struct id_list */
	CONFIG_COUNT,            /* uint32_t */
	CONFIG_DURATION,         /* struct duration */
	CONFIG_DURATION_OR_AUTO, /* struct duration; auto is kept elsewhere */
	CONFIG_YES_NO,           /* bool */
	CONFIG_LOG_LEVEL,        /* int */
	CONFIG_GRANT,            /* enum grant */
	CONFIG_REGION,           /* no place in the model: turned into URLs */
	CONFIG_ENVIRONMENT,      /* likewise */
	CONFIG_URL,              /* char *, https */
	CONFIG_BASE_URL,         /* char *, https, without query, no slash at the end */
	CONFIG_PROXY,            /* char * */
	CONFIG_REDIRECT_URI,     /* char * */
	CONFIG_CLIENT_ID,        /* char * */
	CONFIG_CREDENTIAL,       /* char *, a systemd credential's name */
	CONFIG_SCOPE,            /* char * */
	CONFIG_PARAMETERS,       /* char * */
};

struct config_key {
	const char *name;
	enum config_section section;
	enum config_type type;
	const char *default_text; /* as a file would have it; "": none */
	bool needs_value;         /* an empty value is an error */
	bool reloadable;          /* false: a change waits for a restart */
	int64_t min, max;         /* CONFIG_COUNT; CONFIG_DURATION*: nanoseconds */
	size_t offset;            /* in broker_settings or profile_settings */
	const char *help;         /* whole sentences */
};

#define CONFIG_KEYS_MAX 64

/* All of them, in the order people should read them: [broker] first. */
const struct config_key *config_keys(size_t *ret_count);
/* NULL: not in that section. */
const struct config_key *config_key_find(enum config_section section, const char *name);
/* The key of that section someone may have meant, NULL if none is near. */
const struct config_key *config_key_nearest(enum config_section section, const char *name);
/* What is allowed as the key's value, as a phrase. */
void config_key_allowed(const struct config_key *key, char *text, size_t size);

/* --help-config: everything of the table for people, 80 columns wide. */
void config_help_write(struct buffer *out);

/* After a reload: the names of keys whose change needs a restart. At most `max` are stored; returns
 * how many there are. */
size_t config_restart_keys(const struct config *before, const struct config *after,
	const char **ret_names, size_t max);

#endif
