#include "config_fleet.h"

#include "config.h"
#include "config_checks.h"
#include "config_draft.h"
#include "config_words.h"
#include "fleet_url.h"

#include <string.h>

#define PREFIX "fleet_"

/* It is there, if only with a mistake that has been reported. */
static bool has_store(struct config_draft *d)
{
	return draft_has(&d->broker, "fleet_store") ||
	       draft_setting(&d->broker, "fleet_store")->bad;
}

/* Who sets what has no meaning may believe in a fleet that is none. */
static void need_store(struct config_draft *d, struct draft_section *section)
{
	size_t count;
	const struct config_key *keys = config_keys(&count);

	for (size_t i = 0; i < count; i++) {
		const char *text = section->settings[i].text;

		if (keys[i].section != CONFIG_SECTION_BROKER || !text || !*text ||
			strncmp(keys[i].name, PREFIX, strlen(PREFIX)) != 0 ||
			strcmp(text, keys[i].default_text) == 0)
			continue;
		draft_problem(
			d, CONFIG_ERROR, section, keys[i].name, "it needs fleet_store as well");
	}
}

static void check_tls(struct config_draft *d, struct draft_section *section,
	const struct fleet_config *fleet, const struct fleet_url *url)
{
	static const char *const of_tls[] = {
		"fleet_ca_file", "fleet_cert_file", "fleet_cert_key_file"};

	if (url->tls)
		return;
	for (size_t i = 0; i < sizeof(of_tls) / sizeof(of_tls[0]); i++)
		if (draft_has(section, of_tls[i]))
			draft_problem(d, CONFIG_ERROR, section, of_tls[i],
				"the store is spoken to without TLS; use rediss://, or leave it "
				"out");
	if (url->local && !*url->socket && !fleet->plain &&
		(draft_has(section, "fleet_password_file") ||
			draft_has(section, "fleet_password_credential")))
		draft_problem(d, CONFIG_WARNING, section, "fleet_store",
			"any user of this host can have that port while the store is away, and is "
			"told its password then; use unix:/PATH or rediss://, or accept it with: "
			"fleet_plain = yes");
	if (url->local)
		return;
	if (!fleet->plain)
		draft_problem(d, CONFIG_ERROR, section, "fleet_store",
			"it is, or Sentinels may name, another host without TLS; use rediss://, or "
			"allow it with: fleet_plain = yes");
	else
		draft_problem(d, CONFIG_WARNING, section, "fleet_plain",
			"the store is spoken to without TLS: whoever is on the way reads its "
			"password, and can stop the fleet");
}

static void check_old_keys(struct config_draft *d, struct draft_section *section,
	const struct fleet_config *fleet, gid_t socket_gid)
{
	char path[CONFIG_NAME_MAX + 1];
	const char *at = fleet->old_key_files;

	while (at && config_list_next(&at, path, sizeof(path))) {
		check_file(d, section, "fleet_old_key_files", CONFIG_FILE_KEY, path, socket_gid);
		if (fleet->key_file && strcmp(path, fleet->key_file) == 0)
			draft_problem(d, CONFIG_WARNING, section, "fleet_old_key_files",
				"%s is fleet_key_file, too", path);
	}
}

void fleet_keys_finish(
	struct config_draft *d, struct draft_section *section, const struct broker_settings *broker)
{
	const struct fleet_config *fleet = &broker->fleet;
	const gid_t socket_gid = broker->socket_gid;
	struct fleet_url url;

	if (!has_store(d)) {
		need_store(d, section);
		return;
	}
	if (fleet->store && !fleet_url_read(fleet->store, &url))
		check_tls(d, section, fleet, &url);
	check_only_one(d, section, "fleet_key_file", "fleet_key_credential");
	check_only_one(d, section, "fleet_password_file", "fleet_password_credential");
	check_needs(d, section, "fleet_cert_file", "fleet_cert_key_file");
	check_needs(d, section, "fleet_cert_key_file", "fleet_cert_file");
	if (!draft_has(section, "fleet_key_file") && !draft_has(section, "fleet_key_credential") &&
		!draft_setting(section, "fleet_key_file")->bad &&
		!draft_setting(section, "fleet_key_credential")->bad)
		draft_problem(d, CONFIG_ERROR, section, "fleet_key_file",
			"there is neither fleet_key_file nor fleet_key_credential; one of them is "
			"needed, with the same key on all hosts: openssl rand -hex 32");
	if (draft_has(section, "fleet_user") && !draft_has(section, "fleet_password_credential"))
		check_needs(d, section, "fleet_user", "fleet_password_file");

	check_file(d, section, "fleet_key_file", CONFIG_FILE_KEY, fleet->key_file, socket_gid);
	check_credential(d, section, "fleet_key_credential", CONFIG_FILE_KEY_CREDENTIAL,
		fleet->key_credential);
	check_old_keys(d, section, fleet, socket_gid);
	check_file(d, section, "fleet_password_file", CONFIG_FILE_SECRET, fleet->password_file,
		socket_gid);
	check_credential(d, section, "fleet_password_credential", CONFIG_FILE_CREDENTIAL,
		fleet->password_credential);
	check_file(d, section, "fleet_ca_file", CONFIG_FILE_CA, fleet->ca_file, socket_gid);
	check_file(d, section, "fleet_cert_file", CONFIG_FILE_CA, fleet->cert_file, socket_gid);
	check_file(d, section, "fleet_cert_key_file", CONFIG_FILE_TLS_KEY, fleet->cert_key_file,
		socket_gid);
}

void fleet_profile_finish(
	struct config_draft *d, struct draft_section *section, struct profile_settings *profile)
{
	const bool said = draft_has(section, "fleet");

	if (draft_setting(section, "fleet")->bad)
		return;
	if (!has_store(d)) {
		if (profile->fleet)
			draft_problem(d, CONFIG_ERROR, section, "fleet",
				"there is no fleet_store in [broker]");
		return;
	}
	if (!said)
		profile->fleet = true;
	if (profile->fleet && profile->grant == GRANT_AUTHORIZATION_CODE)
		draft_problem(d, CONFIG_ERROR, section, "fleet",
			"profile %s is one where people log in, and a login belongs to one host: "
			"its refresh token must not be in a store that may forget it; add: fleet = "
			"no",
			section->name);
}
