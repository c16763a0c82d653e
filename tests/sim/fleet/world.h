/* Hosts that share a token: the shipped token source and fleet core on each, a clock of its own
 * each, one store, one login server, and trouble. */
#ifndef TESTS_SIM_FLEET_WORLD_H
#define TESTS_SIM_FLEET_WORLD_H

#include "login.h"
#include "store.h"

#include "core/history.h"
#include "core/retry.h"
#include "core/skew.h"
#include "core/token_source.h"

/* What can befall whoever sends a token request, and how often in a hundred. */
struct minter_trouble {
	unsigned killed, stopped, cut_from_store, cut_from_login;
	unsigned set_back; /* the store's clock, by up to an hour */
};

/* What happens about three times in the life of a token; how likely each is beside the others. */
struct trouble {
	unsigned login_down, failover, failover_back, flush, step, revoke, store_away, part;
	unsigned false_reports; /* of a token that the API takes, on all hosts within 2 s */
};

/* A rule of the core that is left out, to see that it is noticed. */
enum mutant {
	MUTANT_NONE,
	MUTANT_NO_AGE,
	MUTANT_NO_REDATE,
	MUTANT_NO_RESTORE,
	MUTANT_NO_BREAK,
	MUTANT_NO_CHECK_LEASE,
	MUTANT_NO_VERDICT
};

struct world_settings {
	const char *name;
	struct minter_trouble minter;
	struct trouble trouble;
	bool followers;         /* four of five hosts have no secret and only follow */
	bool dates;             /* hosts know the login server's clock */
	bool store_loses;       /* what it counted: mint_limit may be passed by as much again */
	unsigned posts_percent; /* at most so many POSTs, in hundredths, in the life of a token */
	unsigned without_ppm;   /* and so many looks of a million find no token */
	unsigned heads_at_once; /* and so many HEADs about a token in a cool-down; 0: any number */
};

struct world_figures {
	uint64_t looks, without, refused, past_end, posts, operations;
	struct duration past_end_most;
	size_t live_most;
	unsigned posts_in_window; /* the most in 300 s */
	uint64_t heads, waves;    /* questions to the API; how often all hosts were to report */
	unsigned heads_at_once;   /* the most about one token in 30 s */
	uint64_t adopted, restored, superseded, steps, broken, alone, undated, held;
	bool converged;
};

struct world_run {
	const struct world_settings *settings;
	enum mutant mutant;
	unsigned hosts;
	int64_t life_s, hours;
	uint64_t seed;
};

void world_run(const struct world_run *run, struct world_figures *ret);

/* ---- between its files ---- */

struct host {
	struct world *world;
	int index;
	int64_t boot_ns, ppm; /* its clock */
	struct token_source source;
	struct mint_window mint;
	struct history history;
	struct fleet fleet;
	struct sealed sealed; /* the current one's */
	struct skew skew;
	uint64_t generation;
	uint64_t life; /* number of this run of the daemon */
	uint64_t link; /* and of its connection */
	uint64_t wake; /* of the timer that counts */
	bool connected, posting, asking_api;
	struct true_time stopped_until, cut_until, login_cut_until, pushed_at;
};

/* When something happened, as often as counts. */
struct world_times {
	struct true_time at[1024];
	size_t count;
};

struct world {
	const struct world_run *run;
	struct sim sim;
	struct random random;
	struct store store;
	struct login login;
	struct host *hosts;
	struct store_data replica; /* what a failover brings back */
	struct true_time trouble_until;
	struct world_figures figures;
	struct world_times posts, heads;
	size_t head_token; /* what the API was asked about */
};

static inline int64_t world_upto(struct world *w, int64_t most)
{
	return random_duration(&w->random, duration_ns(most)).ns;
}

static inline bool world_chance(struct world *w, unsigned percent)
{
	return random_next(&w->random) % 100 < percent;
}

/* Some host knows when the store's token ends, or there is none: whoever sets the clock is noticed.
 * Otherwise nobody can tell; docs/fleet.md says so. */
bool world_dates(struct world *w);
/* It happens now: how often within that time until now. */
unsigned world_note(struct world *w, struct world_times *times, struct duration within);

/* ---- its hosts ---- */

void host_start(struct host *h);
/* Killed, and started again in a moment. */
void host_kill(struct host *h);
void host_stop(struct host *h, struct duration d);
/* From the store: noticed after fleet_timeout; then it connects again. */
void host_cut(struct host *h, struct duration d);
void host_cut_from_login(struct host *h, struct duration d);
/* The connection is reset; it tries to connect again. */
void host_lose_link(struct host *h);
/* Its program uses the token. */
void host_look(struct host *h);
/* Its program says that the API refused the token, which is not so. */
void host_report(struct host *h);

#endif
