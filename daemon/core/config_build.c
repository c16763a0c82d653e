#include "config_draft.h"
#include "config_storage.h"
#include "config_value.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct draft_setting *draft_setting(struct draft_section *section, const char *name)
{
	size_t count;
	const struct config_key *keys = config_keys(&count);

	return &section->settings[config_key_find(section->section, name) - keys];
}

bool draft_has(struct draft_section *section, const char *name)
{
	const struct draft_setting *setting = draft_setting(section, name);
	const char *text = setting->text;

	if (!text)
		text = config_key_find(section->section, name)->default_text;
	return *text != '\0';
}

static struct config_place place_of(const struct config_draft *d,
	const struct draft_section *section, const struct draft_setting *setting, const char *key)
{
	struct draft_place at = setting->text ? setting->place : section->first;

	return (struct config_place){at.file, d->files[at.file], at.line, key};
}

void draft_problem(struct config_draft *d, enum config_severity severity,
	struct draft_section *section, const char *key, const char *format, ...)
{
	const struct config_place place = place_of(d, section, draft_setting(section, key), key);
	va_list arguments;

	va_start(arguments, format);
	config_problems_add_list(&d->problems, severity, &place, format, arguments);
	va_end(arguments);
}

/* Settings were read as they came in; a default is good in any case. */
static int fill_one(struct config_draft *d, struct draft_section *section,
	const struct config_key *key, const struct draft_setting *setting, void *base,
	const struct config_lookup *lookup)
{
	const char *text = setting->text ? setting->text : key->default_text;
	const struct config_origin from = {
		lookup, &d->problems, place_of(d, section, setting, key->name)};
	union config_value value = {0};
	char problem[512];

	if (*text)
		config_value_read(key, text, &value, problem, sizeof(problem));
	return config_member_store(key, &from, text, &value, base);
}

int draft_fill(struct config_draft *d, struct draft_section *section, void *base,
	const struct config_lookup *lookup)
{
	size_t count;
	const struct config_key *keys = config_keys(&count);

	for (size_t i = 0; i < count; i++) {
		const struct draft_setting *setting = &section->settings[i];
		int error;

		if (keys[i].section != section->section || setting->bad)
			continue;
		error = fill_one(d, section, &keys[i], setting, base, lookup);
		if (error < 0)
			return error;
	}
	return 0;
}

void draft_exclude(
	struct config_draft *d, struct draft_section *section, const char *one, const char *other)
{
	if (draft_has(section, one) && draft_has(section, other))
		draft_problem(d, CONFIG_ERROR, section, other,
			"%s is set too; only one of the two may be", one);
}

void draft_check_secret(struct config_draft *d, struct draft_section *section, const char *key,
	const char *path, gid_t socket_gid, const struct config_lookup *lookup)
{
	char problem[256];

	if (path &&
		!lookup->secret_file(lookup->context, path, socket_gid, problem, sizeof(problem)))
		draft_problem(d, CONFIG_ERROR, section, key, "%s %s", path, problem);
}

void draft_check_credential(struct config_draft *d, struct draft_section *section, const char *key,
	const char *name, const struct config_lookup *lookup)
{
	const char *directory = lookup->variable(lookup->context, "CREDENTIALS_DIRECTORY");
	char problem[256];
	char *path;

	if (!name)
		return;
	/* Someone who checks a file by hand has none of the service's credentials. The daemon
	 * itself is told when it reads them. */
	if (!directory || !*directory) {
		draft_problem(d, CONFIG_WARNING, section, key,
			"not checked, since CREDENTIALS_DIRECTORY is not set (systemd sets it for "
			"the service, with LoadCredential=%s:PATH in its unit)",
			name);
		return;
	}
	if (asprintf(&path, "%s/%s", directory, name) < 0) {
		d->problems.out_of_memory = true;
		return;
	}
	if (!lookup->readable_file(lookup->context, path, problem, sizeof(problem)))
		draft_problem(d, CONFIG_ERROR, section, key,
			"%s %s; the unit needs LoadCredential=%s:PATH", path, problem, name);
	free(path);
}

int draft_finish_broker(
	struct config_draft *d, struct broker_settings *broker, const struct config_lookup *lookup)
{
	struct draft_section *section = &d->broker;
	int error = draft_fill(d, section, broker, lookup);

	if (error < 0)
		return error;
	if (!broker->state_dir) {
		const char *directories = lookup->variable(lookup->context, "STATE_DIRECTORY");

		/* systemd lists all StateDirectory= with colons; the first is the daemon's. */
		if (!directories || !*directories)
			directories = "/var/lib/gctokend";
		if (*directories != '/')
			draft_problem(d, CONFIG_ERROR, section, "state_dir",
				"the environment's STATE_DIRECTORY is not an absolute path");
		broker->state_dir = strndup(directories, strcspn(directories, ":"));
		if (!broker->state_dir)
			return -ENOMEM;
	}
	if (broker->socket && broker->page_socket &&
		strcmp(broker->socket, broker->page_socket) == 0)
		draft_problem(d, CONFIG_ERROR, section, "page_socket",
			"the same path as socket; allowed: another one, or nothing");
	if (broker->admins.lists[ACCESS_USERS].everybody)
		draft_problem(d, CONFIG_WARNING, section, "admin_users",
			"with * whoever can connect may refresh and revoke every profile's tokens; "
			"name those who should");
	draft_exclude(d, section, "state_key_file", "state_key_credential");
	draft_check_secret(
		d, section, "state_key_file", broker->state_key_file, broker->socket_gid, lookup);
	draft_check_credential(
		d, section, "state_key_credential", broker->state_key_credential, lookup);
	return 0;
}
