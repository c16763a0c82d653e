#include "endpoint.h"

#include "broker.h"
#include "profile_type.h"
#include "waiter.h"

#include "core/config.h"
#include "core/exchange.h"
#include "host/clock.h"
#include "upstream/fetch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CONFLICT_NOTICEABLE_NS NS_PER_S
#define LONG_LIVED_S 900

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
	if (e->plan.enabled == s->clock_probe && same_text(e->token_url, s->token_url) &&
		same_text(e->probe_url, s->clock_probe_url) &&
		same_text(e->ca_file, s->fetch.ca_file) && same_text(e->proxy, s->fetch.proxy)) {
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
	TAILQ_INIT(&e->measuring);
	probe_init(&e->plan, s->clock_probe);
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
	if (e->head)
		fetch_cancel(e->head);
	free(e->token_url);
	free(e->probe_url);
	free(e->ca_file);
	free(e->proxy);
	free(e);
}

struct duration endpoint_spread(const struct endpoint *e, const struct clock_reading *now)
{
	struct skew_estimate estimate;

	skew_query(&e->skew, now, &estimate);
	return estimate.known ? estimate.spread : DURATION_ZERO;
}

/* How many HEADs are good after a token request: a series the first time, then one for every
 * refresh, two where the next refresh is a long way off. */
static void want_probes_after_post(struct endpoint *e)
{
	unsigned wanted = 1;

	if (!e->series_begun) {
		e->series_begun = true;
		probe_want_series(&e->plan);
		return;
	}
	for (size_t i = 0; i < e->broker->profile_count; i++) {
		const struct profile *p = e->broker->profiles[i];

		if (p->endpoint == e &&
			token_source_issued(&p->source).ns > LONG_LIVED_S * NS_PER_S)
			wanted = 2;
	}
	probe_want(&e->plan, wanted, false);
}

static void tell_foreign_clock(struct endpoint *e, const struct clock_reading *now)
{
	for (size_t i = 0; i < e->broker->profile_count; i++) {
		struct profile *p = e->broker->profiles[i];

		if (p->endpoint == e)
			history_add(&p->history, now, EVENT_CLOCK_FOREIGN, 0,
				"HEAD %s is answered by another clock than the token endpoint's: "
				"not asked again; clock_probe_url can name a better place",
				e->probe_url);
	}
}

bool endpoint_learn(struct endpoint *e, const struct clock_reading *now, const struct exchange *x,
	bool is_post, struct skew_sample *ret_sample)
{
	struct duration rtt = boot_since(x->received.boot, x->sent.boot);
	struct duration miss, spread;
	struct skew_sample sample;
	bool usable = skew_sample_of(x, &sample);

	if (is_post) {
		if (x->status)
			probe_posted(&e->plan, usable ? &sample : NULL, rtt);
		/* a server in trouble is not asked for the time on top */
		if (x->status == 200)
			want_probes_after_post(e);
	} else if (probe_answered(&e->plan, usable ? &sample : NULL, rtt, now->boot) ==
		   PROBE_FOREIGN) {
		tell_foreign_clock(e, now);
		return false;
	}
	if (!usable)
		return false;
	if (skew_add(&e->skew, &sample, &miss) == SKEW_CONFLICTS &&
		miss.ns > CONFLICT_NOTICEABLE_NS)
		probe_want(&e->plan, 1, true);
	spread = endpoint_spread(e, now);
	for (size_t i = 0; i < e->broker->profile_count; i++)
		if (e->broker->profiles[i]->endpoint == e)
			token_source_exchange(
				&e->broker->profiles[i]->source, now, &sample, spread);
	*ret_sample = sample;
	return true;
}

static void head_done(void *context, const struct exchange *x)
{
	struct endpoint *e = context;
	struct skew_sample sample;
	struct clock_reading now;
	struct waiter *w;

	clock_read(&now);
	e->head = NULL;
	endpoint_learn(e, &now, x, false, &sample);
	while ((w = TAILQ_FIRST(&e->measuring)) != NULL)
		waiter_make_ready(w);
	for (size_t i = 0; i < e->broker->profile_count; i++)
		if (e->broker->profiles[i]->endpoint == e)
			token_source_probed(&e->broker->profiles[i]->source);
	turn_now(&e->broker->turn);
}

/* As those who use it would send it now, after whatever reload. */
static struct fetch_settings settings_now(const struct endpoint *e)
{
	const struct broker *b = e->broker;
	size_t i = 0;

	while (b->profiles[i]->endpoint != e)
		i++;
	return b->profiles[i]->settings->fetch;
}

static void send_head(struct endpoint *e, const struct clock_reading *now)
{
	const struct fetch_request request = {
		.method = FETCH_HEAD,
		.url = e->probe_url,
		.settings = settings_now(e),
	};

	probe_sent(&e->plan, now->boot);
	e->broker->handover.due = true;
	if (fetch_start(e->broker->fetcher, &request, head_done, e, &e->head)) {
		e->head = NULL;
		probe_answered(&e->plan, NULL, DURATION_ZERO, now->boot);
	}
}

struct boot_time endpoint_turn(struct endpoint *e, const struct clock_reading *now)
{
	struct boot_time at;

	if (!e->profiles || e->broker->stopping)
		return BOOT_TIME_NEVER;
	at = probe_next(&e->plan, &e->skew, now);
	if (boot_before(now->boot, at))
		return at;
	send_head(e, now);
	return probe_next(&e->plan, &e->skew, now);
}
