/* Programs without a broker, for comparison: each keeps a token of its own.
 *
 * The usual method trusts it until `received + expires_in - buffer` by one of the machine's clocks,
 * and fetches the next one when it needs it. Some programs also measure the skew (the midpoint of
 * the request by the local wall clock, less the JWT's iat, or less the response's Date if there is
 * no iat) and correct the buffer by it. They do nothing else, and are made for a world whose server
 * always responds.
 *
 * The careful method is what twenty good lines do: the life is counted from before the request, on
 * CLOCK_BOOTTIME, and the next token is fetched ahead while the old one serves. A fetch that fails
 * is tried again after 5 s, or when a call needs it; a call waits for 5 s at most. Some count a
 * forward step of the wall clock as time that has passed. If callers report what the API refuses,
 * so does this process: it drops the token.
 */
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
	bool monotonic; /* CLOCK_MONOTONIC, which stops in suspend, instead of the wall clock */
	/* the careful method */
	bool careful;
	bool wall_steps;                     /* a forward step counts as time */
	unsigned serve_percent;              /* of expires_in; 0: all but min(5 s, a tenth) */
	unsigned refresh_from, refresh_till; /* percent of expires_in */
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
	bool resting, reports;

	bool has_token;
	uint64_t token_id;
	int64_t good_until_ns; /* by the policy's clock */
	bool fetching;
	uint64_t fetch; /* serial: a process that ended no longer waits for its response */
	unsigned held;
	uint64_t held_first, held_next; /* serials of those held */
	struct boot_time refresh_at, failed_at;
	struct duration wall_ref; /* when the token's request left */
	struct clock_reading began;
	struct server_response response;
	int64_t error_sum_ns;

	uint64_t calls, waited, denied, posts, used, refused;
	struct baseline_error errors[BASELINE_EXCHANGES];
	unsigned exchanges;
};

void baseline_init(struct baseline *b, struct sim *sim, struct machine *machine,
	struct server *server, const struct baseline_policy *policy, unsigned in_an_hour,
	bool reports, uint64_t seed);
/* The process restarts and forgets its token. */
void baseline_restart(struct baseline *b);

#endif
