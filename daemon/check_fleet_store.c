#include "check_fleet_store.h"

#include "check_fleet_rights.h"
#include "fleet_findings.h"
#include "fleet_trial.h"

#include "core/config.h"
#include "core/fleet_reply.h"
#include "host/clock.h"
#include "store/redis_codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSION_LEAST_MAJOR 6
#define VERSION_LEAST_MINOR 2
#define PINGS 5
#define CLOCK_GOOD_S 5
/* So many times must an operation fit into fleet_timeout. */
#define TIMEOUT_ROOM 4
#define US_PER_S 1000000
/* The end of the year 9999. */
#define TIME_MAX_S 253402300799

static void write(struct buffer *out, const char *first, const char *second)
{
	const struct redis_word words[] = {
		{first, strlen(first)}, {second, second ? strlen(second) : 0}};

	buffer_init(out, NULL, 0);
	redis_command_write(out, words, second ? 2 : 1);
}

/* ---- which server it is ---- */

struct server {
	bool told;
	char product[16], version[16]; /* the latter of digits and dots */
	bool cluster;
};

/* What follows the text `name` in an array of pairs. */
static const struct fleet_element *value_of(const struct fleet_element *e, const char *name)
{
	for (size_t i = 0; e->type == FLEET_ELEMENT_ARRAY && i + 1 < e->count; i += 2)
		if (redis_element_is(&e->items[i], name))
			return &e->items[i + 1];
	return NULL;
}

static void on_hello(void *context, size_t number, const struct fleet_element *e)
{
	const struct fleet_element *product = value_of(e, "server");
	const struct fleet_element *version = value_of(e, "version");
	const struct fleet_element *mode = value_of(e, "mode");
	struct server *s = context;
	size_t length = 0;

	(void)number;
	if (!version || version->type != FLEET_ELEMENT_TEXT)
		return;
	while (length < version->length && length < sizeof(s->version) - 1 &&
		strchr("0123456789.", version->bytes[length]))
		length++;
	memcpy(s->version, version->bytes, length);
	s->told = length > 0;
	snprintf(s->product, sizeof(s->product), "%s",
		product && redis_element_is(product, "redis")    ? "Redis "
		: product && redis_element_is(product, "valkey") ? "Valkey "
								 : "version ");
	s->cluster = mode && redis_element_is(mode, "cluster");
}

static bool look_at_server(struct findings *f, struct fleet_trial *t, char why[FLEET_TRIAL_WHY_MAX])
{
	struct server s = {.told = false};
	long major, minor;
	struct buffer b;
	char *end;

	write(&b, "HELLO", NULL);
	if (fleet_trial_ask(t, &b, 1, on_hello, &s, why))
		return false;
	if (!s.told) {
		findings_say(f, FOUND_UNKNOWN,
			"It has to be Redis or Valkey 6.2 or later: redis-cli INFO server",
			"the store does not say which version it is");
		return true;
	}
	major = strtol(s.version, &end, 10);
	minor = *end == '.' ? strtol(end + 1, NULL, 10) : 0;
	if (major < VERSION_LEAST_MAJOR ||
		(major == VERSION_LEAST_MAJOR && minor < VERSION_LEAST_MINOR))
		findings_say(f, FOUND_WRONG, "Update it: Redis or Valkey 6.2 or later is needed",
			"the store is %s%s", s.product, s.version);
	else if (s.cluster)
		findings_say(f, FOUND_WRONG, "Use a primary with replicas, and Sentinels",
			"the store is a Cluster, which fleets do not support");
	else
		findings_say(f, FOUND_WELL, NULL, "the store is %s%s", s.product, s.version);
	return true;
}

/* ---- how far it is, and its clock ---- */

static void on_ignored(void *context, size_t number, const struct fleet_element *e)
{
	(void)context, (void)number, (void)e;
}

static bool look_at_distance(struct findings *f, struct fleet_trial *t,
	const struct fleet_config *fleet, char why[FLEET_TRIAL_WHY_MAX])
{
	struct duration best = fleet->timeout;
	struct buffer b;
	bool far;

	for (int i = 0; i < PINGS; i++) {
		struct boot_time begun = clock_boot_now();

		write(&b, "PING", NULL);
		if (fleet_trial_ask(t, &b, 1, on_ignored, NULL, why))
			return false;
		best = duration_min(best, boot_since(clock_boot_now(), begun));
	}
	far = best.ns > fleet->timeout.ns / TIMEOUT_ROOM;
	findings_say(f, far ? FOUND_WRONG : FOUND_WELL,
		far ? "Raise fleet_timeout, or use a store that is nearer: one that is slow now "
		      "and then is lost each time"
		    : NULL,
		"the store answers within %.2f ms, of %lld that fleet_timeout allows",
		(double)best.ns / NS_PER_MS, (long long)(fleet->timeout.ns / NS_PER_MS));
	return true;
}

struct store_clock {
	bool told;
	int64_t us;
};

static void on_time(void *context, size_t number, const struct fleet_element *e)
{
	struct store_clock *c = context;
	long long seconds;
	char s[24], us[24];

	(void)number;
	if (e->type != FLEET_ELEMENT_ARRAY || e->count != 2 ||
		e->items[0].type != FLEET_ELEMENT_TEXT || e->items[1].type != FLEET_ELEMENT_TEXT)
		return;
	snprintf(s, sizeof(s), "%.*s", (int)e->items[0].length, e->items[0].bytes);
	snprintf(us, sizeof(us), "%.*s", (int)e->items[1].length, e->items[1].bytes);
	seconds = strtoll(s, NULL, 10);
	seconds = seconds < 0 ? 0 : seconds > TIME_MAX_S ? TIME_MAX_S : seconds;
	c->us = seconds * US_PER_S + strtol(us, NULL, 10) % US_PER_S;
	c->told = true;
}

static bool look_at_clock(struct findings *f, struct fleet_trial *t, char why[FLEET_TRIAL_WHY_MAX])
{
	struct store_clock c = {.told = false};
	struct clock_reading now;
	int64_t ahead_s;
	struct buffer b;

	write(&b, "TIME", NULL);
	if (fleet_trial_ask(t, &b, 1, on_time, &c, why))
		return false;
	if (!c.told) /* without the right to; that is told with the others */
		return true;
	clock_read(&now);
	ahead_s = (c.us - now.wall.ns / (NS_PER_S / US_PER_S)) / US_PER_S;
	if (ahead_s > CLOCK_GOOD_S || ahead_s < -CLOCK_GOOD_S)
		findings_say(f, FOUND_WRONG,
			"Let NTP keep the clocks of this machine and of the store's right. (No "
			"token's life is judged by them; a clock that is set costs requests.)",
			"the store's clock is %s this machine's by %lld s",
			ahead_s > 0 ? "ahead of" : "behind",
			(long long)(ahead_s > 0 ? ahead_s : -ahead_s));
	else
		findings_say(f, FOUND_WELL, NULL, "the store's clock agrees with this machine's");
	return true;
}

/* ---- its limits ---- */

struct limits {
	bool told;
	long long clients, clients_max, memory_max;
	char policy[32];
};

/* The number behind `name:` at the beginning of a line of INFO; -1: there is none. */
static long long number_of(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtoll(at + strlen(name), NULL, 10) : -1;
}

static void on_info(void *context, size_t number, const struct fleet_element *e)
{
	struct limits *l = context;
	char text[FLEET_TEXT_MAX + 1];
	const char *policy;
	size_t length = 0;

	if (e->type != FLEET_ELEMENT_TEXT || e->length >= sizeof(text))
		return;
	memcpy(text, e->bytes, e->length);
	text[e->length] = '\0';
	if (number == 0) {
		l->clients = number_of(text, "\nconnected_clients:");
		l->clients_max = number_of(text, "\nmaxclients:");
		l->told = true;
		return;
	}
	l->memory_max = number_of(text, "\nmaxmemory:");
	policy = strstr(text, "\nmaxmemory_policy:");
	policy = policy ? policy + strlen("\nmaxmemory_policy:") : "";
	while (length < sizeof(l->policy) - 1 && policy[length] &&
		strchr("abcdefghijklmnopqrstuvwxyz-", policy[length]))
		length++;
	memcpy(l->policy, policy, length);
}

static void tell_limits(struct findings *f, const struct limits *l)
{
	bool full = l->clients_max > 0 && l->clients >= l->clients_max / 10 * 9;

	if (l->clients_max > 0)
		findings_say(f, full ? FOUND_WRONG : FOUND_WELL,
			full ? "Raise maxclients of the store, and LimitNOFILE of its service: "
			       "each host has two connections"
			     : NULL,
			"%lld of the store's %lld connections (maxclients) are used", l->clients,
			l->clients_max);
	if (*l->policy)
		findings_say(f, FOUND_WELL, NULL,
			l->memory_max > 0 ? "where the store's memory is full, it goes by %s: what "
					    "it drops is put there again"
					  : "the store's memory has no limit (maxmemory_policy %s)",
			l->policy);
}

static bool look_at_limits(struct findings *f, struct fleet_trial *t, char why[FLEET_TRIAL_WHY_MAX])
{
	struct limits l = {.told = false};
	struct buffer b, second;

	write(&b, "INFO", "clients");
	write(&second, "INFO", "memory");
	if (!buffer_failed(&second))
		buffer_put(&b, second.data, second.length);
	buffer_fini(&second);
	if (fleet_trial_ask(t, &b, 2, on_info, &l, why))
		return false;
	if (l.told)
		tell_limits(f, &l);
	else
		findings_say(f, FOUND_UNKNOWN,
			"An administrator of the store can: redis-cli INFO clients; each host has "
			"two connections",
			"how many connections the store has left (maxclients): this host's user "
			"may not ask, and need not");
	return true;
}

/* ---- all of it ---- */

static bool may_mint(const struct config *config)
{
	for (size_t i = 0; i < config->profile_count; i++) {
		const struct profile_settings *p = &config->profiles[i];

		if (p->fleet && (p->client_secret_file || p->client_secret_credential))
			return true;
	}
	return false;
}

bool check_fleet_store(struct findings *f, struct fleet_trial *t, const struct config *config)
{
	char why[FLEET_TRIAL_WHY_MAX];

	if (!look_at_server(f, t, why) || !look_at_distance(f, t, &config->broker.fleet, why) ||
		!look_at_clock(f, t, why) || !look_at_limits(f, t, why)) {
		findings_say(f, FOUND_WRONG, NULL, "%s", why);
		return false;
	}
	return check_fleet_rights(f, t, config, may_mint(config));
}
