#include "config_draft.h"
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

void draft_problem(struct config_draft *d, enum config_severity severity,
	struct draft_section *section, const char *key, const char *format, ...)
{
	const struct draft_setting *setting = draft_setting(section, key);
	struct draft_place place = setting->text ? setting->place : section->first;
	va_list arguments;
	char *message;

	va_start(arguments, format);
	if (vasprintf(&message, format, arguments) < 0)
		message = NULL;
	va_end(arguments);
	if (!message) {
		d->problems.out_of_memory = true;
		return;
	}
	config_problems_add(&d->problems, severity, place.file, d->files[place.file], place.line,
		key, "%s", message);
	free(message);
}

/* `what`: "user" or "group". */
static void report_unknown(struct config_draft *d, struct draft_section *section,
	const struct config_key *key, const char *what, const char *name, int error)
{
	char quoted[80];

	config_quote(quoted, sizeof(quoted), name);
	if (error == -ENOENT)
		draft_problem(d, CONFIG_ERROR, section, key->name,
			"there is no %s %s on this system%s", what, quoted,
			key->type == CONFIG_GROUP
				? "; create it, or leave the group alone with: socket_group ="
				: "; create it or take the name out");
	else
		draft_problem(d, CONFIG_ERROR, section, key->name,
			"the %s %s could not be looked up: %s", what, quoted, strerror(-error));
}

static int fill_list(struct config_draft *d, struct draft_section *section,
	const struct config_key *key, const char *text, struct id_list *list,
	const struct config_lookup *lookup)
{
	char name[CONFIG_NAME_MAX + 1];
	int error = 0;

	while (error == 0 && config_list_next(&text, name, sizeof(name))) {
		const char *what = key->type == CONFIG_GROUPS ? "group" : "user";
		uint32_t id = UINT32_MAX;
		int found;

		if (key->type == CONFIG_UNITS) {
			error = id_list_add(list, name, NULL);
			continue;
		}
		if (strcmp(name, "*") == 0) {
			list->everybody = true;
			if (strcmp(key->name, "admin_users") == 0)
				draft_problem(d, CONFIG_WARNING, section, key->name,
					"with * whoever can connect may refresh and revoke every "
					"profile's tokens; name those who should");
			continue;
		}
		found = key->type == CONFIG_GROUPS
				? lookup->gid_by_name(lookup->context, name, &id)
				: lookup->uid_by_name(lookup->context, name, &id);
		if (found < 0)
			report_unknown(d, section, key, what, name, found);
		else
			error = id_list_add(list, name, &id);
	}
	return error;
}

/* `text`: "" for none. The member stays as it was where nothing is set; `place` points at it. */
static int fill_one(struct config_draft *d, struct draft_section *section,
	const struct config_key *key, const char *text, void *place,
	const struct config_lookup *lookup)
{
	struct config_value value = {0};
	char problem[512];
	int error;

	if (key->type == CONFIG_GROUP)
		*(gid_t *)place = (gid_t)-1;
	if (!*text)
		return 0;
	if (!config_value_read(key, text, &value, problem, sizeof(problem))) {
		/* Settings were read as they came in: this can only be a default. */
		draft_problem(d, CONFIG_ERROR, section, key->name, "%s", problem);
		return 0;
	}
	switch (key->type) {
	case CONFIG_REGION:
	case CONFIG_ENVIRONMENT:
		return 0;
	case CONFIG_MODE:
		*(mode_t *)place = value.mode;
		return 0;
	case CONFIG_COUNT:
		*(uint32_t *)place = value.count;
		return 0;
	case CONFIG_DURATION:
	case CONFIG_DURATION_OR_AUTO:
		*(struct duration *)place = value.duration;
		return 0;
	case CONFIG_YES_NO:
		*(bool *)place = value.flag;
		return 0;
	case CONFIG_LOG_LEVEL:
		*(int *)place = value.log_level;
		return 0;
	case CONFIG_GRANT:
		*(enum grant *)place = value.grant;
		return 0;
	case CONFIG_GROUP:
		error = lookup->gid_by_name(lookup->context, text, place);
		if (error < 0)
			report_unknown(d, section, key, "group", text, error);
		return 0;
	case CONFIG_USERS:
	case CONFIG_GROUPS:
	case CONFIG_UNITS:
		return fill_list(d, section, key, text, place, lookup);
	case CONFIG_PATH:
	case CONFIG_SOCKET_PATH:
	case CONFIG_URL:
	case CONFIG_BASE_URL:
	case CONFIG_PROXY:
	case CONFIG_REDIRECT_URI:
	case CONFIG_CLIENT_ID:
	case CONFIG_CREDENTIAL:
	case CONFIG_SCOPE:
	case CONFIG_PARAMETERS:
		break;
	}
	*(char **)place = strdup(text);
	return *(char **)place ? 0 : -ENOMEM;
}

int draft_fill(struct config_draft *d, struct draft_section *section, void *base,
	const struct config_lookup *lookup)
{
	size_t count;
	const struct config_key *keys = config_keys(&count);

	for (size_t i = 0; i < count; i++) {
		const struct draft_setting *setting = &section->settings[i];
		const char *text = setting->text ? setting->text : keys[i].default_text;
		int error;

		if (keys[i].section != section->section || setting->bad)
			continue;
		error = fill_one(d, section, &keys[i], text, (char *)base + keys[i].offset, lookup);
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
	draft_exclude(d, section, "state_key_file", "state_key_credential");
	draft_check_secret(
		d, section, "state_key_file", broker->state_key_file, broker->socket_gid, lookup);
	draft_check_credential(
		d, section, "state_key_credential", broker->state_key_credential, lookup);
	return 0;
}
