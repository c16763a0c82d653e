/* The configuration as the rest of the daemon sees it: validated, resolved, with every default
 * filled in. Built whole or not at all. */
#ifndef GCTOKEND_CORE_CONFIG_H
#define GCTOKEND_CORE_CONFIG_H

#include "access.h"
#include "fetch_settings.h"
#include "times.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct config_lookup;
struct config_unknown;

#define PROFILES_MAX 1000

enum grant {
	GRANT_CLIENT_CREDENTIALS,
	GRANT_AUTHORIZATION_CODE, /* a person logs in */
};

struct duration_or_auto {
	bool automatic;
	struct duration duration; /* where not automatic */
};

/* The store that the hosts of a fleet share tokens in. */
struct fleet_config {
	char *store; /* as fleet_url_read takes it; NULL: no fleet, and nothing else counts */
	char *user;  /* NULL: the store's default user */
	char *password_file, *password_credential; /* NULL: none; at most one is set */
	char *key_file, *key_credential;           /* likewise; one is set */
	char *old_key_files;                       /* as the file has it: config_list_next */
	char *ca_file;                             /* NULL: the system's */
	char *cert_file, *cert_key_file;           /* NULL: both are, and no certificate is shown */
	char *prefix;
	uint32_t alone; /* so many hosts may mint without the store; COUNT_ALL: all */
	struct duration poll, timeout;
	bool plain; /* without TLS to another host */
};

#define FLEET_OLD_KEYS_MAX 4

struct broker_settings {
	char *socket;
	mode_t socket_mode;
	gid_t socket_gid;  /* (gid_t)-1: leave the group alone */
	char *page_socket; /* NULL: none */
	struct access_rules admins;
	struct access_rules metrics; /* may see every profile in /metrics */
	bool root_needs_rule;        /* as in all the access_rules */
	char *state_dir;
	char *state_key_file;       /* NULL: none */
	char *state_key_credential; /* NULL: none */
	uint32_t max_connections;
	uint32_t max_connections_per_user;
	struct duration request_deadline;
	struct duration idle_timeout;
	struct duration max_wait;
	int log_level; /* syslog(3) priority: what is less urgent is not logged */
	struct fleet_config fleet;
};

struct profile_settings {
	char *name;
	char *region;        /* what replies show: the AWS region where the table knows it, else the
				environment's domain, else "" */
	char *token_url;     /* https, whole */
	char *authorize_url; /* "" where only token_url says where the login server is */
	char *api_url;       /* no slash at the end; "" likewise: nobody knows it */
	enum grant grant;
	char *client_id;                /* NULL when client_id_file is set */
	char *client_id_file;           /* NULL: none */
	char *client_secret_file;       /* one of the two is set; for GRANT_AUTHORIZATION_CODE at
					   most one: without it the client is a public one; in a
					   fleet too: without it this host mints no token */
	char *client_secret_credential; /* a systemd credential's name */
	char *proxy_password_file;      /* NULL: none; set where fetch.proxy_user is */
	gid_t socket_gid;               /* the broker's: the group that must not read the secrets */
	char *scope;                    /* NULL: none is sent */
	char *redirect_uri;             /* NULL: none */
	char *extra_params;             /* NULL: none; form-encoded pairs joined by '&' */
	struct access_rules allow;
	struct access_rules login;
	struct duration_or_auto refresh_margin;
	struct duration use_margin;
	bool prefetch;
	struct duration reject_cooldown;
	uint32_t mint_limit; /* POSTs in any 300 s, 1 to 1000; MINT_LIMIT_AUTO */
	bool clock_probe;
	char *clock_probe_url; /* never NULL: default is the token endpoint's origin with path "/"
				*/
	struct fetch_settings fetch;
	bool fleet; /* its token is the fleet's */
};

struct config {
	struct broker_settings broker;
	struct profile_settings *profiles; /* at least one; in the order of the files */
	size_t profile_count;
};

void config_free(struct config *c);
/* Whether a rule names systemd units. */
bool config_needs_units(const struct config *c);
/* Looks up again who the names in all rules are, and puts them into the rules. True if one of them
 * has become another. *ret: those who are nobody. */
bool config_look_up_names(
	struct config *c, const struct config_lookup *lookup, struct config_unknown *ret);
/* As the configuration and OAuth write it. */
const char *grant_name(enum grant grant);
/* After a reload: the names of keys whose change needs a restart. At most `max` are stored; returns
 * how many there are. */
size_t config_restart_keys(const struct config *before, const struct config *after,
	const char **ret_names, size_t max);

#endif
