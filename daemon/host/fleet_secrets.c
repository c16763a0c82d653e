#include "fleet_secrets.h"

#include "core/config_words.h"
#include "core/sealed_state.h"
#include "core/secret.h"
#include "credential.h"
#include "secret_reader.h"
#include "state_key.h"

#include <errno.h>
#include <stdio.h>

#define KEYS_SIZE ((1 + FLEET_OLD_KEYS_MAX) * FLEET_KEY_LENGTH)
_Static_assert(FLEET_KEY_LENGTH == SEALED_KEY_LENGTH, "both are read alike");

static int read_keys(
	const struct fleet_config *fleet, struct secret_source s, struct fleet_secrets *secrets)
{
	char path[CONFIG_NAME_MAX + 1];
	const char *at = fleet->old_key_files;
	int error;

	s.credential = fleet->key_credential;
	s.path = fleet->key_file;
	s.key = s.credential ? "fleet_key_credential" : "fleet_key_file";
	error = state_key_read(&s, secrets->keys[secrets->key_count++]);
	s = (struct secret_source){.key = "fleet_old_key_files",
		.path = path,
		.socket_gid = s.socket_gid,
		.problem = s.problem,
		.problem_size = s.problem_size};
	while (!error && at && config_list_next(&at, path, sizeof(path)))
		error = state_key_read(&s, secrets->keys[secrets->key_count++]);
	return error;
}

static int read_password(
	const struct fleet_config *fleet, struct secret_source s, struct fleet_secrets *secrets)
{
	s.credential = fleet->password_credential;
	s.path = fleet->password_file;
	s.key = s.credential ? "fleet_password_credential" : "fleet_password_file";
	return s.credential || s.path ? credential_read(&s, &secrets->password) : 0;
}

int fleet_secrets_load(const struct fleet_config *fleet, gid_t socket_gid,
	struct fleet_secrets *ret, char *problem, size_t problem_size)
{
	const struct secret_source s = {
		.socket_gid = socket_gid,
		.problem = problem,
		.problem_size = problem_size,
	};
	struct fleet_secrets secrets = {.keys = secret_alloc(KEYS_SIZE)};
	int error;

	if (!secrets.keys) {
		snprintf(problem, problem_size, "the fleet's keys: out of memory");
		return -ENOMEM;
	}
	error = read_keys(fleet, s, &secrets);
	if (!error)
		error = read_password(fleet, s, &secrets);
	if (error) {
		fleet_secrets_fini(&secrets);
		return error;
	}
	*ret = secrets;
	return 0;
}

void fleet_secrets_fini(struct fleet_secrets *s)
{
	secret_free(s->keys, KEYS_SIZE);
	secret_text_free(s->password);
	*s = FLEET_SECRETS_NONE;
}
