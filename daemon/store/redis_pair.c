#include "redis_pair.h"

#include "core/random.h"
#include "redis_dial.h"
#include "redis_pause.h"
#include "redis_sentinel.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct redis_pair {
	struct event_base *base;
	const struct store_settings *settings;
	struct ssl_ctx_st *tls;
	struct redis_pair_hooks hooks;
	void *context;
	struct random random;
	struct event *retry;
	struct redis_sentinel *sentinel;
	struct redis_dial *dial;
	struct redis_link *commands, *messages;
	bool messages_ready;
	size_t first_sentinel;
	unsigned failures; /* in a row */
	int64_t hosts;
	char name[REDIS_NAME_MAX + 1]; /* the server's */
};

static void on_ready_messages(void *context);
static void on_command_answer(void *context, const struct fleet_element *e);
static void on_message(void *context, const struct fleet_element *e);
static void on_down(void *context, const char *why);

static const struct redis_link_hooks command_hooks = {
	.answered = on_command_answer, .down = on_down};
static const struct redis_link_hooks message_hooks = {
	.ready = on_ready_messages, .answered = on_message, .down = on_down};

static void close_all(struct redis_pair *p)
{
	redis_sentinel_cancel(p->sentinel);
	redis_dial_cancel(p->dial);
	redis_link_free(p->commands);
	redis_link_free(p->messages);
	p->sentinel = NULL;
	p->dial = NULL;
	p->commands = p->messages = NULL;
	p->messages_ready = false;
}

static void try_in(struct redis_pair *p, struct duration pause)
{
	struct timeval t = {.tv_sec = pause.ns / NS_PER_S, .tv_usec = pause.ns % NS_PER_S / 1000};

	event_add(p->retry, &t);
}

static void fail(struct redis_pair *p, const char *why)
{
	char copy[REDIS_WHY_MAX];

	snprintf(copy, sizeof(copy), "%s", why);
	close_all(p);
	try_in(p, redis_pause(&p->random, p->failures++, p->hosts));
	p->hooks.down(p->context, copy);
}

static void on_down(void *context, const char *why)
{
	fail(context, why);
}

static void on_command_answer(void *context, const struct fleet_element *e)
{
	struct redis_pair *p = context;

	/* Before all is ready nothing was asked. */
	if (p->messages_ready)
		p->hooks.answered(p->context, e);
	else
		redis_pair_drop(p, "it spoke before it was asked");
}

static void on_message(void *context, const struct fleet_element *e)
{
	struct redis_pair *p = context;

	p->hooks.told(p->context, e);
}

static void on_ready_messages(void *context)
{
	struct redis_pair *p = context;

	p->messages_ready = true;
	p->hooks.ready(p->context);
}

static struct redis_link_settings link_settings(const struct redis_pair *p)
{
	return (struct redis_link_settings){.name = p->name,
		.tls = p->tls,
		.user = p->settings->user,
		.password = p->settings->password,
		.listener_fit = p->settings->listener_fit,
		.database = p->settings->database,
		.wants_primary = true,
		.connect = duration_s(STORE_CONNECT_S)};
}

static void on_dialled(void *context, struct redis_link *link, const char *why)
{
	struct redis_pair *p = context;
	struct redis_link_settings settings = link_settings(p);
	int r;

	p->dial = NULL;
	if (!link) {
		fail(p, why);
		return;
	}
	p->commands = link;
	redis_link_set_hooks(link, &command_hooks, p);
	/* To the same address: a name may stand for several servers. */
	r = redis_link_new(
		&p->messages, p->base, redis_link_address(link), &settings, &message_hooks, p);
	if (r)
		fail(p, strerror(-r));
}

static void dial(struct redis_pair *p, uint16_t port)
{
	struct redis_link_settings settings = link_settings(p);

	if (redis_dial_start(&p->dial, p->base, p->settings->path, port, &settings, on_dialled, p))
		fail(p, "out of memory");
}

static void on_primary(void *context, const char *name, uint16_t port, const char *why)
{
	struct redis_pair *p = context;

	p->sentinel = NULL;
	if (!name) {
		fail(p, why);
		return;
	}
	snprintf(p->name, sizeof(p->name), "%s", name);
	dial(p, port);
}

static void on_retry(evutil_socket_t fd, short what, void *context)
{
	struct redis_pair *p = context;
	const struct store_settings *s = p->settings;

	(void)fd, (void)what;
	if (s->sentinel_name) {
		if (redis_sentinel_start(&p->sentinel, p->base, s, p->tls,
			    p->first_sentinel++ % s->host_count, on_primary, p))
			fail(p, "out of memory");
		return;
	}
	snprintf(p->name, sizeof(p->name), "%s", s->path ? s->path : s->hosts[0].name);
	dial(p, s->path ? 0 : s->hosts[0].port);
}

int redis_pair_new(struct redis_pair **ret, struct event_base *base,
	const struct store_settings *settings, struct ssl_ctx_st *tls,
	const struct redis_pair_hooks *hooks, void *context)
{
	struct redis_pair *p = malloc(sizeof(*p));

	if (!p)
		return -ENOMEM;
	*p = (struct redis_pair){.base = base,
		.settings = settings,
		.tls = tls,
		.hooks = *hooks,
		.context = context,
		.random = {settings->seed}};
	p->retry = evtimer_new(base, on_retry, p);
	if (!p->retry) {
		free(p);
		return -ENOMEM;
	}
	/* Not all hosts with the same one. */
	p->first_sentinel = (size_t)(random_next(&p->random) % STORE_HOSTS_MAX);
	try_in(p, DURATION_ZERO);
	*ret = p;
	return 0;
}

void redis_pair_free(struct redis_pair *p)
{
	if (!p)
		return;
	close_all(p);
	event_free(p->retry);
	free(p);
}

struct redis_link *redis_pair_commands(const struct redis_pair *p)
{
	return p->messages_ready ? p->commands : NULL;
}

struct redis_link *redis_pair_messages(const struct redis_pair *p)
{
	return p->messages_ready ? p->messages : NULL;
}

void redis_pair_settled(struct redis_pair *p)
{
	p->failures = 0;
}

void redis_pair_drop(struct redis_pair *p, const char *why)
{
	char words[REDIS_WHY_MAX];

	snprintf(words, sizeof(words), "%s: %s", p->name, why);
	fail(p, words);
}

void redis_pair_set_hosts(struct redis_pair *p, int64_t hosts)
{
	p->hosts = hosts;
}
