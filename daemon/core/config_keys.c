#include "config_keys.h"
#include "config.h"
#include "text.h"
#include <string.h>

#define MS(n) (INT64_C(n) * NS_PER_MS)
#define SEC(n) (INT64_C(n) * NS_PER_S)
#define MIN(n) (INT64_C(n) * 60 * NS_PER_S)
#define HOUR(n) (INT64_C(n) * 3600 * NS_PER_S)

#define BROKER(member) \
	.section = CONFIG_SECTION_BROKER, .offset = offsetof(struct broker_settings, member)
#define PROFILE(member) \
	.section = CONFIG_SECTION_PROFILE, .offset = offsetof(struct profile_settings, member)

static const struct config_key keys[] = {
	{
		.name = "socket",
		BROKER(socket),
		.type = CONFIG_SOCKET_PATH,
		.default_text = "/run/gctokend/gctokend.sock",
		.needs_value = true,
		.help = "The Unix socket that clients connect to, speaking HTTP. Not used where "
			"systemd passes one.",
	},
	{
		.name = "socket_mode",
		BROKER(socket_mode),
		.type = CONFIG_MODE,
		.default_text = "0660",
		.needs_value = true,
		.help = "Access mode of the sockets. It decides who may connect; who may have a "
			"token is decided by the profile.",
	},
	{
		.name = "socket_group",
		BROKER(socket_gid),
		.type = CONFIG_GROUP,
		.default_text = "gctoken",
		.help = "Group of the sockets. Empty: it is left as it comes.",
	},
	{
		.name = "page_socket",
		BROKER(page_socket),
		.type = CONFIG_SOCKET_PATH,
		.default_text = "/run/gctokend/page.sock",
		.help = "The Unix socket that hands the shared page to libgctoken. Empty: none. "
			"Not used where systemd passes one.",
	},
	{
		.name = "admin_users",
		BROKER(admins.lists[ACCESS_USERS]),
		.type = CONFIG_USERS,
		.default_text = "",
		.reloadable = true,
		.help = "Users who may administer, besides root and the daemon's own user.",
	},
	{
		.name = "admin_groups",
		BROKER(admins.lists[ACCESS_GROUPS]),
		.type = CONFIG_GROUPS,
		.default_text = "",
		.reloadable = true,
		.help = "Groups whose members may administer.",
	},
	{
		.name = "metrics_users",
		BROKER(metrics.lists[ACCESS_USERS]),
		.type = CONFIG_USERS,
		.default_text = "",
		.reloadable = true,
		.help = "Users who see all profiles in /metrics, as admins do.",
	},
	{
		.name = "state_dir",
		BROKER(state_dir),
		.type = CONFIG_PATH,
		.default_text = "",
		.help = "Where state is kept over restarts. Empty: $STATE_DIRECTORY, which systemd "
			"sets, else /var/lib/gctokend.",
	},
	{
		.name = "state_key_file",
		BROKER(state_key_file),
		.type = CONFIG_PATH,
		.default_text = "",
		.help = "File with the key that seals refresh tokens in the state directory, as "
			"strict as client_secret_file.",
	},
	{
		.name = "state_key_credential",
		BROKER(state_key_credential),
		.type = CONFIG_CREDENTIAL,
		.default_text = "",
		.help = "The same from systemd (LoadCredential=), in place of state_key_file.",
	},
	{
		.name = "max_connections",
		BROKER(max_connections),
		.type = CONFIG_COUNT,
		.default_text = "16384",
		.needs_value = true,
		.reloadable = true,
		.min = 1,
		.max = 1000000,
		.help = "Connections at a time. Lowered, with a warning, where the limit of open "
			"files does not allow for it.",
	},
	{
		.name = "max_connections_per_user",
		BROKER(max_connections_per_user),
		.type = CONFIG_COUNT,
		.default_text = "4096",
		.needs_value = true,
		.reloadable = true,
		.min = 1,
		.max = 1000000,
		.help = "Connections of one user at a time. While other users are served, one user "
			"may also make no more new ones than that, or 1000, in a second.",
	},
	{
		.name = "request_deadline",
		BROKER(request_deadline),
		.type = CONFIG_DURATION,
		.default_text = "5s",
		.needs_value = true,
		.reloadable = true,
		.min = MS(100),
		.max = MIN(5),
		.help = "How long a request may take from its first byte to its last.",
	},
	{
		.name = "idle_timeout",
		BROKER(idle_timeout),
		.type = CONFIG_DURATION,
		.default_text = "10min",
		.needs_value = true,
		.reloadable = true,
		.min = SEC(1),
		.max = HOUR(24),
		.help = "A connection without a request for this long is closed.",
	},
	{
		.name = "max_wait",
		BROKER(max_wait),
		.type = CONFIG_DURATION,
		.default_text = "300s",
		.needs_value = true,
		.reloadable = true,
		.min = SEC(1),
		.max = HOUR(1),
		.help = "The longest wait that a client may ask for.",
	},
	{
		.name = "log_level",
		BROKER(log_level),
		.type = CONFIG_LOG_LEVEL,
		.default_text = "info",
		.needs_value = true,
		.reloadable = true,
		.help = "The least urgent messages that are logged.",
	},

	{
		.name = "region",
		PROFILE(region),
		.type = CONFIG_REGION,
		.default_text = "",
		.reloadable = true,
		.help = "The Genesys Cloud region, by its AWS name or its domain. A profile needs "
			"region, environment or token_url.",
	},
	{
		.name = "environment",
		PROFILE(region),
		.type = CONFIG_ENVIRONMENT,
		.default_text = "",
		.reloadable = true,
		.help = "In place of region: the domain that login. and api. stand before; also "
			"one "
			"that region does not know.",
	},
	{
		.name = "grant",
		PROFILE(grant),
		.type = CONFIG_GRANT,
		.default_text = "client_credentials",
		.needs_value = true,
		.reloadable = true,
		.help = "The OAuth grant: the client for itself, or for a person who logs in "
			"(gctoken "
			"login), with PKCE. The latter needs redirect_uri, and no secret where the "
			"client is a public one.",
	},
	{
		.name = "client_id",
		PROFILE(client_id),
		.type = CONFIG_CLIENT_ID,
		.default_text = "",
		.reloadable = true,
		.help = "The OAuth client's id. A profile needs this or client_id_file.",
	},
	{
		.name = "client_id_file",
		PROFILE(client_id_file),
		.type = CONFIG_PATH,
		.default_text = "",
		.reloadable = true,
		.help = "A file with the client's id alone.",
	},
	{
		.name = "client_secret_file",
		PROFILE(client_secret_file),
		.type = CONFIG_PATH,
		.default_text = "",
		.reloadable = true,
		.help = "A file with the client's secret alone. It belongs to root or the daemon's "
			"user, is closed to the world, and is readable at most for the daemon's "
			"own "
			"group, never for the socket's. A profile needs this or "
			"client_secret_credential.",
	},
	{
		.name = "client_secret_credential",
		PROFILE(client_secret_credential),
		.type = CONFIG_CREDENTIAL,
		.default_text = "",
		.reloadable = true,
		.help = "The name of a systemd credential (LoadCredential= in the unit) with the "
			"client's secret.",
	},
	{
		.name = "token_url",
		PROFILE(token_url),
		.type = CONFIG_URL,
		.default_text = "",
		.reloadable = true,
		.help = "Exact token endpoint. Empty: https://login.ENVIRONMENT/oauth/token.",
	},
	{
		.name = "authorize_url",
		PROFILE(authorize_url),
		.type = CONFIG_URL,
		.default_text = "",
		.reloadable = true,
		.help = "Exact authorization endpoint. Empty: "
			"https://login.ENVIRONMENT/oauth/authorize.",
	},
	{
		.name = "api_url",
		PROFILE(api_url),
		.type = CONFIG_BASE_URL,
		.default_text = "",
		.reloadable = true,
		.help = "Base of the API, told to clients and used to revoke. Empty: "
			"https://api.ENVIRONMENT.",
	},
	{
		.name = "ca_file",
		PROFILE(fetch.ca_file),
		.type = CONFIG_PATH,
		.default_text = "",
		.reloadable = true,
		.help = "PEM file of the certificate authorities to trust, in place of the "
			"system's.",
	},
	{
		.name = "proxy",
		PROFILE(fetch.proxy),
		.type = CONFIG_PROXY,
		.default_text = "",
		.reloadable = true,
		.help = "Proxy for this profile. Proxy variables of the environment are never "
			"used.",
	},
	{
		.name = "scope",
		PROFILE(scope),
		.type = CONFIG_SCOPE,
		.default_text = "",
		.reloadable = true,
		.help = "Sent only if set. Genesys Cloud takes rights from roles and needs none.",
	},
	{
		.name = "redirect_uri",
		PROFILE(redirect_uri),
		.type = CONFIG_REDIRECT_URI,
		.default_text = "",
		.reloadable = true,
		.help = "Where a person's browser returns to after a login, exactly as the client "
			"has "
			"it registered: http://127.0.0.1:PORT/PATH, where gctoken login listens.",
	},
	{
		.name = "extra_params",
		PROFILE(extra_params),
		.type = CONFIG_PARAMETERS,
		.default_text = "",
		.reloadable = true,
		.help = "Further parameters of the token request.",
	},
	{
		.name = "allow_users",
		PROFILE(allow.lists[ACCESS_USERS]),
		.type = CONFIG_USERS,
		.default_text = "",
		.reloadable = true,
		.help = "Users who may have this token, besides root and the daemon's own user.",
	},
	{
		.name = "allow_groups",
		PROFILE(allow.lists[ACCESS_GROUPS]),
		.type = CONFIG_GROUPS,
		.default_text = "",
		.reloadable = true,
		.help = "Groups whose members may have this token.",
	},
	{
		.name = "allow_units",
		PROFILE(allow.lists[ACCESS_UNITS]),
		.type = CONFIG_UNITS,
		.default_text = "",
		.reloadable = true,
		.help = "Narrows the two above: a client that matches them must also run in one of "
			"these systemd units. gctokend's own unit hides other processes, by which "
			"units are told: install its drop-in allow-units.conf.",
	},
	{
		.name = "login_users",
		PROFILE(login.lists[ACCESS_USERS]),
		.type = CONFIG_USERS,
		.default_text = "",
		.reloadable = true,
		.help = "Users who may log this profile in, besides admins.",
	},
	{
		.name = "login_groups",
		PROFILE(login.lists[ACCESS_GROUPS]),
		.type = CONFIG_GROUPS,
		.default_text = "",
		.reloadable = true,
		.help = "Groups whose members may log this profile in.",
	},
	{
		.name = "refresh_margin",
		PROFILE(refresh_margin),
		.type = CONFIG_DURATION_OR_AUTO,
		.default_text = "auto",
		.needs_value = true,
		.reloadable = true,
		.min = SEC(1),
		.max = HOUR(24),
		.help = "How long before a token's end it is replaced. auto: a tenth of its life, "
			"between 10 s and 5 min.",
	},
	{
		.name = "use_margin",
		PROFILE(use_margin),
		.type = CONFIG_DURATION,
		.default_text = "5s",
		.needs_value = true,
		.reloadable = true,
		.min = 0,
		.max = MIN(5),
		.help = "A token is not handed out this close to its end: the time a request takes "
			"to reach the API.",
	},
	{
		.name = "prefetch",
		PROFILE(prefetch),
		.type = CONFIG_YES_NO,
		.default_text = "yes",
		.needs_value = true,
		.reloadable = true,
		.help = "yes: fetch at the start and refresh ahead. no: fetch when a client first "
			"asks.",
	},
	{
		.name = "reject_cooldown",
		PROFILE(reject_cooldown),
		.type = CONFIG_DURATION,
		.default_text = "30s",
		.needs_value = true,
		.reloadable = true,
		.min = MS(100),
		.max = HOUR(1),
		.help = "After a client's report of a 401 has replaced the token, further reports "
			"are refused for this long.",
	},
	{
		.name = "mint_limit",
		PROFILE(mint_limit),
		.type = CONFIG_COUNT,
		.default_text = "15",
		.needs_value = true,
		.reloadable = true,
		.min = 1,
		.max = 1000,
		.help = "Token requests in any 300 s, whatever their cause, over restarts too.",
	},
	{
		.name = "clock_probe",
		PROFILE(clock_probe),
		.type = CONFIG_YES_NO,
		.default_text = "yes",
		.needs_value = true,
		.reloadable = true,
		.help = "Measure the login server's clock with HEAD requests.",
	},
	{
		.name = "clock_probe_url",
		PROFILE(clock_probe_url),
		.type = CONFIG_URL,
		.default_text = "",
		.reloadable = true,
		.help = "What they ask. Empty: / on the token endpoint's host.",
	},
	{
		.name = "fetch_timeout",
		PROFILE(fetch.timeout),
		.type = CONFIG_DURATION,
		.default_text = "10s",
		.needs_value = true,
		.reloadable = true,
		.min = MS(100),
		.max = MIN(2),
		.help = "How long one exchange with the login server may take.",
	},
};

#define KEY_COUNT (sizeof(keys) / sizeof(keys[0]))
_Static_assert(KEY_COUNT <= CONFIG_KEYS_MAX, "CONFIG_KEYS_MAX is too small");

const struct config_key *config_keys(size_t *ret_count)
{
	*ret_count = KEY_COUNT;
	return keys;
}

const struct config_key *config_key_find(enum config_section section, const char *name)
{
	for (size_t i = 0; i < KEY_COUNT; i++) {
		if (keys[i].section == section && strcmp(keys[i].name, name) == 0)
			return &keys[i];
	}
	return NULL;
}

const struct config_key *config_key_nearest(enum config_section section, const char *name)
{
	const struct config_key *nearest = NULL;
	unsigned least = 1 + (unsigned)strlen(name) / 3;

	if (least > 4)
		least = 4;
	for (size_t i = 0; i < KEY_COUNT; i++) {
		unsigned distance;

		if (keys[i].section != section)
			continue;
		distance = text_distance(name, keys[i].name);
		if (distance < least || (distance == least && !nearest)) {
			least = distance;
			nearest = &keys[i];
		}
	}
	return nearest;
}
