#include "config_keys.h"
#include "config.h"
#include "config_storage.h"
#include "config_url.h"
#include "config_value.h"
#include "config_words.h"
#include "fleet_url.h"
#include "regions.h"
#include "text.h"
#include <string.h>
#include <strings.h>
#include <syslog.h>

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"
#define PATH_LENGTH_MAX 4095
/* Five less than a socket's address holds: while the socket is made, a lock and the new socket
 * stand beside it under its name and a suffix. */
#define SOCKET_PATH_LENGTH_MAX 102
#define ID_LENGTH_MAX 255 /* of a client id and of a credential's name */

/* ---- what is wrong with a value ---- */

static const char *absolute_path_problem(const char *path, size_t length_max)
{
	if (path[0] != '/')
		return "is not an absolute path";
	return strlen(path) > length_max ? "is too long" : NULL;
}

static const char *path_problem(const char *path)
{
	return absolute_path_problem(path, PATH_LENGTH_MAX);
}

static const char *socket_path_problem(const char *path)
{
	if (path[strlen(path) - 1] == '/')
		return "ends in a slash";
	return absolute_path_problem(path, SOCKET_PATH_LENGTH_MAX);
}

static const char *mode_read(const struct config_key *key, const char *text, void *ret)
{
	size_t length = strlen(text);
	mode_t mode = 0;

	(void)key;
	if (length < 3 || length > 4 || strspn(text, "01234567") != length ||
		(length == 4 && text[0] != '0'))
		return "is not an octal mode";
	for (; *text; text++)
		mode = mode * 8 + (mode_t)(*text - '0');
	if ((mode & 0600) != 0600)
		return "shuts the daemon's own user out";
	*(mode_t *)ret = mode;
	return NULL;
}

static const char *yes_no_read(const struct config_key *key, const char *text, void *ret)
{
	bool yes = strcmp(text, "yes") == 0;

	(void)key;
	if (!yes && strcmp(text, "no") != 0)
		return "is neither yes nor no";
	*(bool *)ret = yes;
	return NULL;
}

static const char *group_problem(const char *name)
{
	uint32_t id;

	if (id_is_number(name, &id) && id == ID_NOBODY)
		return "is too large for a group's number";
	return strpbrk(name, "*:/, \t") ? "is not the name of a group" : NULL;
}

static const char *region_problem(const char *text)
{
	return region_find(text)
		       ? NULL
		       : "is not a region in the table; for another domain use environment";
}

static const char *environment_problem(const char *text)
{
	static const char *const hosts[] = {"login.", "api.", "apps."};

	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		size_t length = strlen(hosts[i]);

		if (strncasecmp(text, hosts[i], length) == 0 && domain_valid(text + length))
			return "is a host; leave its first part out";
	}
	if (domain_valid(text))
		return NULL;
	return region_find(text) ? "is a region's name; use region for it" : "is not a domain";
}

const char *client_id_problem(const char *text)
{
	for (const char *c = text; *c; c++) {
		if (*c < 0x21 || *c > 0x7e)
			return "holds a space or a byte that is not printable ASCII";
	}
	return strlen(text) > ID_LENGTH_MAX ? "is too long" : NULL;
}

/* Basic ends a user at the colon, and a SOCKS proxy reads at most so many bytes. */
static const char *proxy_user_problem(const char *text)
{
	if (strchr(text, ':'))
		return "holds a colon";
	return strlen(text) > ID_LENGTH_MAX ? "is too long" : NULL;
}

static const char *store_problem(const char *url)
{
	struct fleet_url read;

	return fleet_url_read(url, &read);
}

static const char *paths_problem(const char *text)
{
	char path[CONFIG_NAME_MAX + 1];
	unsigned count = 0;

	while (config_list_next(&text, path, sizeof(path))) {
		if (path[0] != '/')
			return "holds what is not an absolute path";
		if (++count > FLEET_OLD_KEYS_MAX)
			return "names more than four files";
	}
	return text[strspn(text, ", \t")] ? "names a path that is too long"
	       : count                    ? NULL
					  : "names no file";
}

static const char *prefix_problem(const char *text)
{
	size_t length = strlen(text);

	return length > 32 || strspn(text, LETTERS DIGITS "._-") != length ? "is not such a name"
									   : NULL;
}

static const char *credential_problem(const char *text)
{
	size_t length = strlen(text);

	if (text[0] == '.' || length > ID_LENGTH_MAX ||
		strspn(text, LETTERS DIGITS "._-") != length)
		return "is not the name of a credential";
	return NULL;
}

/* ---- the types ---- */

static const struct config_word log_levels[] = {
	{"err", LOG_ERR},
	{"warning", LOG_WARNING},
	{"notice", LOG_NOTICE},
	{"info", LOG_INFO},
	{"debug", LOG_DEBUG},
	{NULL, 0},
};

static const struct config_word grants[] = {
	{"client_credentials", GRANT_CLIENT_CREDENTIALS},
	{"authorization_code", GRANT_AUTHORIZATION_CODE},
	{NULL, 0},
};

#define TEXT(problem) .check = (problem), .kept = &keep_text
/* People put a secret where its file's name belongs, a password into a URL, and swap id and
 * secret. */
#define HIDDEN(problem) TEXT(problem), .hidden = true
#define URL(problem) HIDDEN(problem), .sentence = true
#define WORDS(list, problem) .read = word_read, .words = (list), .not_a_word = (problem)
#define STRING_OF(number) #number
#define STRING(macro) STRING_OF(macro)

#define TYPE(name, ...) static const struct config_type type_##name = {__VA_ARGS__}

/* clang-format off */
TYPE(path, "an absolute path", HIDDEN(path_problem));
TYPE(socket_path, "an absolute path of at most " STRING(SOCKET_PATH_LENGTH_MAX) " bytes",
	TEXT(socket_path_problem));
TYPE(mode, "an octal mode from 0600 to 0777", .read = mode_read);
TYPE(group, "the name or number of a group, or nothing", .check = group_problem, .kept = &keep_group);
TYPE(users, "names or numbers of users, separated by commas or spaces, or * for whoever can "
	"connect",
	.check = users_problem, .kept = &keep_users);
TYPE(groups, "names or numbers of groups, separated by commas or spaces",
	.check = groups_problem, .kept = &keep_groups);
TYPE(units, "full names of systemd units (backup.service), separated by commas or spaces",
	.check = units_problem, .kept = &keep_units);
TYPE(count, "a whole number", .read = count_read, .show_limit = count_show);
TYPE(count_or_auto, "auto, or a whole number", .read = count_or_auto_read,
	.show_limit = count_show);
TYPE(count_or_all, "all, or a whole number", .read = count_or_all_read,
	.show_limit = count_show);
TYPE(duration, "a whole number with ms, s, min, h or d,",
	.read = duration_read, .show_limit = duration_show);
TYPE(duration_or_auto, "auto, or a whole number with ms, s, min, h or d,",
	.read = duration_or_auto_read, .show_limit = duration_show);
TYPE(yes_no, "yes or no", .read = yes_no_read);
TYPE(log_level, NULL, WORDS(log_levels, "is not a log level"));
TYPE(grant, NULL, WORDS(grants, "is not a known grant"));
TYPE(region, "a Genesys Cloud region such as us-west-2 or usw2.pure.cloud (all: --help-config)",
	.check = region_problem, .kept = &keep_nothing);
TYPE(environment, "a domain such as usw2.pure.cloud",
	.check = environment_problem, .kept = &keep_nothing);
TYPE(url, "https://HOST[:PORT]/PATH without user, password or fragment", URL(url_problem));
TYPE(base_url, "https://HOST[:PORT][/PATH] without user, password, query or fragment",
	URL(base_url_problem));
TYPE(proxy, "SCHEME://HOST:PORT with http, https, socks5 or socks5h, without user or password",
	URL(proxy_problem));
TYPE(proxy_user, "a name without a colon, at most " STRING(ID_LENGTH_MAX) " bytes",
	HIDDEN(proxy_user_problem));
TYPE(redirect_uri, "https://HOST..., or http:// with 127.0.0.1, [::1] or localhost, "
	"without fragment", URL(redirect_uri_problem));
TYPE(client_id, "printable ASCII without spaces, at most " STRING(ID_LENGTH_MAX) " bytes",
	HIDDEN(client_id_problem));
TYPE(credential, "a name of letters, digits, '.', '_' and '-'", HIDDEN(credential_problem));
TYPE(store, "redis://HOST[:PORT][/DATABASE], rediss:// likewise with TLS, "
	"rediss+sentinel://HOST[:PORT],.../MASTER, or unix:/PATH, without user or password",
	URL(store_problem));
TYPE(paths, "up to four absolute paths, separated by commas or spaces", HIDDEN(paths_problem));
TYPE(prefix, "up to 32 letters, digits, '.', '_' and '-'", TEXT(prefix_problem));
TYPE(scope, "scope names with one space between them", TEXT(scope_problem));
TYPE(parameters, "form-encoded NAME=VALUE pairs joined by '&', no secrets",
	HIDDEN(parameters_problem));

/* ---- the keys ---- */

#define MEMBER(structure, member) \
	offsetof(struct structure, member), sizeof(((struct structure *)0)->member)
#define BROKER(member) CONFIG_SECTION_BROKER, MEMBER(broker_settings, member)
#define PROFILE(member) CONFIG_SECTION_PROFILE, MEMBER(profile_settings, member)
#define OF(type) &type_##type, 0, 0
#define WITHIN(type, min, max) &type_##type, (min), (max)
#define NEEDED CONFIG_NEEDED
#define RESTART CONFIG_RESTART

#define MS(n) (INT64_C(n) * NS_PER_MS)
#define SEC(n) (INT64_C(n) * NS_PER_S)
#define MIN(n) (INT64_C(n) * 60 * NS_PER_S)
#define HOUR(n) (INT64_C(n) * 3600 * NS_PER_S)

/* Name, member, type, default, what it is like, help. */
static const struct config_key keys[] = {
	{"socket", BROKER(socket), OF(socket_path), "/run/gctokend/gctokend.sock", NEEDED | RESTART,
	 "The Unix socket that callers connect to, speaking HTTP. Not used where systemd passes "
	 "one."},
	{"socket_mode", BROKER(socket_mode), OF(mode), "0660", NEEDED | RESTART,
	 "Access mode of the sockets. It decides who may connect; who may have a token is decided "
	 "by the profile."},
	{"socket_group", BROKER(socket_gid), OF(group), "gctoken", RESTART,
	 "Group of the sockets. Empty: it is left as it is."},
	{"page_socket", BROKER(page_socket), OF(socket_path), "/run/gctokend/page.sock", RESTART,
	 "The Unix socket that hands the shared page to libgctoken. Empty: none. Not used where "
	 "systemd passes one."},
	{"admin_users", BROKER(admins.lists[ACCESS_USERS]), OF(users), "", 0,
	 "Users who may administer, besides root and the daemon's own user."},
	{"admin_groups", BROKER(admins.lists[ACCESS_GROUPS]), OF(groups), "", 0,
	 "Groups whose members may administer."},
	{"metrics_users", BROKER(metrics.lists[ACCESS_USERS]), OF(users), "", 0,
	 "Users who see all profiles in /metrics and the broker's own numbers, as admins do."},
	{"root_needs_rule", BROKER(root_needs_rule), OF(yes_no), "no", NEEDED,
	 "yes: uid 0 is a user like any other and has only what a rule grants it. Set it where a "
	 "container can reach the sockets: its root is uid 0, too, unless the container has a user "
	 "namespace of its own."},
	{"state_dir", BROKER(state_dir), OF(path), "", RESTART,
	 "Where state is kept across restarts. Empty: $STATE_DIRECTORY, which systemd sets, else "
	 "/var/lib/gctokend."},
	{"state_key_file", BROKER(state_key_file), OF(path), "", RESTART,
	 "File with the key that seals refresh tokens in the state directory. Owner and mode as "
	 "for client_secret_file."},
	{"state_key_credential", BROKER(state_key_credential), OF(credential), "", RESTART,
	 "The same as a systemd credential (LoadCredential=), instead of state_key_file."},
	{"max_connections", BROKER(max_connections), WITHIN(count, 1, 1000000), "16384", NEEDED,
	 "How many connections there may be at a time. Lowered, with a warning, if the limit on "
	 "open files does not allow for it. When all are taken, users with far more give way; one "
	 "in 64, at most 64, are kept for root and admins."},
	{"max_connections_per_user", BROKER(max_connections_per_user), WITHIN(count, 1, 1000000),
	 "4096", NEEDED,
	 "How many connections one user may have at a time. While other users are served, one user "
	 "may also make no more new ones in a second than that, or 1000 if that is more."},
	{"request_deadline", BROKER(request_deadline), WITHIN(duration, MS(100), MIN(5)), "5s",
	 NEEDED, "How long a request may take from its first byte to its last."},
	{"idle_timeout", BROKER(idle_timeout), WITHIN(duration, SEC(1), HOUR(24)), "10min", NEEDED,
	 "A connection without a request for this long is closed."},
	{"max_wait", BROKER(max_wait), WITHIN(duration, SEC(1), HOUR(1)), "300s", NEEDED,
	 "The longest wait that a caller may ask for; a longer one is refused. Programs, and the "
	 "recipes for proxies, often ask for up to 60s."},
	{"log_level", BROKER(log_level), OF(log_level), "info", NEEDED,
	 "The least urgent messages that are logged."},
	{"fleet_store", BROKER(fleet.store), OF(store), "", 0,
	 "The Redis or Valkey in which many hosts share tokens, each with a daemon like this one. "
	 "Empty: this host shares none. See docs/fleet.md: one token is about 300 API requests a "
	 "minute for all of them."},
	{"fleet_user", BROKER(fleet.user), OF(proxy_user), "", 0,
	 "The user to log in as at the store; needs a password. Empty: its default user."},
	{"fleet_password_file", BROKER(fleet.password_file), OF(path), "", 0,
	 "A file with that user's password alone, as strict as client_secret_file."},
	{"fleet_password_credential", BROKER(fleet.password_credential), OF(credential), "", 0,
	 "The same as a systemd credential (LoadCredential=), instead of fleet_password_file."},
	{"fleet_key_file", BROKER(fleet.key_file), OF(path), "", 0,
	 "File with the key that seals tokens in the store (openssl rand -hex 32), the same on all "
	 "hosts of the fleet. Owner and mode as for client_secret_file."},
	{"fleet_key_credential", BROKER(fleet.key_credential), OF(credential), "", 0,
	 "The same as a systemd credential (LoadCredential=), instead of fleet_key_file."},
	{"fleet_old_key_files", BROKER(fleet.old_key_files), OF(paths), "", 0,
	 "Files with further keys that open what other hosts have sealed, while the key is "
	 "changed. Nothing is sealed with them."},
	{"fleet_ca_file", BROKER(fleet.ca_file), OF(path), "", 0,
	 "PEM file of the certificate authorities to trust for the store, instead of the system's. "
	 "Owner and mode as for ca_file."},
	{"fleet_cert_file", BROKER(fleet.cert_file), OF(path), "", 0,
	 "PEM file of the certificate that this host shows to the store; needs fleet_cert_key_file."},
	{"fleet_cert_key_file", BROKER(fleet.cert_key_file), OF(path), "", 0,
	 "PEM file of its private key, as strict as client_secret_file."},
	{"fleet_prefix", BROKER(fleet.prefix), OF(prefix), "gct", NEEDED,
	 "What the names of all keys in the store begin with. Where one store serves several "
	 "fleets, each needs one of its own."},
	{"fleet_alone", BROKER(fleet.alone), WITHIN(count_or_all, 0, 16), "3", NEEDED,
	 "How many hosts may fetch a token for themselves when the store has been away for so long "
	 "that theirs ends. The server may end a client's oldest token for each of them."},
	{"fleet_poll", BROKER(fleet.poll), WITHIN(duration, SEC(1), MIN(5)), "10s", NEEDED,
	 "How often the store is looked at, besides what it tells by itself. 30s is enough above "
	 "3000 hosts."},
	{"fleet_timeout", BROKER(fleet.timeout), WITHIN(duration, MS(100), SEC(30)), "2s", NEEDED,
	 "How long the store may take for an answer."},
	{"fleet_plain", BROKER(fleet.plain), OF(yes_no), "no", NEEDED,
	 "yes: redis:// to another host is allowed, where the network between them is trusted: "
	 "without TLS the password is sent as it is, and nobody proves to be the store. At a "
	 "unix:/PATH the password then goes to whoever listens; with no, only where nobody but "
	 "root, the daemon's user and the store's could have made that socket."},

	{"region", PROFILE(region), OF(region), "", 0,
	 "The Genesys Cloud region, by its AWS name or its domain. A profile needs region, "
	 "environment or token_url."},
	{"environment", PROFILE(region), OF(environment), "", 0,
	 "Instead of region: the domain after login. and api., which may be one that region does "
	 "not know."},
	{"grant", PROFILE(grant), OF(grant), "client_credentials", NEEDED,
	 "The OAuth grant: for the client itself, or for a person who logs in (gctoken login), "
	 "with PKCE. The latter needs redirect_uri, and no secret if the client is a public one."},
	{"client_id", PROFILE(client_id), OF(client_id), "", 0,
	 "The OAuth client's id. A profile needs this or client_id_file."},
	{"client_id_file", PROFILE(client_id_file), OF(path), "", 0,
	 "A file with the client's id alone."},
	{"client_secret_file", PROFILE(client_secret_file), OF(path), "", 0,
	 "A file with the client's secret alone, owned by root or the daemon's user. At most the "
	 "daemon's own group may read it, and nobody else may change the folder that it is in. A "
	 "profile needs this or client_secret_credential."},
	{"client_secret_credential", PROFILE(client_secret_credential), OF(credential), "", 0,
	 "The name of a systemd credential (LoadCredential= in the unit) with the client's "
	 "secret."},
	{"token_url", PROFILE(token_url), OF(url), "", 0,
	 "Exact token endpoint. Empty: https://login.ENVIRONMENT/oauth/token."},
	{"authorize_url", PROFILE(authorize_url), OF(url), "", 0,
	 "Exact authorization endpoint. Empty: https://login.ENVIRONMENT/oauth/authorize."},
	{"api_url", PROFILE(api_url), OF(base_url), "", 0,
	 "Base of the API, told to callers and used to revoke. Empty: https://api.ENVIRONMENT."},
	{"ca_file", PROFILE(fetch.ca_file), OF(path), "", 0,
	 "PEM file of the certificate authorities to trust, instead of the system's. Root's or the "
	 "daemon's user's, and writable for nobody else, as is the folder that it is in."},
	{"proxy", PROFILE(fetch.proxy), OF(proxy), "", 0,
	 "Proxy for this profile. Proxy variables in the environment are never used."},
	{"proxy_user", PROFILE(fetch.proxy_user), OF(proxy_user), "", 0,
	 "The user the proxy asks for; needs proxy_password_file. An http or https proxy is sent "
	 "both as Basic."},
	{"proxy_password_file", PROFILE(proxy_password_file), OF(path), "", 0,
	 "File with that user's password and nothing else. Owner and mode as for "
	 "client_secret_file."},
	{"proxy_ca_file", PROFILE(fetch.proxy_ca_file), OF(path), "", 0,
	 "PEM file of the certificate authorities to trust for an https proxy, instead of the "
	 "system's. ca_file is for what is behind it."},
	{"scope", PROFILE(scope), OF(scope), "", 0,
	 "Sent only if set. Genesys Cloud takes rights from roles and needs no scope."},
	{"redirect_uri", PROFILE(redirect_uri), OF(redirect_uri), "", 0,
	 "Where a person's browser returns to after a login, exactly as registered for the client: "
	 "http://127.0.0.1:PORT/PATH, where gctoken login listens."},
	{"extra_params", PROFILE(extra_params), OF(parameters), "", 0,
	 "Further parameters of the token request."},
	{"allow_users", PROFILE(allow.lists[ACCESS_USERS]), OF(users), "", 0,
	 "Users who may have this token, besides root and the daemon's own user."},
	{"allow_groups", PROFILE(allow.lists[ACCESS_GROUPS]), OF(groups), "", 0,
	 "Groups whose members may have this token."},
	{"allow_units", PROFILE(allow.lists[ACCESS_UNITS]), OF(units), "", 0,
	 "Narrows the two above: a caller they match must also run in one of these systemd units. "
	 "Needs Linux 6.5 (Debian 12 has 6.1): an older kernel cannot say which process has "
	 "connected, and nobody is granted then. Install the drop-in allow-units.conf, or "
	 "gctokend's sandbox hides the unit."},
	{"login_users", PROFILE(login.lists[ACCESS_USERS]), OF(users), "", 0,
	 "Users who may log this profile in, besides admins."},
	{"login_groups", PROFILE(login.lists[ACCESS_GROUPS]), OF(groups), "", 0,
	 "Groups whose members may log this profile in."},
	{"refresh_margin", PROFILE(refresh_margin), WITHIN(duration_or_auto, SEC(1), HOUR(24)),
	 "auto", NEEDED,
	 "How long before its expiry a token is replaced. auto: 15 to 19 % of its life, for short "
	 "ones 10 s or a quarter of it."},
	{"use_margin", PROFILE(use_margin), WITHIN(duration, 0, MIN(5)), "5s", NEEDED,
	 "How long before its expiry a token is no longer handed out: the time a request takes to "
	 "reach the API."},
	{"prefetch", PROFILE(prefetch), OF(yes_no), "yes", NEEDED,
	 "yes: fetch at the start and refresh ahead. no: fetch when a caller first asks."},
	{"reject_cooldown", PROFILE(reject_cooldown), WITHIN(duration, MS(100), HOUR(1)), "30s",
	 NEEDED, "For this long after a rejected token was replaced, its successor is not "
	 "replaced because a caller rejects it, but only if the API says so, too."},
	{"mint_limit", PROFILE(mint_limit), WITHIN(count_or_auto, 1, 1000), "auto", NEEDED,
	 "How many token requests that may have made a token there may be in any 300 s for "
	 "one OAuth client, whatever their cause, also across restarts. auto: 15, or twice "
	 "what the latest token's lifetime needs for all profiles of the client where that "
	 "is more, at most 100. Callers' rejections may cause half of them, or one per "
	 "reject_cooldown where that is more, but never the last."},
	{"clock_probe", PROFILE(clock_probe), OF(yes_no), "yes", NEEDED,
	 "Measure the login server's clock with HEAD requests, and find out with them when one that "
	 "has been silent answers again."},
	{"clock_probe_url", PROFILE(clock_probe_url), OF(url), "", 0,
	 "The URL of these requests. Empty: / on the token endpoint's host."},
	{"fetch_timeout", PROFILE(fetch.timeout), WITHIN(duration, MS(100), MIN(2)), "10s", NEEDED,
	 "How long one exchange with the login server or the API may take. Of a host with several "
	 "addresses, one that does not answer gets half of it; the others get the rest."},
	{"fleet", PROFILE(fleet), OF(yes_no), "", 0,
	 "Whether the hosts of the fleet share this token. Empty: yes where fleet_store is set. "
	 "Without client_secret_file and client_secret_credential this host has the token when "
	 "another one has fetched it, and fetches none itself."},
};
/* clang-format on */

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
