/* What happened to a profile and why: a ring of the latest events, and apart from it what users
 * caused, so that nobody pushes out what matters. `why` shows both and the log is written from
 * them, so that the two never tell different stories. Tokens appear only as fingerprints.
 *
 * What a user can cause at will is one event for each kind and user for as long as it goes on,
 * which is until a minute has passed without it, or until a reload; where users are refused, one
 * for each of their latest reasons. It is worth a line in the log when it begins and then once an
 * hour, of a kind and user never two within a second. Each kind has HISTORY_PLACES; those who come
 * when all are taken share one event, which says how many they are.
 */
#ifndef GCTOKEND_CORE_HISTORY_H
#define GCTOKEND_CORE_HISTORY_H

#include "times.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HISTORY_EVENTS 128
#define HISTORY_WORDS 320
#define HISTORY_CAUSED_KINDS 4 /* denied, login_failed, reported, refresh_asked */
#define HISTORY_PLACES 15      /* of each of these */
#define HISTORY_REASONS 3      /* places of one user */
#define HISTORY_OTHERS 64      /* how many users without a place are told apart */
#define HISTORY_ALL (HISTORY_EVENTS + HISTORY_CAUSED_KINDS * (HISTORY_PLACES + 1))

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
	EVENT_FLEET, /* what other hosts of the fleet did */
	EVENT_FLEET_TROUBLE,
	EVENT_STATE_FILE, /* state could not be written or read */
	EVENT_SECRETS,    /* what was renewed on disk cannot be used */
	EVENT_KINDS
};

struct history_event {
	uint64_t order;          /* from 1: the later, the higher; a repeat gives a new one */
	uint64_t log_order;      /* what it had when it was last worth a line in the log */
	struct clock_reading at; /* the latest, where repeats are folded into one */
	struct clock_reading since;
	enum event_kind kind;
	uint64_t generation; /* 0: none */
	uint32_t times;
	char words[HISTORY_WORDS];
};

struct history_place {
	struct history_event event; /* times 0: the place is free */
	uid_t uid;
	bool ended; /* by a reload: the same again is another event */
	bool has_line;
	struct boot_time line_at; /* when it was last worth a line */
};

/* What users did of one kind. */
struct history_caused {
	struct history_place places[HISTORY_PLACES + 1]; /* the last is all others' */
	uid_t others[HISTORY_OTHERS];
	size_t others_count;
	bool others_more; /* than there is room for */
};

/* Zero is empty. */
struct history {
	struct history_event ring[HISTORY_EVENTS];
	uint64_t count; /* of all events that were ever in the ring */
	struct history_caused caused[HISTORY_CAUSED_KINDS];
	uint64_t order;
	uint64_t log_order; /* the highest of an event worth a line */
};

void history_add(struct history *h, const struct clock_reading *now, enum event_kind kind,
	uint64_t generation, const char *format, ...) __attribute__((format(printf, 5, 6)));
/* What `uid` caused: of EVENT_DENIED, EVENT_LOGIN_FAILED, EVENT_REJECTED or EVENT_REFRESH_ASKED.
 * The words and the generation are those of the latest. */
void history_add_caused(struct history *h, const struct clock_reading *now, enum event_kind kind,
	uid_t uid, uint64_t generation, const char *format, ...)
	__attribute__((format(printf, 6, 7)));
/* The nth event of the ring, from 1, NULL if it has been overwritten or is still to come. */
const struct history_event *history_get(const struct history *h, uint64_t n);
/* The oldest still there; count + 1 when there is none. */
uint64_t history_first(const struct history *h);
/* All there is, in order of time, newest last. Returns how many. */
size_t history_all(const struct history *h, const struct history_event *ret[HISTORY_ALL]);

/* "token", "fetch_failed", ... */
const char *event_kind_name(enum event_kind kind);
/* A syslog(3) priority. */
int event_kind_priority(enum event_kind kind);
/* A constant 128-bit id in hex, for the journal's MESSAGE_ID. */
const char *event_kind_message_id(enum event_kind kind);

#endif
