#include "check_fleet_rights.h"

#include "fleet_findings.h"
#include "fleet_trial.h"

#include "core/config.h"
#include "core/fleet_key.h"
#include "core/text.h"
#include "host/clock.h"
#include "store/redis_codec.h"
#include "store/redis_commands.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#define WORDS_MAX 6
#define LEASE_MS 5000
/* "return 1", and its SHA-1: whether scripts may run at all. */
#define SCRIPT "return 1"
#define SCRIPT_SHA1 "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"

/* However this ends, and whatever the user may do: no key is to stay for good. */
struct attempt {
	const char *right; /* as a rule of an ACL; NULL: tried before, and done once more */
	bool follower;     /* who only follows needs it, too */
	bool makes_key;    /* that ends only because of a command after it */
	const char *words[WORDS_MAX];
};

static void write(struct buffer *out, const char *const words[WORDS_MAX])
{
	struct redis_word of[WORDS_MAX];
	size_t count = 0;

	for (; count < WORDS_MAX && words[count]; count++)
		of[count] = (struct redis_word){words[count], strlen(words[count])};
	redis_command_write(out, of, count);
}

/* ---- rights ---- */

struct answers {
	const struct attempt *attempts[32];
	size_t count;
	char missing[512];        /* rules, each with a blank before it */
	enum redis_error trouble; /* of another kind */
	const char *troubled;
};

static void on_attempted(void *context, size_t number, const struct fleet_element *e)
{
	struct answers *a = context;
	const struct attempt *of = a->attempts[number];
	enum redis_error kind;
	size_t n = strlen(a->missing);

	if (e->type != FLEET_ELEMENT_ERROR || !of->right)
		return;
	kind = redis_error_kind(e);
	if (kind == REDIS_ERROR_NOPERM) {
		snprintf(a->missing + n, sizeof(a->missing) - n, " %s", of->right);
	} else if (!a->troubled) {
		a->trouble = kind;
		a->troubled = of->words[0];
	}
}

static void tell_rights(struct findings *f, const struct answers *a,
	const struct fleet_config *config, bool may_mint)
{
	const char *user = config->user ? config->user : "default";
	char todo[1024];

	snprintf(todo, sizeof(todo),
		"In the store, and on each of its replicas: ACL SETUSER %.64s %s~%.32s:*%s "
		"&%.32s:*%s; then ACL SAVE, or CONFIG REWRITE",
		user, may_mint ? "" : "%R", config->prefix, may_mint ? "" : ":rec", config->prefix,
		a->missing);
	if (*a->missing)
		findings_say(f, FOUND_WRONG, todo,
			"user %s lacks rights on the store's keys, channels or commands:%s", user,
			a->missing);
	else
		findings_say(f, FOUND_WELL, NULL, "user %s has the rights of a host that %s", user,
			may_mint ? "fetches tokens" : "only follows");
	if (a->troubled)
		findings_say(f, FOUND_WRONG, "The store's own log says more", "%s: %s", a->troubled,
			redis_error_words(a->trouble));
}

static void on_cleaned(void *context, size_t number, const struct fleet_element *e)
{
	bool *may_clean = context;

	(void)number;
	*may_clean |= e->type != FLEET_ELEMENT_ERROR;
}

/* Whether a key that is made can be taken away again, at once or by its end. */
static bool try_to_clean(
	struct fleet_trial *t, const struct redis_keys *k, bool *ret, char why[FLEET_TRIAL_WHY_MAX])
{
	const char *const del[WORDS_MAX] = {"DEL", k->lease};
	const char *const expire[WORDS_MAX] = {"PEXPIRE", k->lease, "5000"};
	struct buffer commands;

	*ret = false;
	buffer_init(&commands, NULL, 0);
	write(&commands, del);
	write(&commands, expire);
	return !fleet_trial_ask(t, &commands, 2, on_cleaned, ret, why);
}

/* *ret_all: none is missing. */
static bool try_rights(struct findings *f, struct fleet_trial *t, const struct fleet_config *config,
	const struct redis_keys *k, bool may_mint, bool *ret_all, char why[FLEET_TRIAL_WHY_MAX])
{
	const struct attempt all[] = {
		{"+ping", true, false, {"PING"}},
		{"+time", true, false, {"TIME"}},
		{"+hmget", true, false, {"HMGET", k->record, "gen"}},
		{"+pubsub|numsub", true, false, {"PUBSUB", "NUMSUB", k->channel}},
		{"+set", false, false, {"SET", k->seq, "0", "PX", "5000"}},
		{"+get", false, false, {"GET", k->seq}},
		{"+hset", false, true, {"HSET", k->lease, "kept", "0"}},
		{"+pexpire", false, false, {"PEXPIRE", k->lease, "5000"}},
		{"+hget", false, false, {"HGET", k->lease, "kept"}},
		{"+hincrby", false, true, {"HINCRBY", k->lease, "kept", "1"}},
		{NULL, false, false, {"PEXPIRE", k->lease, "5000"}},
		{"+pttl", false, false, {"PTTL", k->lease}},
		{"+incr", false, true, {"INCR", k->fails}},
		{NULL, false, false, {"PEXPIRE", k->fails, "5000"}},
		{"+zadd", false, true, {"ZADD", k->mints, "1", "x"}},
		{NULL, false, false, {"PEXPIRE", k->mints, "5000"}},
		{"+zcard", false, false, {"ZCARD", k->mints}},
		{"+zrange", false, false, {"ZRANGE", k->mints, "0", "-1"}},
		{"+zremrangebyscore", false, false, {"ZREMRANGEBYSCORE", k->mints, "-inf", "+inf"}},
		{"+publish", false, false, {"PUBLISH", k->channel, "x"}},
		{"+script|load", false, false, {"SCRIPT", "LOAD", SCRIPT}},
		{"+evalsha", false, false, {"EVALSHA", SCRIPT_SHA1, "0"}},
		{"+del", false, false, {"DEL", k->seq, k->lease, k->fails, k->mints}},
		{"+subscribe", true, false, {"SUBSCRIBE", k->channel}},
		{"+unsubscribe", true, false, {"UNSUBSCRIBE", k->channel}},
	};
	struct answers a = {.count = 0};
	struct buffer commands;
	bool may_clean = false;

	if (may_mint && !try_to_clean(t, k, &may_clean, why))
		return false;
	buffer_init(&commands, NULL, 0);
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if ((may_mint || all[i].follower) && (may_clean || !all[i].makes_key)) {
			write(&commands, all[i].words);
			a.attempts[a.count++] = &all[i];
		}
	if (fleet_trial_ask(t, &commands, a.count, on_attempted, &a, why))
		return false;
	/* without the right to load it, there is nothing that may be run */
	if (a.troubled && a.trouble == REDIS_ERROR_NOSCRIPT)
		a.troubled = NULL;
	tell_rights(f, &a, config, may_mint);
	*ret_all = !*a.missing;
	return true;
}

/* ---- who only follows ---- */

static void on_written(void *context, size_t number, const struct fleet_element *e)
{
	bool *written = context;

	*written |= number == 0 && e->type != FLEET_ELEMENT_ERROR;
}

/* Whoever breaks into a host that follows is not to be able to stop the fleet. */
static bool try_to_write(struct findings *f, struct fleet_trial *t,
	const struct fleet_config *config, const struct redis_keys *k,
	char why[FLEET_TRIAL_WHY_MAX])
{
	const char *const set[WORDS_MAX] = {"SET", k->seq, "0", "PX", "1000"};
	const char *const del[WORDS_MAX] = {"DEL", k->seq};
	struct buffer commands;
	bool written = false;

	buffer_init(&commands, NULL, 0);
	write(&commands, set);
	write(&commands, del);
	if (fleet_trial_ask(t, &commands, 2, on_written, &written, why))
		return false;
	if (written)
		findings_say(f, FOUND_WRONG,
			"Give the hosts that follow a user of their own, without the right to "
			"write: docs/fleet.md has it",
			"this host only follows, and yet user %s may write to the store",
			config->user ? config->user : "default");
	return true;
}

/* ---- a lease ---- */

struct lease {
	enum fleet_operation operation;
	struct fleet_answer answer;
	bool fine;
	enum redis_error error;
};

static void on_lease(void *context, size_t number, const struct fleet_element *e)
{
	struct lease *l = context;

	if (number > 0)
		return;
	if (e->type == FLEET_ELEMENT_ERROR)
		l->error = redis_error_kind(e);
	else
		l->fine = !fleet_reply_script(l->operation, e, &l->answer);
}

static void on_ignored(void *context, size_t number, const struct fleet_element *e)
{
	(void)context, (void)number, (void)e;
}

/* Of so many answers the first counts. 1: it was answered; 0: refused, or with nonsense; -1: the
 * connection is lost. */
static int step(struct fleet_trial *t, struct lease *l, enum fleet_operation operation,
	struct buffer *commands, size_t answers, char why[FLEET_TRIAL_WHY_MAX])
{
	l->operation = operation;
	l->fine = false;
	if (fleet_trial_ask(t, commands, answers, on_lease, l, why))
		return -1;
	return l->fine;
}

static int run_lease(struct fleet_trial *t, const struct redis_keys *k, struct lease *l,
	char why[FLEET_TRIAL_WHY_MAX])
{
	static const struct fleet_id none;
	const struct store_acquire acquire = {
		.lease = duration_ms(LEASE_MS),
		.mint_limit = 1,
		.mint_window = duration_s(1),
		.tag = "-",
		.break_lease = &none,
		.break_hold = &none,
	};
	const char *const expire_seq[WORDS_MAX] = {"PEXPIRE", k->seq, "60000"};
	struct store_fail fail = {
		.class = RESPONSE_UNAVAILABLE, .most = duration_ms(1), .tag = "-"};
	struct buffer b;
	int r;

	buffer_init(&b, NULL, 0);
	redis_write_load(&b, &redis_script_acquire);
	redis_write_load(&b, &redis_script_renew);
	redis_write_load(&b, &redis_script_fail);
	if (fleet_trial_ask(t, &b, 3, on_ignored, NULL, why))
		return -1;
	buffer_init(&b, NULL, 0);
	redis_write_acquire(&b, k, "gctoken-doctor", &acquire);
	write(&b, expire_seq); /* all else that a lease leaves has an end */
	r = step(t, l, FLEET_ACQUIRE, &b, 2, why);
	if (r <= 0 || l->answer.word != FLEET_SAYS_GRANTED)
		return r < 0 ? r : 0;
	fail.fence = l->answer.fence;
	buffer_init(&b, NULL, 0);
	redis_write_renew(&b, k, fail.fence, duration_ms(LEASE_MS));
	r = step(t, l, FLEET_RENEW, &b, 1, why);
	if (r <= 0 || l->answer.word != FLEET_SAYS_KEPT)
		return r < 0 ? r : 0;
	buffer_init(&b, NULL, 0);
	redis_write_fail(&b, k, &fail, 0);
	r = step(t, l, FLEET_FAIL, &b, 1, why);
	return r < 0 ? r : r && l->answer.word == FLEET_SAYS_FAILED;
}

static bool try_lease(struct findings *f, struct fleet_trial *t, const struct redis_keys *k,
	char why[FLEET_TRIAL_WHY_MAX])
{
	const char *const del[WORDS_MAX] = {"DEL", k->lease, k->mints, k->hold, k->fails, k->seq};
	struct boot_time begun = clock_boot_now();
	struct lease l = {.error = REDIS_ERROR_OTHER};
	struct buffer b;
	int r = run_lease(t, k, &l, why);

	if (r < 0)
		return false;
	if (r)
		findings_say(f, FOUND_WELL, NULL,
			"a lease on a key of its own was granted, kept and given back in %lld ms",
			(long long)(boot_since(clock_boot_now(), begun).ns / NS_PER_MS));
	else
		findings_say(f, FOUND_WRONG,
			"Once the rights are right: does something between this host and the store "
			"change or answer commands, a proxy say? That is not supported",
			"a lease on a key of its own could not be had: %s",
			redis_error_words(l.error));
	buffer_init(&b, NULL, 0);
	write(&b, del);
	return !fleet_trial_ask(t, &b, 1, on_ignored, NULL, why);
}

/* ---- all of it ---- */

/* Of a client that nobody has. */
static bool name_keys(const struct fleet_config *config, struct redis_keys *ret)
{
	unsigned char random[FLEET_DIGEST_LENGTH];
	struct fleet_subject subject = {.request = "0000000000000000"};

	if (RAND_bytes(random, sizeof(random)) != 1)
		return false;
	hex_write(random, sizeof(random), subject.client);
	redis_keys_init(ret, config->prefix, &subject, 0);
	return true;
}

bool check_fleet_rights(
	struct findings *f, struct fleet_trial *t, const struct config *config, bool may_mint)
{
	const struct fleet_config *fleet = &config->broker.fleet;
	char why[FLEET_TRIAL_WHY_MAX] = "the system gives no random numbers";
	struct redis_keys keys;
	bool all;

	if (name_keys(fleet, &keys) && try_rights(f, t, fleet, &keys, may_mint, &all, why)) {
		if (may_mint && !all) /* a lease could not be had, nor taken away */
			return true;
		if (may_mint ? try_lease(f, t, &keys, why) : try_to_write(f, t, fleet, &keys, why))
			return true;
	}
	findings_say(f, FOUND_WRONG, NULL, "%s", why);
	return false;
}
