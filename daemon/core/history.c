#include "history.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#define FOLD_WITHIN_S 60
#define LOG_AGAIN_S 3600
#define LINES_APART_S 1

/* The ids are random, made once; a journal's catalogue and alert rules refer to them. */
static const struct {
	const char *name;
	int priority;
	const char *message_id;
} kinds[EVENT_KINDS] = {
	[EVENT_STARTED] = {"started", LOG_INFO, "770873e957f04fcd85f583f01228a7c1"},
	[EVENT_TOKEN] = {"token", LOG_INFO, "4a12b68063dc498fa01e97a281c97ca3"},
	[EVENT_SAME_TOKEN] = {"same_token", LOG_NOTICE, "84de24e016e549ea99a077da9b44da86"},
	[EVENT_FETCH_FAILED] = {"fetch_failed", LOG_WARNING, "720526940466484a85b8f4b089b3f6df"},
	[EVENT_CLIENT_REJECTED] = {"client_rejected", LOG_ERR, "eda90b94d501460a91cadd40bfe5359a"},
	[EVENT_LOGIN_REQUIRED] = {"login_required", LOG_ERR, "9162ee104edf4e4dabc80224a783c31a"},
	[EVENT_THROTTLED] = {"throttled", LOG_WARNING, "dbaf10e33ddd4607aeff3e052c2013ff"},
	[EVENT_MINT_LIMIT] = {"mint_limit", LOG_WARNING, "0561e15ef9724830acf85a26d42ca851"},
	[EVENT_CLAIMS_IGNORED] = {"claims_ignored", LOG_WARNING,
		"dbd0bae749994b3a8a6fc1ef11c5b9b0"},
	[EVENT_EXPIRED] = {"expired", LOG_ERR, "49c2aacdc2134742a8ba89c9e2bd8401"},
	[EVENT_REJECTED] = {"reported", LOG_NOTICE, "43ed54dce83e4e10b47c03f1347b0710"},
	[EVENT_REPLACED] = {"replaced", LOG_INFO, "699077bf3ced4b229c89d2d9b93df597"},
	[EVENT_WALL_STEP] = {"wall_step", LOG_NOTICE, "bbb1e102d1a54615a4cab62b897a50c9"},
	[EVENT_SERVER_STEP] = {"server_step", LOG_NOTICE, "25e80e60bc9a4926af904b2738a48742"},
	[EVENT_CLOCK_FOREIGN] = {"clock_foreign", LOG_NOTICE, "51b34cf06270411f8d55953559c6adfd"},
	[EVENT_REFRESH_ASKED] = {"refresh_asked", LOG_NOTICE, "2512f882238a413cbe66ba0fdf0f787c"},
	[EVENT_REVOKED] = {"revoked", LOG_NOTICE, "e78ac9eb054d4d69b7dffe2099170a54"},
	[EVENT_RELOADED] = {"reloaded", LOG_INFO, "e342e2049c1841219d166defff443407"},
	[EVENT_DENIED] = {"denied", LOG_NOTICE, "b775aaac529d4375935af9921854392e"},
	[EVENT_LOGGED_IN] = {"logged_in", LOG_NOTICE, "c29c9386b8db4d7687ec24a50b2ec3be"},
	[EVENT_LOGIN_FAILED] = {"login_failed", LOG_WARNING, "6afd2908e04e4c3b930f925ae74b1643"},
	[EVENT_LOGIN_ENDS] = {"login_ends", LOG_WARNING, "659e2ff3aafc4177ace1a478b62551e6"},
	[EVENT_LOGGED_OUT] = {"logged_out", LOG_NOTICE, "dde19293593046e3b51748089f4385bd"},
	[EVENT_FLEET] = {"fleet", LOG_INFO, "8d1f1c0a5f0e4b0ab1f26a3c2f8e7b64"},
	[EVENT_FLEET_TROUBLE] = {"fleet_trouble", LOG_WARNING, "3b9d40c7e6a24f74a4c05d1e9d6f2a58"},
	[EVENT_STATE_FILE] = {"state_file", LOG_ERR, "c4f96f3e67ac449787f3f486ce9e23ab"},
	[EVENT_SECRETS] = {"secrets", LOG_WARNING, "8bab4deaeb31447782dd2a47873b2d0c"},
};

static void worth_a_line(struct history *h, struct history_event *e)
{
	e->log_order = h->log_order = e->order;
}

static void begin(struct history_event *e, const struct clock_reading *now, enum event_kind kind)
{
	*e = (struct history_event){.kind = kind, .since = *now};
}

static void happened(struct history *h, struct history_event *e, const struct clock_reading *now,
	uint64_t generation)
{
	e->order = ++h->order;
	e->at = *now;
	e->generation = generation;
	if (e->times < UINT32_MAX)
		e->times++;
}

static void end_all(struct history_caused *c)
{
	for (size_t i = 0; i <= HISTORY_PLACES; i++)
		c->places[i].ended = true;
}

void history_add(struct history *h, const struct clock_reading *now, enum event_kind kind,
	uint64_t generation, const char *format, ...)
{
	struct history_event *e = &h->ring[h->count++ % HISTORY_EVENTS];
	va_list arguments;

	begin(e, now, kind);
	happened(h, e, now, generation);
	worth_a_line(h, e);
	va_start(arguments, format);
	vsnprintf(e->words, sizeof(e->words), format, arguments);
	va_end(arguments);
	/* Who is refused by the new rules is news again. */
	for (size_t i = 0; kind == EVENT_RELOADED && i < HISTORY_CAUSED_KINDS; i++)
		end_all(&h->caused[i]);
}

static struct history_caused *caused_of(struct history *h, enum event_kind kind)
{
	switch (kind) {
	case EVENT_DENIED:
		return &h->caused[0];
	case EVENT_LOGIN_FAILED:
		return &h->caused[1];
	case EVENT_REJECTED:
		return &h->caused[2];
	default:
		return &h->caused[3];
	}
}

static bool within(struct boot_time now, struct boot_time then, int64_t seconds)
{
	return boot_since(now, then).ns < seconds * NS_PER_S;
}

static bool goes_on(const struct history_place *p, struct boot_time now)
{
	return p->event.times && !p->ended && within(now, p->event.at.boot, FOLD_WITHIN_S);
}

/* Are other words another reason, or do they merely name another token? */
static bool same_reason(const struct history_event *e, const char *words)
{
	bool told_apart = e->kind == EVENT_DENIED || e->kind == EVENT_LOGIN_FAILED;

	return !told_apart || !strcmp(e->words, words);
}

/* Where what that user did goes: to the same that goes on; else to the place that has been over for
 * longest, or the longest unused of a user who has as many as one may have; else to that of all
 * others. */
static size_t place_of(
	const struct history_caused *c, struct boot_time now, uid_t uid, const char *words)
{
	size_t over = HISTORY_PLACES, own = HISTORY_PLACES, reasons = 0;

	for (size_t i = 0; i < HISTORY_PLACES; i++) {
		const struct history_place *p = &c->places[i];

		if (!goes_on(p, now)) {
			if (over == HISTORY_PLACES || p->event.order < c->places[over].event.order)
				over = i;
		} else if (p->uid == uid) {
			if (same_reason(&p->event, words))
				return i;
			reasons++;
			if (own == HISTORY_PLACES || p->event.order < c->places[own].event.order)
				own = i;
		}
	}
	/* Nor does who has a place become one of the others for one more reason. */
	return reasons == HISTORY_REASONS || (reasons && over == HISTORY_PLACES) ? own : over;
}

/* Is it time for a line? */
static bool line_due(const struct history_caused *c, size_t place, struct boot_time now)
{
	const struct history_place *p = &c->places[place];

	if (p->event.log_order && within(now, p->line_at, LOG_AGAIN_S))
		return false;
	for (size_t i = 0; i <= HISTORY_PLACES; i++) {
		const struct history_place *q = &c->places[i];
		bool same = i == place ||
			    (i < HISTORY_PLACES && place < HISTORY_PLACES && q->uid == p->uid);

		if (same && q->has_line && within(now, q->line_at, LINES_APART_S))
			return false;
	}
	return true;
}

/* How many there are but for `uid`; HISTORY_OTHERS: at least so many. */
static size_t count_others(struct history_caused *c, uid_t uid)
{
	for (size_t i = 0; i < c->others_count; i++)
		if (c->others[i] == uid)
			return c->others_count - 1 + c->others_more;
	if (c->others_count == HISTORY_OTHERS) {
		c->others_more = true;
		return HISTORY_OTHERS;
	}
	c->others[c->others_count++] = uid;
	return c->others_count - 1;
}

static void name_others(struct history_event *e, size_t others)
{
	size_t length = strlen(e->words);
	char text[64];
	int tail;

	if (!others)
		return;
	tail = snprintf(text, sizeof(text), " (and %s%zu other user%s)",
		others == HISTORY_OTHERS ? "at least " : "", others, others == 1 ? "" : "s");
	if (length + (size_t)tail >= sizeof(e->words))
		length = sizeof(e->words) - 1 - (size_t)tail;
	memcpy(e->words + length, text, (size_t)tail + 1);
}

void history_add_caused(struct history *h, const struct clock_reading *now, enum event_kind kind,
	uid_t uid, uint64_t generation, const char *format, ...)
{
	struct history_caused *c = caused_of(h, kind);
	struct history_place *p;
	char words[HISTORY_WORDS];
	va_list arguments;
	size_t place;

	va_start(arguments, format);
	vsnprintf(words, sizeof(words), format, arguments);
	va_end(arguments);
	place = place_of(c, now->boot, uid, words);
	p = &c->places[place];
	if (!goes_on(p, now->boot)) {
		begin(&p->event, now, kind);
		p->ended = false;
		if (place == HISTORY_PLACES) {
			c->others_count = 0;
			c->others_more = false;
		} else if (p->uid != uid) {
			p->has_line = false;
		}
		p->uid = uid;
	}
	happened(h, &p->event, now, generation);
	memcpy(p->event.words, words, sizeof(words));
	if (place == HISTORY_PLACES)
		name_others(&p->event, count_others(c, uid));
	if (!line_due(c, place, now->boot))
		return;
	worth_a_line(h, &p->event);
	p->has_line = true;
	p->line_at = now->boot;
}

const struct history_event *history_get(const struct history *h, uint64_t n)
{
	if (n < history_first(h) || n > h->count)
		return NULL;
	return &h->ring[(n - 1) % HISTORY_EVENTS];
}

uint64_t history_first(const struct history *h)
{
	return h->count > HISTORY_EVENTS ? h->count - HISTORY_EVENTS + 1 : 1;
}

static int by_order(const void *a, const void *b)
{
	uint64_t x = (*(const struct history_event *const *)a)->order;
	uint64_t y = (*(const struct history_event *const *)b)->order;

	return (x > y) - (x < y);
}

size_t history_all(const struct history *h, const struct history_event *ret[HISTORY_ALL])
{
	size_t n = 0;

	for (uint64_t i = history_first(h); i <= h->count; i++)
		ret[n++] = history_get(h, i);
	for (size_t kind = 0; kind < HISTORY_CAUSED_KINDS; kind++)
		for (size_t i = 0; i <= HISTORY_PLACES; i++)
			if (h->caused[kind].places[i].event.times)
				ret[n++] = &h->caused[kind].places[i].event;
	qsort(ret, n, sizeof(ret[0]), by_order);
	return n;
}

const char *event_kind_name(enum event_kind kind)
{
	return kinds[kind].name;
}

int event_kind_priority(enum event_kind kind)
{
	return kinds[kind].priority;
}

const char *event_kind_message_id(enum event_kind kind)
{
	return kinds[kind].message_id;
}
