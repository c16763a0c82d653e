#include "check_fleet.h"

#include "check_fleet_store.h"
#include "check_fleet_tokens.h"
#include "fleet_findings.h"
#include "fleet_trial.h"

#include "broker/fleet_link.h"
#include "core/config.h"
#include "core/config_problems.h"
#include "core/fleet_url.h"
#include "host/clock.h"
#include "host/config_files.h"
#include "host/fleet_secrets.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define AS_ROOT "Run it as root to check that: sudo gctoken doctor"
#define DAY_S 86400
#define CERTIFICATE_SHORT_S (7 * DAY_S)

struct check {
	struct findings findings;
	const struct config *config;
	const struct fleet_config *fleet;
	struct fleet_url url;
	struct fleet_secrets secrets;
	struct store_settings settings;
	bool as_root;
};

/* Parts of the store's own words on why it cannot be reached, and what to do. */
static const struct {
	const char *words, *todo;
} advice[] = {
	{"its name ",
		"Is the name in fleet_store right, and can this machine's name server resolve "
		"it? (getent hosts NAME)"},
	{"it cannot be connected to",
		"Does the server run, and does it listen there? Does a firewall let this machine "
		"connect? A Unix socket has to be one that the daemon's user may open"},
	{"its certificate is not for",
		"fleet_store has to have the name that the certificate is for (or the certificate "
		"that name; with Sentinels, sentinel resolve-hostnames and announce-hostnames)"},
	{"its certificate is not trusted",
		"fleet_ca_file has to be the CA that signed it. If it has expired, its operator "
		"has to replace it"},
	{"certificate required", "The server wants a certificate of this host: fleet_cert_file and "
				 "fleet_cert_key_file"},
	{"it is not told the password",
		"Have the store's socket in a folder of its user's, which only they can change, as "
		"/run/redis is; in /tmp anybody could be in its place"},
	{"it hung up before it answered",
		"If the server wants TLS at that port, fleet_store has to say rediss://"},
	{"it does not speak TLS", "rediss:// is for a port with TLS (tls-port of the server)"},
	{"TLS ", "Does the server speak TLS 1.2 or later at that port?"},
	{"it closed the connection",
		"If the server wants TLS at that port, fleet_store has to say rediss://"},
	{"the connection was lost",
		"If the server wants TLS at that port, fleet_store has to say rediss://"},
	{"it refuses the user or the password",
		"fleet_user and fleet_password_file (or its credential) have to be those of a user "
		"of the store: ACL GETUSER NAME there shows whether it is on"},
	{"it wants a password",
		"Set fleet_password_file, or fleet_password_credential, and fleet_user"},
	{"(NOPERM)",
		"Give the user the rights that docs/fleet.md has, on all servers of the store"},
	{"it is a replica",
		"fleet_store has to name the primary. Where that changes, name the Sentinels: "
		"rediss+sentinel://HOST,HOST,HOST/MASTER"},
	{"it knows no primary by the name",
		"The name at the end of fleet_store has to be the one that sentinel monitor has in "
		"the Sentinels' configuration"},
	{"(MOVED)", "Use a primary with replicas, and Sentinels; not a Cluster"},
};

static const char *advice_for(const char *why)
{
	for (size_t i = 0; i < sizeof(advice) / sizeof(*advice); i++)
		if (strstr(why, advice[i].words))
			return advice[i].todo;
	return "Its log may say more. The daemon tries again by itself";
}

/* False: nothing can be asked without. */
static bool look_at_secrets(struct check *c)
{
	const struct fleet_config *f = c->fleet;
	bool of_service = f->key_credential || f->password_credential;
	char problem[512];
	int r;

	if (of_service && !getenv("CREDENTIALS_DIRECTORY")) {
		findings_say(&c->findings, FOUND_UNKNOWN,
			"Start gctokend, then run this as root: only then are there its "
			"credentials",
			"its key or password is a systemd credential, which only the running "
			"service has");
		return false;
	}
	r = fleet_secrets_load(
		f, c->config->broker.socket_gid, &c->secrets, problem, sizeof(problem));
	if (!r) {
		c->settings.password = c->secrets.password;
		return true;
	}
	if (r == -EACCES && !c->as_root)
		findings_say(&c->findings, FOUND_UNKNOWN, AS_ROOT, "%s", problem);
	else
		findings_say(&c->findings, FOUND_WRONG,
			"All hosts of the fleet need the same key; docs/fleet.md has the steps",
			"%s", problem);
	return false;
}

/* Each by itself: the daemon asks the next where one does not answer, and nobody would know of it.
 * The first that knows the primary counts, as for the daemon. */
static bool look_at_sentinels(
	struct check *c, struct fleet_trial *t, struct fleet_trial_primary *ret)
{
	struct fleet_trial_primary primary;
	char why[FLEET_TRIAL_WHY_MAX];
	bool found = false;

	for (size_t i = 0; i < c->settings.host_count; i++) {
		const struct store_host *h = &c->settings.hosts[i];

		if (fleet_trial_sentinel(t, i, &primary, why)) {
			findings_say(&c->findings, FOUND_WRONG, advice_for(why), "%s", why);
			continue;
		}
		if (found && (strcmp(primary.name, ret->name) != 0 || primary.port != ret->port)) {
			findings_say(&c->findings, FOUND_WRONG,
				"During a failover that is so for a moment. If it stays, the "
				"Sentinels do not watch the same servers",
				"Sentinel %s says that the primary is %s:%u, another one %s:%u",
				h->name, primary.name, primary.port, ret->name, ret->port);
			continue;
		}
		findings_say(&c->findings, FOUND_WELL, NULL,
			"Sentinel %s says that the primary is %s:%u", h->name, primary.name,
			primary.port);
		*ret = primary;
		found = true;
	}
	return found;
}

static void look_at_certificate(struct check *c, struct fleet_trial *t)
{
	int64_t end = fleet_trial_certificate_end(t), left;
	struct clock_reading now;

	if (!end)
		return;
	clock_read(&now);
	left = end - now.wall.ns / NS_PER_S;
	findings_say(&c->findings, left < CERTIFICATE_SHORT_S ? FOUND_WRONG : FOUND_WELL,
		left < CERTIFICATE_SHORT_S ? "Its operator has to replace it" : NULL,
		"the store's certificate is trusted, and good for %lld days",
		(long long)(left / DAY_S));
}

static void look_at_store(struct check *c, struct fleet_trial *t)
{
	struct fleet_trial_primary primary;
	bool by_sentinel = c->settings.sentinel_name;
	char why[FLEET_TRIAL_WHY_MAX];

	if (by_sentinel && !look_at_sentinels(c, t, &primary))
		return;
	if (fleet_trial_connect(t, by_sentinel ? &primary : NULL, why)) {
		findings_say(&c->findings, FOUND_WRONG, advice_for(why), "%s", why);
		return;
	}
	findings_say(&c->findings, FOUND_WELL, NULL,
		"the store is reached%s%s, knows this host's user, and is a primary",
		by_sentinel ? ": " : "", by_sentinel ? primary.name : "");
	look_at_certificate(c, t);
	if (check_fleet_store(&c->findings, t, c->config))
		check_fleet_tokens(&c->findings, t, c->config, &c->secrets);
}

static void look(struct check *c)
{
	struct fleet_trial *trial;
	char why[FLEET_TRIAL_WHY_MAX] = "out of memory";

	/* a configuration that is valid has one that can be read */
	if (fleet_url_read(c->fleet->store, &c->url))
		return;
	fleet_link_settings(c->fleet, &c->url, &c->settings);
	if (!look_at_secrets(c))
		return;
	if (fleet_trial_new(&trial, &c->settings, why)) {
		findings_say(
			&c->findings, FOUND_WRONG, "It has to be a file in PEM format", "%s", why);
	} else {
		look_at_store(c, trial);
		fleet_trial_free(trial);
	}
	fleet_secrets_fini(&c->secrets);
}

int check_fleet(const char *path)
{
	struct config_problems problems = CONFIG_PROBLEMS_NONE;
	struct check c = {.as_root = geteuid() == 0};
	struct config *config = NULL;
	int status = EX_CONFIG;
	char reader[128];

	if (!config_become_reader(path, reader, sizeof(reader)) &&
		!config_load(path, CONFIG_FOR_CHECK, NULL, &config, &problems)) {
		c.config = config;
		c.fleet = &config->broker.fleet;
		findings_begin(&c.findings);
		if (c.fleet->store)
			look(&c);
		findings_end(&c.findings);
		status = !buffer_failed(&c.findings.json) &&
					 fwrite(c.findings.json.data, 1, c.findings.json.length,
						 stdout) == c.findings.json.length
				 ? 0
				 : EX_OSERR;
		buffer_fini(&c.findings.json);
	}
	config_problems_fini(&problems);
	config_free(config);
	return status;
}
