#include "store.h"

#include "core/random.h"
#include "redis_channels.h"
#include "redis_commands.h"
#include "redis_link.h"
#include "redis_pair.h"
#include "redis_requests.h"
#include "redis_tls.h"
#include "store_settings.h"

#include <errno.h>
#include <event2/event.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

struct store_token {
	struct store_token *next;
	struct store *store;
	void *context;
	struct redis_keys keys;
	bool busy, asking_permit;
};

struct store {
	struct event_base *base;
	struct store_settings settings; /* with texts of its own */
	struct store_hooks hooks;
	void *context;
	struct random random;
	SSL_CTX *tls;
	struct redis_pair *pair;
	struct redis_requests requests;
	struct redis_channels channels;
	struct event *ping;
	struct boot_time pinged_at;
	bool up;
	int64_t hosts;
	struct store_token *tokens;
};

static struct boot_time now(const struct store *s)
{
	struct clock_reading r;

	s->requests.clock_read(&r);
	return r.boot;
}

/* ---- pings ---- */

static struct duration pings_apart(const struct store *s)
{
	return s->settings.ping.ns ? s->settings.ping : duration_s(STORE_PING_S);
}

static void ping_later(struct store *s)
{
	struct duration every = pings_apart(s);
	const struct timeval t = {
		.tv_sec = every.ns / NS_PER_S, .tv_usec = every.ns % NS_PER_S / 1000};

	s->pinged_at = now(s);
	event_add(s->ping, &t);
}

static void on_ping(evutil_socket_t fd, short what, void *context)
{
	struct store *s = context;

	(void)fd, (void)what;
	ping_later(s);
	if (redis_channels_ping(&s->channels, redis_pair_messages(s->pair)))
		redis_pair_drop(s->pair, "out of memory");
}

/* A look at the store is not urgent: what it answers is read when this pass's ping is answered, so
 * that one wake-up does for both. Where something else is awaited, no answer is held. The ping goes
 * first: of what comes to it at the same time, Redis answers the latest first. */
static void ping_along(struct store *s)
{
	if (boot_since(now(s), s->pinged_at).ns < pings_apart(s).ns / 2)
		return;
	if (!s->requests.first)
		redis_link_hold_answers(redis_pair_commands(s->pair), true);
	if (redis_channels_ping(&s->channels, redis_pair_messages(s->pair)))
		event_active(s->ping, EV_TIMEOUT, 0); /* where the connection may be dropped */
	else
		ping_later(s);
}

/* ---- the connection for commands ---- */

static void on_answer(void *context, const struct fleet_element *e)
{
	struct store *s = context;
	char why[256];

	if (!redis_requests_answered(&s->requests, redis_pair_commands(s->pair), e, why))
		redis_pair_drop(s->pair, why);
}

static void on_ended(void *who, const struct store_result *result)
{
	struct store_token *t = who;

	t->busy = false;
	t->store->hooks.ended(t->context, result);
}

static void on_permitted(void *who, const char *problem, bool granted, uint32_t rank)
{
	struct store_token *t = who;

	t->asking_permit = false;
	if (!problem)
		t->store->hooks.permitted(t->context, granted, rank);
}

static void on_counted(void *context, int64_t hosts)
{
	struct store *s = context;

	s->hosts = hosts;
	redis_pair_set_hosts(s->pair, hosts);
}

/* ---- that of messages ---- */

static void on_told(void *context, const struct fleet_element *e)
{
	struct store *s = context;
	char why[256];

	if (!redis_channels_told(&s->channels, redis_pair_messages(s->pair), e, why))
		redis_pair_drop(s->pair, why);
}

static void on_subscribed(void *context)
{
	struct store *s = context;

	s->up = true;
	redis_pair_settled(s->pair);
	ping_later(s);
	s->hooks.up(s->context, now(s));
}

static void on_message(void *who, const struct fleet_message *m)
{
	struct store_token *t = who;

	t->store->hooks.message(t->context, now(t->store), m);
}

static void on_ponged(void *context, struct boot_time sent)
{
	struct store *s = context;

	redis_link_hold_answers(redis_pair_commands(s->pair), false);
	s->hooks.anchored(s->context, sent);
}

/* ---- both ---- */

static void on_ready(void *context)
{
	struct store *s = context;

	if (redis_channels_open(&s->channels, redis_pair_messages(s->pair)))
		redis_pair_drop(s->pair, "out of memory");
}

static void on_down(void *context, const char *why)
{
	struct store *s = context;
	bool was_up = s->up;

	s->up = false;
	event_del(s->ping);
	redis_requests_fini(&s->requests);
	redis_channels_closed(&s->channels);
	for (struct store_token *t = s->tokens; t; t = t->next)
		t->busy = t->asking_permit = false;
	s->hooks.down(s->context, was_up, why);
}

/* ---- operations ---- */

/* Consumes `command`. */
static int start(struct store_token *t, bool permit, enum fleet_operation operation,
	const struct redis_script *script, struct buffer *command)
{
	bool *busy = permit ? &t->asking_permit : &t->busy;
	struct store *s = t->store;
	struct redis_link *link;
	int r;

	if (!s->up || *busy) {
		buffer_fini(command);
		return s->up ? -EBUSY : -ENOTCONN;
	}
	link = redis_pair_commands(s->pair);
	if (script)
		redis_link_hold_answers(link, false); /* is urgent */
	else
		ping_along(s);
	r = redis_requests_start(&s->requests, link, t, permit, operation, script, command);
	if (!r)
		*busy = true;
	return r;
}

int store_read(struct store_token *t)
{
	struct buffer b;

	buffer_init(&b, NULL, 0);
	redis_write_read(&b, &t->keys);
	return start(t, false, FLEET_READ, NULL, &b);
}

int store_acquire(struct store_token *t, const struct store_acquire *a)
{
	struct buffer b;

	buffer_init(&b, NULL, 0);
	redis_write_acquire(&b, &t->keys, t->store->settings.host, a);
	return start(t, false, FLEET_ACQUIRE, &redis_script_acquire, &b);
}

int store_renew(struct store_token *t, uint64_t fence, struct duration lease)
{
	struct buffer b;

	buffer_init(&b, NULL, 0);
	redis_write_renew(&b, &t->keys, fence, lease);
	return start(t, false, FLEET_RENEW, &redis_script_renew, &b);
}

int store_put(struct store_token *t, const struct store_put *p)
{
	struct buffer b;

	buffer_init(&b, NULL, 0);
	redis_write_put(&b, &t->keys, p);
	return start(t, false, FLEET_PUT, &redis_script_put, &b);
}

int store_fail(struct store_token *t, const struct store_fail *f)
{
	struct buffer b;

	buffer_init(&b, NULL, 0);
	redis_write_fail(&b, &t->keys, f, (unsigned)(random_next(&t->store->random) % 1001));
	return start(t, false, FLEET_FAIL, &redis_script_fail, &b);
}

int store_accept(struct store_token *t, const struct store_accept *a)
{
	struct buffer b;

	buffer_init(&b, NULL, 0);
	redis_write_accept(&b, &t->keys, a);
	return start(t, false, FLEET_ACCEPT, &redis_script_accept, &b);
}

int store_stop(struct store_token *t, const struct store_stop *o)
{
	struct buffer b;

	buffer_init(&b, NULL, 0);
	redis_write_stop(&b, &t->keys, o);
	return start(t, false, FLEET_STOP, &redis_script_stop, &b);
}

int store_permit(struct store_token *t, uint32_t most, struct duration keep)
{
	struct buffer b;

	buffer_init(&b, NULL, 0);
	redis_write_permit(&b, &t->keys, t->store->settings.host, most, keep);
	return start(t, true, FLEET_READ, &redis_script_permit, &b);
}

/* ---- tokens ---- */

int store_token_new(struct store_token **ret, struct store *s, const struct fleet_subject *subject,
	unsigned slot, void *context)
{
	struct store_token *t = malloc(sizeof(*t));

	if (!t)
		return -ENOMEM;
	*t = (struct store_token){.next = s->tokens, .store = s, .context = context};
	redis_keys_init(&t->keys, s->settings.prefix, subject, slot);
	if (redis_channels_add(&s->channels, redis_pair_messages(s->pair), t->keys.channel, t)) {
		free(t);
		return -ENOMEM;
	}
	s->tokens = t;
	*ret = t;
	return 0;
}

void store_token_free(struct store_token *t)
{
	struct store *s;
	struct store_token **at;

	if (!t)
		return;
	s = t->store;
	for (at = &s->tokens; *at != t; at = &(*at)->next)
		;
	*at = t->next;
	redis_requests_disown(&s->requests, t);
	redis_channels_remove(&s->channels, redis_pair_messages(s->pair), t);
	free(t);
}

/* ---- the store ---- */

static int begin(struct store *s, const struct store_settings *settings, char why[256])
{
	static const struct redis_pair_hooks hooks = {
		.ready = on_ready, .answered = on_answer, .told = on_told, .down = on_down};
	int r = store_settings_copy(&s->settings, settings);

	if (r)
		return r;
	if (settings->path &&
		strlen(settings->path) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
		snprintf(why, 256, "the path of fleet_store is too long for a Unix socket");
		return -EINVAL;
	}
	if (settings->tls) {
		r = redis_tls_new(&s->tls, settings->ca_file, settings->cert_file,
			settings->cert_key_file, why);
		if (r)
			return r;
	}
	s->ping = evtimer_new(s->base, on_ping, s);
	if (!s->ping)
		return -ENOMEM;
	return redis_pair_new(&s->pair, s->base, &s->settings, s->tls, &hooks, s);
}

int store_new(struct store **ret, struct event_base *base,
	void (*clock_read)(struct clock_reading *ret), const struct store_settings *settings,
	const struct store_hooks *hooks, void *context, char ret_why[256])
{
	struct store *s = malloc(sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	*s = (struct store){
		.base = base,
		.hooks = *hooks,
		.context = context,
		.random.state = ~settings->seed,
		.requests = {.clock_read = clock_read,
			.timeout = settings->timeout,
			.hooks = {.ended = on_ended,
				.permitted = on_permitted,
				.counted = on_counted},
			.context = s},
		.channels = {.clock_read = clock_read,
			.timeout = settings->timeout,
			.hooks = {.subscribed = on_subscribed,
				.message = on_message,
				.ponged = on_ponged},
			.context = s},
	};
	redis_requests_init(&s->requests);
	r = begin(s, settings, ret_why);
	if (r) {
		store_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

void store_free(struct store *s)
{
	if (!s)
		return;
	redis_pair_free(s->pair);
	redis_requests_fini(&s->requests);
	if (s->ping)
		event_free(s->ping);
	SSL_CTX_free(s->tls);
	store_settings_fini(&s->settings);
	free(s);
}

int64_t store_hosts(const struct store *s)
{
	return s->hosts;
}
