#include "config_sections.h"
#include "config.h"
#include "config_checks.h"
#include "config_draft.h"
#include "config_fleet.h"
#include "config_url.h"
#include "login_attempt.h"
#include "regions.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

char *state_dir_default(const char *directories)
{
	/* systemd lists all StateDirectory= with colons; the first is the daemon's. */
	if (!directories || !*directories)
		directories = "/var/lib/gctokend";
	return strndup(directories, strcspn(directories, ":"));
}

static void check_state_dir(struct config_draft *d, struct draft_section *section, const char *path)
{
	const struct config_lookup *lookup = d->lookup;
	char problem[256] = "";
	bool fit = lookup->state_dir_fit(lookup->context, path, problem, sizeof(problem));

	if (!fit || *problem)
		draft_problem(d, fit ? CONFIG_WARNING : CONFIG_ERROR, section, "state_dir", "%s %s",
			path, problem);
}

/* The default paths are the service manager's to make. */
static void check_socket(
	struct config_draft *d, struct draft_section *section, const char *key, const char *path)
{
	const struct draft_setting *setting = draft_setting(section, key);

	if (setting->text && !setting->bad)
		check_file(d, section, key, CONFIG_FILE_SOCKET, path, (gid_t)-1);
}

int broker_section_finish(struct config_draft *d, struct broker_settings *broker)
{
	struct draft_section *section = &d->broker;
	int error = draft_fill(d, section, broker);

	if (error < 0)
		return error;
	if (!broker->state_dir) {
		broker->state_dir = state_dir_default(
			d->lookup->variable(d->lookup->context, "STATE_DIRECTORY"));
		if (!broker->state_dir)
			return -ENOMEM;
		if (*broker->state_dir != '/')
			draft_problem(d, CONFIG_ERROR, section, "state_dir",
				"the environment's STATE_DIRECTORY is not an absolute path");
	}
	if (broker->socket && broker->page_socket &&
		strcmp(broker->socket, broker->page_socket) == 0)
		draft_problem(d, CONFIG_ERROR, section, "page_socket",
			"the same path as socket; allowed: another one, or nothing");
	check_socket(d, section, "socket", broker->socket);
	check_socket(d, section, "page_socket", broker->page_socket);
	broker->admins.root_needs_rule = broker->root_needs_rule;
	broker->metrics.root_needs_rule = broker->root_needs_rule;
	if (broker->admins.lists[ACCESS_USERS].everybody)
		draft_problem(d, CONFIG_WARNING, section, "admin_users",
			"with * whoever can connect may refresh and revoke every profile's tokens; "
			"name those who should");
	check_only_one(d, section, "state_key_file", "state_key_credential");
	check_file(d, section, "state_key_file", CONFIG_FILE_KEY, broker->state_key_file,
		broker->socket_gid);
	check_credential(d, section, "state_key_credential", CONFIG_FILE_KEY_CREDENTIAL,
		broker->state_key_credential);
	check_state_dir(d, section, broker->state_dir);
	fleet_keys_finish(d, section, broker);
	return 0;
}

static const char *setting_text(struct draft_section *section, const char *key)
{
	const struct draft_setting *setting = draft_setting(section, key);

	return setting->text && *setting->text ? setting->text : NULL;
}

static char *text_lower(const char *text)
{
	char *copy = strdup(text);

	for (char *c = copy; c && *c; c++) {
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	}
	return copy;
}

/* The domain, NULL if the profile names none. *ret_region: what replies show. Both malloc'd. */
static int read_environment(
	struct draft_section *section, char **ret_environment, char **ret_region)
{
	const char *region_text = setting_text(section, "region");
	const char *environment_text = setting_text(section, "environment");
	const struct region *region = region_text ? region_find(region_text) : NULL;
	char *environment = NULL, *shown;

	if (!region && environment_text)
		region = region_find_environment(environment_text);
	if (region)
		environment = strdup(region->environment);
	else if (environment_text)
		environment = text_lower(environment_text);
	shown = strdup(region ? region->name : environment ? environment : "");
	if (!shown || (!environment && (region || environment_text))) {
		free(environment);
		free(shown);
		return -ENOMEM;
	}
	*ret_environment = environment;
	*ret_region = shown;
	return 0;
}

/* Where the profile does not say: `format` with the domain, "" where that is not known either. */
static int default_url(char **url, const char *host, const char *environment, const char *path)
{
	if (*url) {
		url_normalise(*url);
		return 0;
	}
	if (!environment)
		*url = strdup("");
	else if (asprintf(url, "https://%s.%s%s", host, environment, path) < 0)
		*url = NULL;
	return *url ? 0 : -ENOMEM;
}

static int fill_urls(struct draft_section *section, struct profile_settings *profile)
{
	char *environment = NULL;
	int error = read_environment(section, &environment, &profile->region);

	if (error < 0)
		return error;
	error = default_url(&profile->token_url, "login", environment, "/oauth/token");
	if (error == 0)
		error = default_url(
			&profile->authorize_url, "login", environment, "/oauth/authorize");
	if (error == 0)
		error = default_url(&profile->api_url, "api", environment, "");
	free(environment);
	if (error < 0)
		return error;

	for (size_t n = strlen(profile->api_url); n > 0 && profile->api_url[n - 1] == '/'; n--)
		profile->api_url[n - 1] = '\0';
	if (profile->clock_probe_url) {
		url_normalise(profile->clock_probe_url);
	} else if (asprintf(&profile->clock_probe_url, "%.*s/",
			   (int)url_origin_length(profile->token_url), profile->token_url) < 0) {
		profile->clock_probe_url = NULL;
		return -ENOMEM;
	}
	return 0;
}

/* One of the two is needed. Whichever is there but bad has been reported. */
static void need_one(struct config_draft *d, struct draft_section *section, const char *one,
	const char *other, const char *advice)
{
	if (!draft_has(section, one) && !draft_has(section, other) &&
		!draft_setting(section, one)->bad && !draft_setting(section, other)->bad)
		draft_problem(d, CONFIG_ERROR, section, one, "profile %s has neither %s nor %s; %s",
			section->name, one, other, advice);
}

/* What only logins of people need. */
static void check_login(
	struct config_draft *d, struct draft_section *section, const struct profile_settings *p)
{
	const char *clash = p->authorize_url ? login_url_clash(p->authorize_url) : NULL;

	if (!draft_has(section, "redirect_uri") && !draft_setting(section, "redirect_uri")->bad)
		draft_problem(d, CONFIG_ERROR, section, "redirect_uri",
			"profile %s has no redirect_uri, and grant = authorization_code needs one; "
			"for instance, registered with the client just so: redirect_uri = "
			"http://127.0.0.1:8484/callback",
			section->name);
	if (!draft_has(section, "region") && !draft_has(section, "environment") &&
		!draft_has(section, "authorize_url") &&
		!draft_setting(section, "authorize_url")->bad)
		draft_problem(d, CONFIG_ERROR, section, "authorize_url",
			"profile %s has a token_url but neither region, environment nor "
			"authorize_url; grant = authorization_code needs to know where people log "
			"in",
			section->name);
	if (clash)
		draft_problem(d, CONFIG_ERROR, section, "authorize_url",
			"its query has %s, which the daemon sets itself; leave it out", clash);
}

static void check_proxy(
	struct config_draft *d, struct draft_section *section, const struct profile_settings *p)
{
	check_needs(d, section, "proxy_user", "proxy");
	check_needs(d, section, "proxy_user", "proxy_password_file");
	check_needs(d, section, "proxy_password_file", "proxy_user");
	check_needs(d, section, "proxy_ca_file", "proxy");
	if (p->fetch.proxy_ca_file && p->fetch.proxy &&
		strncasecmp(p->fetch.proxy, "https:", strlen("https:")) != 0)
		draft_problem(d, CONFIG_ERROR, section, "proxy_ca_file",
			"the proxy is spoken to without TLS; ca_file is for what is behind it");
}

int profile_section_finish(struct config_draft *d, struct draft_section *section,
	struct profile_settings *profile, const struct broker_settings *broker)
{
	int error = draft_fill(d, section, profile);

	if (error < 0)
		return error;
	profile->socket_gid = broker->socket_gid;
	profile->allow.root_needs_rule = broker->root_needs_rule;
	profile->login.root_needs_rule = broker->root_needs_rule;

	check_only_one(d, section, "region", "environment");
	if (!draft_has(section, "region") && !draft_has(section, "environment") &&
		!draft_has(section, "token_url"))
		draft_problem(d, CONFIG_ERROR, section, "region",
			"profile %s has neither region nor environment nor token_url; say where "
			"its login server is, for instance: region = us-west-2",
			section->name);
	check_only_one(d, section, "client_id", "client_id_file");
	need_one(d, section, "client_id", "client_id_file", "one of them is needed");
	check_only_one(d, section, "client_secret_file", "client_secret_credential");
	fleet_profile_finish(d, section, profile);
	if (profile->grant == GRANT_AUTHORIZATION_CODE)
		check_login(d, section, profile);
	else if (!profile->fleet)
		need_one(d, section, "client_secret_file", "client_secret_credential",
			"one of them is needed: the secret in a file of mode 0600, or from "
			"systemd");

	check_proxy(d, section, profile);

	/* A unit alone proves little: any user may start one of any name. */
	if (access_needs_unit(&profile->allow) && !draft_has(section, "allow_users") &&
		!draft_has(section, "allow_groups"))
		draft_problem(d, CONFIG_ERROR, section, "allow_units",
			"it only narrows allow_users and allow_groups, and neither is set; if the "
			"unit alone is to decide, add: allow_users = *");

	check_file(d, section, "client_id_file", CONFIG_FILE_ID, profile->client_id_file,
		broker->socket_gid);
	check_file(
		d, section, "ca_file", CONFIG_FILE_CA, profile->fetch.ca_file, broker->socket_gid);
	check_file(d, section, "proxy_ca_file", CONFIG_FILE_CA, profile->fetch.proxy_ca_file,
		broker->socket_gid);
	check_file(d, section, "proxy_password_file", CONFIG_FILE_SECRET,
		profile->proxy_password_file, broker->socket_gid);
	check_file(d, section, "client_secret_file", CONFIG_FILE_SECRET,
		profile->client_secret_file, broker->socket_gid);
	check_credential(d, section, "client_secret_credential", CONFIG_FILE_CREDENTIAL,
		profile->client_secret_credential);
	return fill_urls(section, profile);
}

static bool same_client(const struct profile_settings *a, const struct profile_settings *b)
{
	if (a->grant != b->grant || !*a->token_url || strcmp(a->token_url, b->token_url) != 0)
		return false;
	if (a->client_id && b->client_id)
		return strcmp(a->client_id, b->client_id) == 0;
	return a->client_id_file && b->client_id_file &&
	       strcmp(a->client_id_file, b->client_id_file) == 0;
}

void profile_sections_compare(struct config_draft *d, const struct config *config)
{
	for (size_t i = 1; i < config->profile_count; i++) {
		for (size_t j = 0; j < i; j++) {
			if (!same_client(&config->profiles[i], &config->profiles[j]))
				continue;
			if (config->profiles[i].grant == GRANT_AUTHORIZATION_CODE) {
				draft_problem(d, CONFIG_ERROR, d->profiles[i],
					config->profiles[i].client_id ? "client_id"
								      : "client_id_file",
					"profile %s is the same client at the same login server as "
					"profile %s, and one client has one login; give each a "
					"client of its own, or let both use one profile",
					config->profiles[i].name, config->profiles[j].name);
				break;
			}
			draft_problem(d, CONFIG_NOTE, d->profiles[i],
				config->profiles[i].client_id ? "client_id" : "client_id_file",
				"profile %s is the same client at the same login server as profile "
				"%s: each has a token of its own, and with it a limit of its own "
				"at "
				"the API",
				config->profiles[i].name, config->profiles[j].name);
			break;
		}
	}
}
