#include "endpoint.h"

#include "broker.h"
#include "profile_type.h"

#include "core/config.h"
#include "host/clock.h"
#include "upstream/fetch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static char *copy_text(const char *text, bool *failed)
{
	char *copy = text ? strdup(text) : NULL;

	*failed |= text && !copy;
	return copy;
}

int endpoint_get(struct endpoint **ret, struct broker *b, const struct profile_settings *s)
{
	struct endpoint *e;
	bool failed = false;

	TAILQ_FOREACH(e, &b->endpoints, link)
	if (e->clock.plan.enabled == s->clock_probe && same_text(e->token_url, s->token_url) &&
		same_text(e->probe_url, s->clock_probe_url) &&
		same_text(e->ca_file, s->fetch.ca_file) && same_text(e->proxy, s->fetch.proxy) &&
		same_text(e->proxy_user, s->fetch.proxy_user) &&
		same_text(e->proxy_ca_file, s->fetch.proxy_ca_file)) {
		*ret = e;
		return 0;
	}
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->broker = b;
	e->token_url = copy_text(s->token_url, &failed);
	e->probe_url = copy_text(s->clock_probe_url, &failed);
	e->ca_file = copy_text(s->fetch.ca_file, &failed);
	e->proxy = copy_text(s->fetch.proxy, &failed);
	e->proxy_user = copy_text(s->fetch.proxy_user, &failed);
	e->proxy_ca_file = copy_text(s->fetch.proxy_ca_file, &failed);
	TAILQ_INIT(&e->measuring);
	server_clock_init(&e->clock, &b->clocks, s->clock_probe, e->probe_url);
	TAILQ_INSERT_TAIL(&b->endpoints, e, link);
	if (failed) {
		endpoint_free(e);
		return -ENOMEM;
	}
	*ret = e;
	return 0;
}

void endpoint_free(struct endpoint *e)
{
	TAILQ_REMOVE(&e->broker->endpoints, e, link);
	fetch_cancel(e->head);
	fetch_cancel(e->knock);
	server_clock_fini(&e->clock);
	free(e->token_url);
	free(e->probe_url);
	free(e->ca_file);
	free(e->proxy);
	free(e->proxy_user);
	free(e->proxy_ca_file);
	free(e);
}

void endpoint_left(struct endpoint *e)
{
	if (LIST_EMPTY(&e->clock.sources))
		waiters_make_ready(&e->measuring);
}

static void head_done(void *context, const struct exchange *x)
{
	struct endpoint *e = context;
	struct clock_reading now;

	clock_read(&now);
	e->head = NULL;
	server_clock_head_ended(&e->clock, &now, x);
	if (!server_clock_measuring(&e->clock, &now))
		waiters_make_ready(&e->measuring);
	turn_now(&e->broker->turn);
}

/* As those who use it would send it now, after whatever reload. */
static struct fetch_settings settings_now(const struct endpoint *e)
{
	const struct broker *b = e->broker;
	size_t i = 0;

	while (b->profiles.items[i]->endpoint != e)
		i++;
	return profile_fetch_settings(b->profiles.items[i]);
}

static void send_head(struct endpoint *e, const struct clock_reading *now)
{
	const struct fetch_request request = {
		.method = FETCH_HEAD,
		.url = e->probe_url,
		.settings = settings_now(e),
	};

	e->broker->handover.due = true;
	if (fetch_start(e->broker->fetcher, &request, head_done, e, &e->head)) {
		e->head = NULL;
		server_clock_head_failed(&e->clock, now);
		waiters_make_ready(&e->measuring);
	}
}

static void knock_done(void *context, const struct exchange *x)
{
	struct endpoint *e = context;
	struct clock_reading now;

	clock_read(&now);
	e->knock = NULL;
	server_clock_knock_ended(&e->clock, &now, x);
	turn_now(&e->broker->turn);
}

/* On a connection of its own, as a token request would have it. */
static void send_knock(struct endpoint *e, const struct clock_reading *now)
{
	struct fetch_request request = {
		.method = FETCH_HEAD,
		.url = e->probe_url,
		.fresh = true,
		.settings = settings_now(e),
	};

	request.settings.timeout =
		duration_min(request.settings.timeout, duration_ms(KNOCK_TIMEOUT_MS));
	if (fetch_start(e->broker->fetcher, &request, knock_done, e, &e->knock)) {
		e->knock = NULL;
		server_clock_knock_ended(&e->clock, now, NULL);
	}
}

struct boot_time endpoint_turn(struct endpoint *e, const struct clock_reading *now)
{
	bool head, knock;
	struct boot_time at = server_clock_turn(&e->clock, now, &head);
	struct boot_time knock_at = server_clock_knock(&e->clock, now, &knock);

	if (head)
		send_head(e, now);
	if (knock)
		send_knock(e, now);
	return boot_min(at, knock_at);
}
