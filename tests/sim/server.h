/* The login server and the API behind it: one machine or several, each with its own clock; how they
 * respond to a token request and to HEAD, and which tokens the API accepts. */
#ifndef GCTOKEND_TESTS_SIM_SERVER_H
#define GCTOKEND_TESTS_SIM_SERVER_H

#include "core/exchange.h"
#include "core/random.h"
#include "sim.h"

#define SERVER_CLOCKS_MAX 3
#define SERVER_BODY_MAX 1024
#define SIM_EPOCH_S INT64_C(1767225600) /* 2026-01-01: the time of day when a run begins */

enum server_date {
	DATE_LIVE,
	DATE_CACHED, /* renewed once a second, at a moment of the server's own */
	DATE_ABSENT,
	DATE_FROZEN, /* as it was at the start of the run */
};

enum server_mood {
	SERVER_WELL,
	SERVER_REFUSES,     /* connections are refused at once */
	SERVER_SILENT,      /* no response ever comes */
	SERVER_SWALLOWS,    /* not even a connection comes about, nor is one refused */
	SERVER_HALF_SILENT, /* HEADs are answered, token requests are not */
	SERVER_BROKEN,      /* HTTP 503 */
	SERVER_THROTTLES,   /* HTTP 400 "rate limit exceeded", as Genesys has it */
	SERVER_BUSY, /* HTTP 429 for retry_after_s from then on, Retry-After in whole seconds */
	SERVER_BUSY_DATE, /* the same, Retry-After as a date of its own clock */
	SERVER_DENIES,    /* HTTP 401: wrong secret */
};

struct server_settings {
	struct duration ahead; /* of the true time of day; all its clocks */
	int drift_ppm;         /* of each clock, at most */
	unsigned clocks;       /* 0 means 1 */
	struct duration clocks_apart;
	struct duration last_ahead; /* the last of the clocks is ahead of the others by this */
	enum server_date date;
	struct duration date_ahead;      /* Date is written by a proxy whose clock is off by this */
	struct duration latency, jitter; /* one way */
	struct duration slower_back;     /* the way back takes this much longer */
	struct duration thinks;          /* between the request and the response */
	struct duration minted_before;   /* this long before the response leaves */
	int64_t lifetime_s;
	bool jwt;
	struct duration iat_ahead;  /* JWT: iat and nbf against the clock */
	unsigned live_max;          /* more tokens than that: the oldest dies; 0: no limit */
	unsigned requests_in_60_s;  /* more than that are throttled; 0: no limit */
	int64_t retry_after_s;      /* how long it is busy */
	int64_t same_token_until_s; /* gives the same token while it lives longer; 0: never */
};

struct server_token {
	int64_t exp_s, from_s; /* by the clock of whoever judges */
	bool dead;             /* evicted or revoked */
};

struct server {
	struct sim *sim;
	struct server_settings settings;
	struct random random;
	int64_t clock_ns[SERVER_CLOCKS_MAX], ppm[SERVER_CLOCKS_MAX];
	struct duration date_phase;
	enum server_mood mood;
	struct true_time mood_since;
	struct server_token *tokens; /* by id, from 0 */
	size_t count, room;
	size_t oldest_live;
	struct true_time recent[64]; /* ring: latest token requests */
	uint64_t requests, heads;
};

/* What the server put into its response. */
struct server_response {
	long status;
	char date[40], retry_after[40];
	char body[SERVER_BODY_MAX];
};

enum api_verdict {
	API_TAKES,
	API_EXPIRED,
	API_TOO_EARLY, /* a JWT whose nbf or iat has not come */
	API_REVOKED,   /* evicted or revoked */
};

void server_init(
	struct server *s, struct sim *sim, const struct server_settings *settings, uint64_t seed);
void server_fini(struct server *s);

/* One way through the network, at random. */
struct duration server_latency(struct server *s);
/* How long it takes from the request's arrival until the response leaves. */
struct duration server_thinks(struct server *s);
bool server_listens(const struct server *s);

/* The response leaves now. */
void server_respond_post(struct server *s, struct server_response *ret);
void server_respond_head(struct server *s, struct server_response *ret);

void server_set_mood(struct server *s, enum server_mood mood);
void server_step(struct server *s, struct duration by);
/* All tokens of the OAuth client die: too many others were minted, or an admin did it. */
void server_evict_all(struct server *s);

/* The id of a token that this server made. */
uint64_t server_token_id(const char *text);
/* Judged now, by one of the clocks at random. */
enum api_verdict server_api(struct server *s, uint64_t token_id);
/* How long the API will accept it for sure, by the clock furthest ahead; negative: it is dead. */
struct duration server_token_left(const struct server *s, uint64_t token_id);
/* A clock of the server against BOOTTIME. */
struct duration server_theta(const struct server *s, unsigned clock, struct boot_time boot);
unsigned server_clocks(const struct server *s);

#endif
