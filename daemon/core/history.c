#include "history.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#define FOLD_WITHIN_S 60

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
	[EVENT_STATE_FILE] = {"state_file", LOG_ERR, "c4f96f3e67ac449787f3f486ce9e23ab"},
};

static struct history_event *history_place(struct history *h, const struct clock_reading *now,
	enum event_kind kind, uint64_t generation)
{
	struct history_event *e = &h->ring[h->count++ % HISTORY_EVENTS];

	*e = (struct history_event){
		.number = h->count, .at = *now, .kind = kind, .generation = generation, .times = 1};
	return e;
}

void history_add(struct history *h, const struct clock_reading *now, enum event_kind kind,
	uint64_t generation, const char *format, ...)
{
	struct history_event *e = history_place(h, now, kind, generation);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(e->words, sizeof(e->words), format, arguments);
	va_end(arguments);
}

void history_add_folded(
	struct history *h, const struct clock_reading *now, enum event_kind kind, const char *words)
{
	struct history_event *e;

	for (uint64_t n = h->count; n >= history_first(h); n--) {
		e = &h->ring[(n - 1) % HISTORY_EVENTS];
		if (boot_since(now->boot, e->at.boot).ns > FOLD_WITHIN_S * NS_PER_S)
			break;
		if (e->kind == kind && !strncmp(e->words, words, sizeof(e->words) - 1)) {
			e->times++;
			return;
		}
	}
	e = history_place(h, now, kind, 0);
	snprintf(e->words, sizeof(e->words), "%s", words);
}

const struct history_event *history_get(const struct history *h, uint64_t number)
{
	if (number < history_first(h) || number > h->count)
		return NULL;
	return &h->ring[(number - 1) % HISTORY_EVENTS];
}

uint64_t history_first(const struct history *h)
{
	return h->count > HISTORY_EVENTS ? h->count - HISTORY_EVENTS + 1 : 1;
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
