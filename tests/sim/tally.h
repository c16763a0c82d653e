/* Counts what happens in a run, and checks what is promised of every run.
 *
 * Blind time begins when the server's clock is stepped or a hypervisor holds our machine, and the
 * broker cannot know it yet. It ends with the second exchange after that (one alone may lie), when
 * our wall clock is set ahead by the time that was lost, or two seconds (the longest guard) after a
 * new token. What the API refuses in blind time is measured, not promised, and is counted apart.
 * So are a JWT from before the server's clock was set back, while that clock is before its nbf, and
 * a doubtful token that is handed out as stale because the fetch to replace it failed. */
#ifndef GCTOKEND_TESTS_SIM_TALLY_H
#define GCTOKEND_TESTS_SIM_TALLY_H

#include "core/probe.h"
#include "core/token_ask.h"
#include "core/token_source.h"
#include "server.h"
#include "sim.h"

#define TALLY_FAILURES_MAX 6
#define TALLY_REJECTED 8
#define TALLY_POINT_AT 8 /* exchanges after which the estimate's error is taken */
#define TALLY_EXCHANGES 12

struct tally_post {
	struct true_time at;
	struct boot_time boot;
	bool barren;           /* the server made no token for it */
	bool token;            /* it brought one */
	struct true_time came; /* then */
};

struct tally {
	struct sim *sim;
	uint64_t calls, served, stale, waited, longest_wait_ms;
	uint64_t errors;          /* calls that got no token */
	uint64_t errors_needless; /* while the newest token had long to live */
	uint64_t outcomes[OUTCOME_TIMEOUT + 1];
	uint64_t refused_early, refused_late; /* by the API, where it must not */
	uint64_t refused_blind, refused_overtaken, refused_cold, refused_revoked;
	uint64_t kept; /* tokens used again at the very end of their expires_in */
	uint64_t restarts;
	struct tally_post *posts;
	size_t post_count, post_room;
	uint64_t heads, knocks, exchanges;
	/* When the latest HEADs of either kind left that were answered, in order; of this run of
	 * the daemon. */
	struct boot_time answered[PROBES_IN_WINDOW + 1];
	size_t answered_count;

	bool blind, cluster;
	struct true_time disturbed_at, blind_ends;
	struct duration lost;
	uint64_t generation_then; /* the newest when it happened */
	unsigned exchanges_since;
	bool ever_disturbed;

	uint64_t estimates, covered, tight_covered;
	unsigned clocks_most;
	struct duration point_error; /* negative: not taken */
	/* After each of the first exchanges: the estimate less the truth, for a single clock. */
	struct {
		bool taken, covered;
		struct duration error;
	} early[TALLY_EXCHANGES];

	/* The estimate at regular instants, of a single clock: its error and its width. */
	uint64_t looks;
	double look_squares_s2;
	struct duration look_worst, look_widest;

	uint64_t generation;               /* the newest that came */
	struct boot_time dead;             /* its */
	uint64_t rejected[TALLY_REJECTED]; /* ring: the latest that were rejected with effect */
	uint64_t rejected_count;

	unsigned failure_count;
	char failures[TALLY_FAILURES_MAX][200];
};

void tally_init(struct tally *t, struct sim *sim, bool cluster);
void tally_fini(struct tally *t);
void tally_fail(struct tally *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The server's clock was stepped (lost 0), or we lost time. */
void tally_disturbed(struct tally *t, struct duration lost);
void tally_wall_stepped(struct tally *t, struct duration by);
bool tally_blind(const struct tally *t);

/* Returns its index in `posts`. */
size_t tally_posted(struct tally *t, struct boot_time now);
/* A HEAD was answered, whether it asked for the time or knocked. */
void tally_head_answered(struct tally *t, struct boot_time sent);
/* The daemon begins again, and so does what it may send. */
void tally_restarted(struct tally *t);
/* An exchange with a usable Date ended. */
void tally_exchanged(struct tally *t, struct true_time sent);
void tally_token_came(struct tally *t, struct true_time sent, uint64_t generation);
/* Compares the estimate now with the truth. */
void tally_estimate(struct tally *t, const struct skew *skew, const struct server *server,
	const struct clock_reading *now);
/* What an operator who looks now is shown. */
void tally_look(struct tally *t, const struct skew *skew, const struct server *server,
	const struct clock_reading *now);
/* After every decision. */
void tally_source(struct tally *t, const struct token_source *source);
/* `awaited`: it is being replaced, and the caller could have waited for that. */
void tally_served(struct tally *t, uint64_t generation, bool awaited);
/* A rejection was accepted. */
void tally_rejected(struct tally *t, uint64_t generation);

/* The API judged a token that was handed out at `served`; `blind`: in blind time. */
void tally_api(struct tally *t, enum api_verdict verdict, struct true_time served, bool blind,
	uint64_t generation);

/* Most token requests in any `window` of BOOTTIME within [from, until) of true time; `minting`: of
 * those that may have made a token. */
unsigned tally_posts_in(const struct tally *t, struct duration window, struct true_time from,
	struct true_time until, bool minting);

#endif
