/* What happened to a profile and why: a ring of the latest events. `why` shows them and the log is
 * written from them, so that the two never tell different stories. Tokens appear only as
 * fingerprints. */
#ifndef GCTOKEND_CORE_HISTORY_H
#define GCTOKEND_CORE_HISTORY_H

#include "times.h"
#include <stddef.h>
#include <stdint.h>

#define HISTORY_EVENTS 128
#define HISTORY_WORDS 320

enum event_kind {
	EVENT_STARTED,
	EVENT_TOKEN,      /* a new token */
	EVENT_SAME_TOKEN, /* the server returned the current one */
	EVENT_FETCH_FAILED,
	EVENT_CLIENT_REJECTED, /* the server refused the credentials or the request for good */
	EVENT_LOGIN_REQUIRED,
	EVENT_THROTTLED,
	EVENT_MINT_LIMIT,     /* a fetch has to wait for the limit */
	EVENT_CLAIMS_IGNORED, /* exp, nbf or iat contradict expires_in */
	EVENT_EXPIRED,        /* nothing left to serve */
	EVENT_REJECTED,       /* a caller says that the API refused the token */
	EVENT_REPLACED,       /* a rejected token was replaced */
	EVENT_WALL_STEP,
	EVENT_SERVER_STEP,   /* the server's clock ran ahead of what was known */
	EVENT_CLOCK_FOREIGN, /* HEAD is answered by another clock */
	EVENT_REFRESH_ASKED,
	EVENT_REVOKED,
	EVENT_RELOADED,
	EVENT_DENIED,
	EVENT_LOGGED_IN,    /* a person did */
	EVENT_LOGIN_FAILED, /* a person tried to */
	EVENT_LOGIN_ENDS,   /* a login that cannot be refreshed has little time left */
	EVENT_LOGGED_OUT,
	EVENT_STATE_FILE, /* state could not be written or read */
	EVENT_KINDS
};

struct history_event {
	uint64_t number; /* from 1, never reused in a run */
	struct clock_reading at;
	enum event_kind kind;
	uint64_t generation; /* 0: none */
	uint32_t times;      /* how often, where repeats are folded into one */
	char words[HISTORY_WORDS];
};

struct history {
	struct history_event ring[HISTORY_EVENTS];
	uint64_t count; /* of all events ever; the latest has this number */
};

void history_add(struct history *h, const struct clock_reading *now, enum event_kind kind,
	uint64_t generation, const char *format, ...) __attribute__((format(printf, 5, 6)));
/* For what a caller can cause at will: the same words within a minute of their first event raise
 * its `times` instead of pushing everything else out of the ring. */
void history_add_folded(struct history *h, const struct clock_reading *now, enum event_kind kind,
	const char *words);
/* The event of that number, NULL if it has been overwritten or is still to come. */
const struct history_event *history_get(const struct history *h, uint64_t number);
/* The oldest number still there; count + 1 when there is none. */
uint64_t history_first(const struct history *h);

/* "token", "fetch_failed", ... */
const char *event_kind_name(enum event_kind kind);
/* A syslog(3) priority. */
int event_kind_priority(enum event_kind kind);
/* A constant 128-bit id in hex, for the journal's MESSAGE_ID. */
const char *event_kind_message_id(enum event_kind kind);

#endif
