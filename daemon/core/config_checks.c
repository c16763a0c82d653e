#include "config_checks.h"

#include <stdio.h>
#include <stdlib.h>

void check_only_one(
	struct config_draft *d, struct draft_section *section, const char *one, const char *other)
{
	if (draft_has(section, one) && draft_has(section, other))
		draft_problem(d, CONFIG_ERROR, section, other,
			"%s is set too; only one of the two may be", one);
}

void check_file(struct config_draft *d, struct draft_section *section, const char *key,
	enum config_file what, const char *path, gid_t socket_gid)
{
	const struct config_lookup *lookup = d->lookup;
	char problem[256] = "";

	if (path && !lookup->file_fit(
			    lookup->context, what, path, socket_gid, problem, sizeof(problem)))
		draft_problem(d, CONFIG_ERROR, section, key, "%s %s", path, problem);
	else if (*problem)
		draft_problem(d, CONFIG_WARNING, section, key, "%s %s", path, problem);
}

void check_credential(struct config_draft *d, struct draft_section *section, const char *key,
	enum config_file what, const char *name)
{
	const struct config_lookup *lookup = d->lookup;
	const char *directory = lookup->variable(lookup->context, "CREDENTIALS_DIRECTORY");
	char problem[256] = "";
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
	if (!lookup->file_fit(lookup->context, what, path, (gid_t)-1, problem, sizeof(problem)))
		draft_problem(d, CONFIG_ERROR, section, key,
			"%s %s; the unit needs LoadCredential=%s:PATH", path, problem, name);
	else if (*problem)
		draft_problem(d, CONFIG_WARNING, section, key, "%s %s", path, problem);
	free(path);
}

void check_needs(
	struct config_draft *d, struct draft_section *section, const char *key, const char *other)
{
	if (draft_has(section, key) && !draft_has(section, other) &&
		!draft_setting(section, other)->bad)
		draft_problem(d, CONFIG_ERROR, section, key, "it needs %s as well", other);
}
