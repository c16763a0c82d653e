/* The service manager is told that we serve, in words how the tokens are, and, from the loop
 * itself, that the loop runs. Only what has changed is sent; what it did not take is sent again. */
#include "service.h"

#include "broker.h"
#include "profile_type.h"

#include "host/clock.h"
#include "host/log.h"
#include "host/systemd.h"

#include "core/token_view.h"

#include <errno.h>
#include <event2/event.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define RETRY_MS 200
#define LOOK_AGAIN_S 15 /* without a watchdog: a state may change just by time */

struct words {
	char *text;
	size_t size, length;
};

__attribute__((format(printf, 2, 3))) static void put(struct words *w, const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(w->text + w->length, w->size - w->length, format, arguments);
	va_end(arguments);
	if (length > 0)
		w->length = w->length + (size_t)length < w->size ? w->length + (size_t)length
								 : w->size - 1;
}

/* "3 profiles: 1 fresh; stale: b; client_rejected: c". Only profiles that are not well are named.
 */
static void describe(const struct broker *b, const struct clock_reading *now, struct words *w)
{
	enum source_state state;
	struct source_view v;
	size_t fresh = 0;

	put(w, "%zu profile%s", b->profiles.count, b->profiles.count == 1 ? "" : "s");
	for (size_t i = 0; i < b->profiles.count; i++) {
		token_source_view(&b->profiles.items[i]->source, now, &v);
		fresh += v.state == SOURCE_FRESH;
	}
	put(w, ": %zu fresh", fresh);
	for (state = SOURCE_STALE; state <= SOURCE_REVOKED; state++) {
		const char *before = "; ";

		for (size_t i = 0; i < b->profiles.count; i++) {
			const struct profile *p = b->profiles.items[i];

			token_source_view(&p->source, now, &v);
			if (v.state != state)
				continue;
			if (*before == ';')
				put(w, "; %s: ", source_state_name(state));
			put(w, "%s%s", *before == ';' ? "" : ", ", p->settings->name);
			before = ",";
		}
	}
	if (b->reload_failed)
		put(w, "; the latest reload was refused, see the log");
	if (b->names.unknown.count)
		put(w, "; in rules, but not known to the system: %s", b->names.unknown.text);
}

static bool tell(struct broker *b, const struct clock_reading *now)
{
	struct service *s = &b->service;
	char status[sizeof(s->status)] = "";
	struct words w = {.text = status, .size = sizeof(status)};
	bool ready;

	describe(b, now, &w);
	if ((s->ready || b->reload_waits) && !strcmp(status, s->status))
		return true;
	ready = s->ready || !b->reload_waits;
	if (systemd_notify("%sSTATUS=%s", ready && !s->ready ? "READY=1\n" : "", status))
		return false;
	s->ready = ready;
	memcpy(s->status, status, w.length + 1);
	return true;
}

static void arm(struct broker *b, bool told)
{
	struct duration watchdog = systemd_watchdog();
	struct duration period =
		watchdog.ns ? duration_ns(watchdog.ns / 2) : duration_s(LOOK_AGAIN_S);
	struct timeval tv;

	if (!told)
		period = duration_min(period, duration_ms(RETRY_MS));
	tv.tv_sec = period.ns / NS_PER_S;
	tv.tv_usec = period.ns % NS_PER_S / 1000;
	if (evtimer_add(&b->service.tick, &tv))
		log_line(LOG_ERR, "the watchdog's timer cannot be armed");
}

static void tick(int fd, short events, void *context)
{
	struct broker *b = context;
	struct clock_reading now;
	bool told = true;

	(void)fd;
	(void)events;
	clock_read(&now);
	if (systemd_watchdog().ns && systemd_notify("WATCHDOG=1"))
		told = false;
	told &= tell(b, &now);
	arm(b, told);
}

void service_init(struct broker *b)
{
	evtimer_assign(&b->service.tick, b->base, tick, b);
}

void service_started(struct broker *b)
{
	b->service.running = systemd_is_there();
	if (b->service.running)
		tick(-1, 0, b);
}

void service_turn(struct broker *b, const struct clock_reading *now)
{
	if (b->service.running && !tell(b, now))
		arm(b, false);
}

void service_reloading(struct broker *b)
{
	if (!b->service.running)
		return;
	systemd_notify(
		"RELOADING=1\nMONOTONIC_USEC=%lld", (long long)(clock_monotonic_ns() / 1000));
	/* READY ends the reload, whether or not it was refused. */
	b->service.ready = false;
}

void service_stopping(struct broker *b)
{
	if (b->service.running)
		systemd_notify("STOPPING=1\nSTATUS=stopping");
	b->service.running = false;
	if (event_initialized(&b->service.tick))
		event_del(&b->service.tick);
}
