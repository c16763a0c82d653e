#include "config.h"
#include "config_keys.h"
#include <stdlib.h>
#include <string.h>

static void rules_fini(struct access_rules *rules)
{
	for (size_t i = 0; i < ACCESS_LISTS; i++)
		id_list_fini(&rules->lists[i]);
}

static void profile_fini(struct profile_settings *p)
{
	free(p->name);
	free(p->region);
	free(p->token_url);
	free(p->authorize_url);
	free(p->api_url);
	free(p->client_id);
	free(p->client_id_file);
	free(p->client_secret_file);
	free(p->client_secret_credential);
	free(p->fetch.ca_file);
	free(p->fetch.proxy);
	free(p->scope);
	free(p->redirect_uri);
	free(p->extra_params);
	rules_fini(&p->allow);
	rules_fini(&p->login);
	free(p->clock_probe_url);
}

void config_free(struct config *c)
{
	if (!c)
		return;
	free(c->broker.socket);
	free(c->broker.page_socket);
	rules_fini(&c->broker.admins);
	rules_fini(&c->broker.metrics);
	free(c->broker.state_dir);
	free(c->broker.state_key_file);
	free(c->broker.state_key_credential);
	for (size_t i = 0; i < c->profile_count; i++)
		profile_fini(&c->profiles[i]);
	free(c->profiles);
	free(c);
}

const char *grant_name(enum grant grant)
{
	return grant == GRANT_AUTHORIZATION_CODE ? "authorization_code" : "client_credentials";
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

/* Of the types that keys which are not reloadable have. */
static bool same_value(enum config_type type, const void *a, const void *b)
{
	switch (type) {
	case CONFIG_MODE:
		return *(const mode_t *)a == *(const mode_t *)b;
	case CONFIG_GROUP:
		return *(const gid_t *)a == *(const gid_t *)b;
	default:
		return same_text(*(char *const *)a, *(char *const *)b);
	}
}

size_t config_restart_keys(
	const struct config *before, const struct config *after, const char **ret_names, size_t max)
{
	size_t count, found = 0;
	const struct config_key *keys = config_keys(&count);

	for (size_t i = 0; i < count; i++) {
		size_t at = keys[i].offset;

		if (keys[i].reloadable || keys[i].section != CONFIG_SECTION_BROKER ||
			same_value(keys[i].type, (const char *)&before->broker + at,
				(const char *)&after->broker + at))
			continue;
		if (found < max)
			ret_names[found] = keys[i].name;
		found++;
	}
	return found;
}
