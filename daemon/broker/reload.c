/* A reload first builds everything that is new; it swaps only when nothing can fail any more. */
#include "reload.h"

#include "broker.h"
#include "endpoint.h"
#include "fleet_link.h"
#include "fleet_member.h"
#include "fleet_news.h"
#include "login_key.h"
#include "names.h"
#include "oauth_client.h"
#include "profile.h"
#include "profile_set.h"
#include "profile_type.h"
#include "service.h"
#include "sockets.h"
#include "waiter.h"

#include "front/peer_unit.h"
#include "host/config_files.h"
#include "host/log.h"
#include "host/name_table.h"
#include "upstream/fetch.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A reload waits that long for the system's name service, serving meanwhile. */
#define NAMES_PATIENCE_S 30

/* What a profile of the new configuration will be. */
struct adoption {
	struct credential credential;
	struct profile *kept;      /* one that goes on */
	struct profile *made;      /* or a new one */
	struct endpoint *endpoint; /* of the kept one */
};

/* The same client of the same server under the same name: its token is still good. */
static bool goes_on(const struct profile *p, const struct profile_settings *s,
	const struct credential *credential)
{
	return !strcmp(p->client->token_url, s->token_url) && p->client->grant == s->grant &&
	       !strcmp(p->client->client_id, credential->client_id);
}

/* /proc says which unit a caller runs in, and a sandbox may hide it. A caller whose unit is unknown
 * is denied, and whoever wrote the rule should not have to guess why. */
static void warn_of_hidden_units(const struct config *config)
{
	if (!config_needs_units(config))
		return;
	if (!peer_unit_possible())
		log_line(LOG_WARNING,
			"allow_units: this kernel (before Linux 6.5) cannot say which process has "
			"connected, so no caller's unit is known and these rules grant nobody");
	else if (access("/proc/1/cgroup", R_OK))
		log_line(LOG_WARNING,
			"allow_units: the daemon cannot see other users' processes in /proc, so it "
			"does not know their units and these rules grant nobody. Install the "
			"drop-in allow-units.conf (ProtectProc=default)");
}

static int prepare(struct broker *b, const struct profile_settings *s, struct adoption *a,
	char *problem, size_t size)
{
	struct profile *p = profile_set_find(&b->profiles, s->name);
	int r = credential_load(s, &a->credential, problem, size);

	if (r)
		return r;
	if (p && goes_on(p, s, &a->credential)) {
		a->kept = p;
		r = endpoint_get(&a->endpoint, b, s);
	} else {
		r = profile_new(&a->made, b, s, &a->credential);
	}
	if (r)
		snprintf(problem, size, "profile %s: %s", s->name, strerror(-r));
	return r;
}

static const struct oauth_client *client_of(const struct adoption *a)
{
	return a->kept ? a->kept->client : a->made->client;
}

/* The configuration's own check compares names of files; the same id may be in two files. */
static int check_logins(
	const struct config *config, const struct adoption *a, char *problem, size_t size)
{
	for (size_t i = 0; i < config->profile_count; i++)
		for (size_t k = 0; k < i; k++)
			if (client_of(&a[i]) == client_of(&a[k]) && client_of(&a[i])->login) {
				snprintf(problem, size,
					"profiles %s and %s have the same client, and a client has "
					"one login: give each profile a client of its own",
					config->profiles[k].name, config->profiles[i].name);
				return -EINVAL;
			}
	return 0;
}

/* The key for logins is read with the first profile that has one, as the configuration of that
 * profile says: a restart with the same configuration has to find the same key. */
static int get_key(struct broker *b, const struct config *config, char *problem, size_t size)
{
	for (size_t i = 0; i < config->profile_count; i++)
		if (config->profiles[i].grant == GRANT_AUTHORIZATION_CODE)
			return login_key_get(b, &config->broker, problem, size);
	return 0;
}

/* Profiles that go on are taken out of `old`; those left there go away. */
static void take_over(struct profile_set *old, const struct config *config,
	struct adoption *adoptions, struct profile_set *ret)
{
	for (size_t i = 0; i < config->profile_count; i++) {
		struct adoption *a = &adoptions[i];

		if (a->kept) {
			profile_configure(
				a->kept, &config->profiles[i], &a->credential, a->endpoint);
			for (size_t k = 0; k < old->count; k++)
				if (old->items[k] == a->kept)
					old->items[k] = NULL;
			profile_set_add(ret, a->kept);
		} else {
			profile_set_add(ret, a->made);
			a->made = NULL; /* consumed */
		}
	}
	profile_set_sort(ret);
}

int broker_adopt(struct broker *b, struct config *config, char *problem, size_t problem_size)
{
	size_t count = config->profile_count;
	struct adoption *adoptions = calloc(count, sizeof(*adoptions));
	struct profile_set profiles = {0}, old;
	struct fleet_link *link = b->fleet;
	bool had_key = b->state_key;
	int r = 0;

	if (!adoptions || profile_set_init(&profiles, count)) {
		snprintf(problem, problem_size, "out of memory");
		r = -ENOMEM;
		goto out;
	}
	r = get_key(b, config, problem, problem_size);
	for (size_t i = 0; i < count && !r; i++)
		r = prepare(b, &config->profiles[i], &adoptions[i], problem, problem_size);
	if (!r)
		r = check_logins(config, adoptions, problem, problem_size);
	if (!r)
		r = fleet_link_get(&link, b, &config->broker, &fleet_hooks, problem, problem_size);
	if (r)
		goto out;

	take_over(&b->profiles, config, adoptions, &profiles);
	old = b->profiles;
	b->profiles = profiles;
	profiles = (struct profile_set){0}; /* consumed */
	for (size_t k = 0; k < old.count; k++)
		if (old.items[k]) {
			waiters_lose_profile(old.items[k],
				profile_set_find(&b->profiles, old.items[k]->settings->name));
			profile_free(old.items[k]);
		}
	profile_set_fini(&old);
	if (link != b->fleet) {
		fleet_members_unlink(b);
		fleet_link_free(b->fleet);
		b->fleet = link;
	}
	warn_of_hidden_units(config);
out:
	for (size_t i = 0; adoptions && i < count; i++) {
		credential_fini(&adoptions[i].credential);
		if (adoptions[i].made)
			profile_free(adoptions[i].made);
	}
	free(adoptions);
	profile_set_fini(&profiles);
	if (r && !had_key)
		login_key_forget(b);
	return r;
}

static void tell_refused(struct broker *b, const char *problem)
{
	b->reload_failed = true;
	snprintf(b->reload_problem, sizeof(b->reload_problem), "%s", problem);
	log_line(LOG_ERR, "reload refused; the previous configuration stays in use: %s", problem);
}

/* What a running daemon cannot change. */
static void warn_of_restart(const struct config *before, const struct config *after, bool had_key)
{
	const char *names[8];
	size_t count = config_restart_keys(before, after, names, sizeof(names) / sizeof(*names));

	for (size_t i = 0; i < count; i++)
		if (had_key || strncmp(names[i], "state_key_", strlen("state_key_")) != 0)
			log_line(LOG_WARNING, "%s has changed; that takes effect only at a restart",
				names[i]);
}

static void take_over_or_refuse(struct broker *b)
{
	struct config_problems problems = CONFIG_PROBLEMS_NONE;
	struct config *config = NULL, *old = b->config;
	char problem[512] = "out of memory";
	bool had_key = b->state_key;
	int r = config_load(b->config_path, CONFIG_FOR_RELOAD, b->names.table, &config, &problems);

	for (size_t i = 0; i < problems.count; i++) {
		bool error = problems.items[i].severity == CONFIG_ERROR;

		config_problem_text(&problems.items[i], problem, sizeof(problem));
		if (error && problems.errors) {
			tell_refused(b, problem);
			problems.errors = 0; /* the others are only logged */
		} else {
			log_line(config_severity_level(problems.items[i].severity), "%s", problem);
		}
	}
	if (r < 0)
		tell_refused(b, problem);
	config_problems_fini(&problems);
	if (r)
		return;
	if (broker_adopt(b, config, problem, sizeof(problem))) {
		tell_refused(b, problem);
		config_free(config);
		return;
	}
	fetcher_forget_ca(b->fetcher); /* ca_file may have been renewed in place */
	warn_of_restart(old, config, had_key);
	b->config = config;
	log_set_level(config->broker.log_level);
	sockets_set_limits(b);
	config_free(old);
	b->reload_failed = false;
	log_line(LOG_NOTICE, "configuration reloaded: %zu profile%s", b->profiles.count,
		b->profiles.count == 1 ? "" : "s");
}

static void finish(struct broker *b)
{
	b->reload_waits = false;
	evtimer_del(&b->reload_deadline);
	take_over_or_refuse(b);
	names_reloaded(b);
	turn_now(&b->turn);
}

/* Who is not known by now counts as one who cannot be looked up. */
static void waited_enough(int fd, short events, void *context)
{
	struct broker *b = context;

	(void)fd;
	(void)events;
	log_line(LOG_WARNING, "the system's name service takes longer than %d s", NAMES_PATIENCE_S);
	finish(b);
}

static void names_answered(void *context)
{
	struct broker *b = context;

	if (b->stopping)
		return;
	names_apply(b);
	if (!b->reload_waits || name_table_pending(b->names.table))
		return;
	/* The files may have come to name others meanwhile. */
	config_ask_for_names(b->config_path, CONFIG_FOR_RELOAD, b->names.table);
	if (!name_table_pending(b->names.table))
		finish(b);
}

void reload_init(struct broker *b)
{
	evtimer_assign(&b->reload_deadline, b->base, waited_enough, b);
	name_table_set_hook(b->names.table, names_answered, b);
}

void reload_fini(struct broker *b)
{
	if (event_initialized(&b->reload_deadline))
		evtimer_del(&b->reload_deadline);
	b->reload_waits = false;
}

void broker_reload(struct broker *b)
{
	const struct timeval patience = {.tv_sec = NAMES_PATIENCE_S};
	bool waits = b->reload_waits;

	service_reloading(b);
	/* Everybody, also those who are being asked for since before the signal. */
	name_table_refresh(b->names.table);
	config_ask_for_names(b->config_path, CONFIG_FOR_RELOAD, b->names.table);
	b->reload_waits = true;
	if (!name_table_pending(b->names.table) ||
		(!waits && evtimer_add(&b->reload_deadline, &patience)))
		finish(b);
}
