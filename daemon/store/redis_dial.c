#include "redis_dial.h"

#include "resolve.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

struct redis_dial {
	struct event_base *base;
	struct redis_link_settings settings;
	redis_dial_done *done;
	void *context;
	struct resolve *resolve;
	struct event *timer; /* the resolver's deadline; or at once: the next address */
	struct redis_link *link;
	struct resolve_address addresses[RESOLVE_ADDRESSES_MAX];
	size_t count, next;
	char why[REDIS_WHY_MAX];
};

static void on_ready(void *context);
static void on_down(void *context, const char *why);

static const struct redis_link_hooks hooks = {.ready = on_ready, .down = on_down};

static void end(struct redis_dial *d, struct redis_link *link)
{
	redis_dial_done *done = d->done;
	void *context = d->context;
	char why[REDIS_WHY_MAX];

	memcpy(why, d->why, sizeof(why));
	if (link)
		d->link = NULL;
	redis_dial_cancel(d);
	done(context, link, why);
}

static void on_ready(void *context)
{
	struct redis_dial *d = context;

	end(d, d->link);
}

/* The next address, or the end. */
static void go_on(struct redis_dial *d)
{
	redis_link_free(d->link);
	d->link = NULL;
	while (d->next < d->count) {
		int r = redis_link_new(
			&d->link, d->base, &d->addresses[d->next++], &d->settings, &hooks, d);

		if (!r)
			return;
		snprintf(d->why, sizeof(d->why), "%s: it cannot be connected to: %s",
			d->settings.name, strerror(-r));
	}
	end(d, NULL);
}

static void on_down(void *context, const char *why)
{
	struct redis_dial *d = context;

	snprintf(d->why, sizeof(d->why), "%s", why);
	go_on(d);
}

static void on_resolved(
	void *context, const char *failure, const struct resolve_address *addresses, size_t count)
{
	struct redis_dial *d = context;

	d->resolve = NULL;
	event_del(d->timer);
	if (failure) {
		snprintf(d->why, sizeof(d->why), "%s: its name cannot be resolved: %s",
			d->settings.name, failure);
		end(d, NULL);
		return;
	}
	memcpy(d->addresses, addresses, count * sizeof(*addresses));
	d->count = count;
	go_on(d);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	struct redis_dial *d = context;

	(void)fd, (void)what;
	if (d->resolve) {
		snprintf(d->why, sizeof(d->why),
			"%s: its name was not resolved within %lld ms: the system's resolver does "
			"not "
			"answer",
			d->settings.name, (long long)(d->settings.connect.ns / NS_PER_MS));
		end(d, NULL);
	} else {
		go_on(d);
	}
}

static int arm(struct redis_dial *d, struct duration in)
{
	struct timeval t = {.tv_sec = in.ns / NS_PER_S, .tv_usec = in.ns % NS_PER_S / 1000};

	return event_add(d->timer, &t) ? -ENOMEM : 0;
}

static int begin(struct redis_dial *d, const char *path, uint16_t port)
{
	struct sockaddr_un *local = (struct sockaddr_un *)&d->addresses[0].address;
	int r;

	d->timer = evtimer_new(d->base, on_timer, d);
	if (!d->timer)
		return -ENOMEM;
	if (path) {
		local->sun_family = AF_UNIX;
		snprintf(local->sun_path, sizeof(local->sun_path), "%s", path);
		d->addresses[0].length = sizeof(*local);
		d->count = 1;
		return arm(d, DURATION_ZERO);
	}
	r = resolve_start(&d->resolve, d->base, d->settings.name, port, on_resolved, d);
	if (r == -EAGAIN) {
		snprintf(d->why, sizeof(d->why),
			"%s: its name cannot be resolved: the system's resolver does not answer",
			d->settings.name);
		return arm(d, DURATION_ZERO);
	}
	return r ? r : arm(d, d->settings.connect);
}

int redis_dial_start(struct redis_dial **ret, struct event_base *base, const char *path,
	uint16_t port, const struct redis_link_settings *settings, redis_dial_done *done,
	void *context)
{
	struct redis_dial *d = malloc(sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	*d = (struct redis_dial){
		.base = base, .settings = *settings, .done = done, .context = context};
	r = begin(d, path, port);
	if (r) {
		redis_dial_cancel(d);
		return r;
	}
	*ret = d;
	return 0;
}

void redis_dial_cancel(struct redis_dial *d)
{
	if (!d)
		return;
	resolve_cancel(d->resolve);
	redis_link_free(d->link);
	if (d->timer)
		event_free(d->timer);
	free(d);
}
