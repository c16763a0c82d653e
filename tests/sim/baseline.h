/* What programs do without a broker, as it is commonly written: each keeps a token of its own,
 * believes in it until `received + expires_in - buffer` by a clock of its machine, and fetches the
 * next when it needs one. Some also measure the skew (the midpoint of the request by the local wall
 * clock, less the JWT's iat, or the answer's Date where there is none) and correct the buffer by
 * it. Nothing else is done: no report of a token that the API refuses, no fetching ahead.
 *
 * One process, in a world whose server answers. */
#ifndef GCTOKEND_TESTS_SIM_BASELINE_H
#define GCTOKEND_TESTS_SIM_BASELINE_H

#include "core/random.h"
#include "machine.h"
#include "server.h"

#define BASELINE_EXCHANGES 12

enum baseline_skew {
	BASELINE_SKEW_UNUSED,
	BASELINE_SKEW_TAKEN_OFF, /* buffer - skew: "our clock is ahead, so its end comes later" */
	BASELINE_SKEW_ADDED,     /* buffer + |skew|: cautious, and costly */
};

struct baseline_policy {
	const char *name;
	struct duration buffer;
	enum baseline_skew skew;
	bool monotonic; /* not the wall clock but CLOCK_MONOTONIC, which stands still in suspend */
};

/* Of the n-th exchange: the server's clock less ours, as estimated, less what it truly was. */
struct baseline_error {
	struct duration latest, mean; /* the exchange alone; the mean of all so far */
	bool covered;                 /* the truth is within half the round trip of the latest */
};

struct baseline {
	struct sim *sim;
	struct machine *machine;
	struct server *server;
	struct baseline_policy policy;
	unsigned in_an_hour;
	struct random random;
	bool resting;

	bool has_token;
	uint64_t token_id;
	int64_t good_until_ns; /* by the policy's clock */
	bool fetching;
	uint64_t fetch; /* serial; what a process that ended was waiting for is nobody's */
	unsigned held;
	struct clock_reading began;
	struct server_answer answer;
	int64_t error_sum_ns;

	uint64_t calls, waited, posts, used, rejected;
	struct baseline_error errors[BASELINE_EXCHANGES];
	unsigned exchanges;
};

void baseline_init(struct baseline *b, struct sim *sim, struct machine *machine,
	struct server *server, const struct baseline_policy *policy, unsigned in_an_hour,
	uint64_t seed);
/* The process is started anew: its token is forgotten. */
void baseline_restart(struct baseline *b);

#endif
