/* A small world around the broker's model: clocks, a login server, requests under way, callers. It
 * passes time and checks after every event what the token source promises. The input decides which
 * events come.
 *
 * An honest server has one clock that drifts by 100 ppm at most, and its tokens are what they claim
 * to be: every token that is handed out must be good by the server's own clock. A hostile server
 * sends anything at any time: only promises that do not depend on it must hold. */
#ifndef TESTS_FUZZ_TOKEN_WORLD_H
#define TESTS_FUZZ_TOKEN_WORLD_H

#include "sim/broker_model.h"
#include <stdbool.h>

#define HELD_MAX 8
#define POSTS_MAX 4096
#define FACTS_MAX 64

/* What the world knows of a token, whatever the source thinks of it. */
struct token_fact {
	uint64_t generation; /* 0: none */
	char text[32];
	struct boot_time dead; /* as last seen */
	bool gone; /* revoked, refused by the API, or rejected and replaced: never to be seen again
		    */
	bool judged; /* from an honest server: the following is true */
	int64_t server_start_ns, server_end_ns;
	int64_t server_life_ends_ns; /* by expires_in alone */
	int64_t margin_ns;           /* not served this long before its end */
};

struct held_ask {
	bool used;
	enum ask_kind kind; /* as asked first; a rejection of an older token becomes a plain ask */
	struct call call;
	struct token_world *world;
};

struct request {
	bool under_way;
	struct clock_reading sent;
};

struct token_world {
	struct broker_model broker;
	struct clock_reading now;
	struct boot_time next; /* turn, if nothing happens before */

	bool honest;
	bool revoked;     /* by an admin, who has not asked for a new one since */
	int64_t theta_ns; /* server - boot at boot 0 */
	int64_t drift_ppm;
	int64_t bend_ppm; /* by NTP, against MONOTONIC_RAW and so against the server */

	struct request post, head, knock;
	/* as it was before the latest decision */
	bool forced;
	struct boot_time not_before;
	/* as it was when the latest exchange had been learnt from */
	bool dated;
	uint64_t serving;
	bool current_usable;
	struct token_fact facts[FACTS_MAX]; /* by generation % FACTS_MAX */
	struct held_ask held[HELD_MAX + 1]; /* the last one is not held */
	struct boot_time posts[POSTS_MAX], heads[POSTS_MAX];
	size_t post_count, head_count;
};

/* What a response says; an honest server says only the part of it that is true. */
struct response_plan {
	enum response_class class;
	bool same_token;
	bool dated;
	bool has_iat, has_nbf, has_exp;
	bool has_retry_after;
	int64_t retry_after_ns;
	int64_t expires_in_s;
	unsigned when;      /* 0 to 255: when between the request and the response it was made */
	unsigned stale;     /* 0 to 255: how stale its Date is, up to a second */
	int64_t date_off_s; /* hostile: how wrong */
	int64_t claim_off_s;
	bool round_up; /* honest: iat is rounded up */
};

void world_init(struct token_world *w, const struct token_source_settings *settings, uint64_t seed);
void world_fini(struct token_world *w);

/* After each event nothing is due. */
void world_advance(struct token_world *w, struct boot_time to);
void world_suspend(struct token_world *w, struct duration d, bool callers_first);
void world_step_wall(struct token_world *w, struct duration d, bool noticed);
void world_bend(struct token_world *w, int64_t ppm);
/* The server's clock steps, or our machine stood still: a hostile world only. */
void world_step_server(struct token_world *w, struct duration d);
void world_end_post(struct token_world *w, const struct response_plan *plan);
void world_end_head(struct token_world *w, const struct response_plan *plan);
void world_end_knock(struct token_world *w, const struct response_plan *plan);
void world_ask(struct token_world *w, const struct token_ask *ask);
void world_caller_vanishes(struct token_world *w, size_t which);
void world_revoke(struct token_world *w);
void world_configure(struct token_world *w, const struct token_source_settings *settings,
	bool request_changed, bool credential_changed);
void world_restart(struct token_world *w, uint64_t seed);

#endif
