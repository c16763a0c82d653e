#include "check_fleet_tokens.h"

#include "fleet_findings.h"
#include "fleet_trial.h"

#include "core/config.h"
#include "core/fleet_key.h"
#include "core/fleet_record.h"
#include "core/fleet_reply.h"
#include "core/secret.h"
#include "host/credential.h"
#include "host/fleet_secrets.h"
#include "store/redis_codec.h"
#include "store/redis_commands.h"

#include <stdlib.h>

#define US_PER_S 1000000

/* The answers to one READ. */
struct reading {
	struct fleet_element *fields;
	struct fleet_answer answer;
	bool read, refused;
	int64_t hosts; /* who hear of its token; 0: nobody said */
};

static void on_answer(void *context, size_t number, const struct fleet_element *e)
{
	struct reading *r = context;

	if (e->type == FLEET_ELEMENT_ERROR)
		r->refused = true;
	else if (number == 0)
		r->fields = redis_element_copy(e);
	else if (number == 1)
		r->read = r->fields && !fleet_reply_read(r->fields, e, &r->answer);
	else if (e->type == FLEET_ELEMENT_ARRAY && e->count == 2 &&
		 e->items[1].type == FLEET_ELEMENT_INTEGER)
		r->hosts = e->items[1].integer;
}

static void tell_record(struct findings *f, const char *profile, const struct fleet_stored *s,
	int64_t stamp_us, const struct fleet_record *opened, bool by_old_key)
{
	long long left = (s->left_us - (stamp_us - s->t0_us)) / US_PER_S;
	unsigned long long generation = s->generation;

	if (opened->stopped)
		findings_say(f, FOUND_WRONG,
			"An administrator of a host with a client secret brings it back: gctoken "
			"refresh --profile PROFILE",
			"profile %s: an administrator has stopped the token for the whole fleet",
			profile);
	else if (by_old_key)
		findings_say(f, FOUND_WELL, NULL,
			"profile %s: the store's token (number %llu, %lld s left) is sealed with "
			"one of fleet_old_key_files: that is still needed",
			profile, generation, left);
	else
		findings_say(f, FOUND_WELL, NULL,
			"profile %s: the store's token (number %llu, %lld s left) is sealed with "
			"this host's key",
			profile, generation, left);
}

static void look_at_record(struct findings *f, const char *profile,
	const struct fleet_subject *subject, const struct fleet_key *keys, size_t key_count,
	const struct fleet_answer *a)
{
	const struct fleet_stored *s = &a->record;
	struct fleet_record opened = FLEET_RECORD_NONE;
	enum sealed_verdict verdict = fleet_record_open(
		keys, 1, subject, s->generation, s->sealed, s->sealed_length, &opened);
	bool by_old_key = false;

	if (verdict == SEALED_OTHER_KEY && key_count > 1) {
		verdict = fleet_record_open(keys, key_count, subject, s->generation, s->sealed,
			s->sealed_length, &opened);
		by_old_key = true;
	}
	switch (verdict) {
	case SEALED_GOOD:
		tell_record(f, profile, s, a->stamp_us, &opened, by_old_key);
		fleet_record_fini(&opened);
		break;
	case SEALED_OTHER_KEY:
		findings_say(f, FOUND_WRONG,
			"All hosts need the same fleet_key_file. While it is changed, each needs "
			"the other key in fleet_old_key_files; then: systemctl reload gctokend",
			"profile %s: the store's token is sealed with a key that this host does "
			"not have",
			profile);
		break;
	case SEALED_NEWER:
		findings_say(f, FOUND_WRONG, "Update gctokend on this host",
			"profile %s: the store's token was sealed by a later version of gctokend",
			profile);
		break;
	case SEALED_DAMAGED:
	case SEALED_FOREIGN:
		findings_say(f, FOUND_WRONG,
			"Somebody else writes to the store's keys below fleet_prefix: let nobody "
			"but the fleet's users do that",
			"profile %s: what the store has is no token of this profile", profile);
		break;
	case SEALED_NO_MEMORY:
		findings_say(f, FOUND_UNKNOWN, NULL, "profile %s: out of memory", profile);
		break;
	}
}

static void look_at_answer(struct findings *f, const struct profile_settings *p,
	const struct fleet_subject *subject, const struct fleet_key *keys, size_t key_count,
	const struct reading *r)
{
	if (r->refused) /* which right is missing was told */
		findings_say(f, FOUND_UNKNOWN, NULL,
			"profile %s: the store does not let its token be read", p->name);
	else if (!r->read)
		findings_say(f, FOUND_WRONG,
			"Is fleet_prefix used by something else? Let nobody but the fleet's users "
			"write there",
			"profile %s: what the store has is nothing that a fleet puts there",
			p->name);
	else if (!r->answer.record.generation)
		findings_say(f, FOUND_WELL, NULL, "profile %s: the store has no token of it yet",
			p->name);
	else
		look_at_record(f, p->name, subject, keys, key_count, &r->answer);
	if (r->hosts > 0)
		findings_say(f, FOUND_WELL, NULL,
			"profile %s: hosts that hear of its new tokens, this one included: %lld",
			p->name, (long long)r->hosts);
}

/* False: the connection is lost. */
static bool ask(struct findings *f, struct fleet_trial *t, const struct config *config,
	const struct profile_settings *p, const struct fleet_secrets *secrets,
	const struct fleet_subject *subject)
{
	const size_t size = secrets->key_count * sizeof(struct fleet_key);
	struct fleet_key *keys = secret_alloc(size);
	struct reading r = {.fields = NULL};
	char why[FLEET_TRIAL_WHY_MAX];
	struct redis_keys names = {0};
	struct buffer command;
	bool going = true;
	int error = keys ? 0 : -1;

	for (size_t i = 0; i < secrets->key_count && !error; i++)
		error = fleet_key_init(&keys[i], secrets->keys[i], subject);
	if (error) {
		findings_say(f, FOUND_UNKNOWN, NULL, "profile %s: out of memory", p->name);
	} else {
		redis_keys_init(&names, config->broker.fleet.prefix, subject, 0);
		buffer_init(&command, NULL, 0);
		redis_write_read(&command, &names);
		going = !fleet_trial_ask(t, &command, REDIS_READ_ANSWERS, on_answer, &r, why);
		if (going)
			look_at_answer(f, p, subject, keys, secrets->key_count, &r);
		else
			findings_say(f, FOUND_WRONG, NULL, "%s", why);
	}
	free(r.fields);
	if (keys)
		secret_free(keys, size);
	return going;
}

void check_fleet_tokens(struct findings *f, struct fleet_trial *t, const struct config *config,
	const struct fleet_secrets *secrets)
{
	for (size_t i = 0; i < config->profile_count; i++) {
		const struct profile_settings *p = &config->profiles[i];
		struct fleet_subject subject;
		struct credential credential;
		char problem[512];
		bool going;

		if (!p->fleet)
			continue;
		if (credential_load(p, &credential, problem, sizeof(problem))) {
			findings_say(f, FOUND_UNKNOWN, NULL, "%s", problem);
			continue;
		}
		going = !fleet_subject_init(&subject, p->token_url, credential.client_id,
				grant_name(p->grant), p->scope, p->extra_params) &&
			ask(f, t, config, p, secrets, &subject);
		credential_fini(&credential);
		if (!going)
			return;
	}
}
