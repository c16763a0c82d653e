/* Scenarios: what the world is like, what happens in it, and what must come of it. */
#ifndef GCTOKEND_TESTS_SIM_SCENARIOS_H
#define GCTOKEND_TESTS_SIM_SCENARIOS_H

#include "callers.h"
#include "driver.h"
#include "machine.h"
#include "server.h"

enum happening_kind {
	HAPPENS_NOTHING,     /* ends the list */
	HAPPENS_WALL_STEP,   /* by: ms; our wall clock is set */
	HAPPENS_SLEW,        /* by: ppm, 0 ends it */
	HAPPENS_SUSPEND,     /* by: ms */
	HAPPENS_PAUSE,       /* by: ms; a hypervisor holds the machine */
	HAPPENS_SERVER_STEP, /* by: ms; the servers' clocks are set */
	HAPPENS_MOOD,        /* by: enum server_mood */
	HAPPENS_EVICTION,    /* all live tokens of the OAuth client die */
	HAPPENS_RESTART,     /* of the daemon */
	HAPPENS_STORM,       /* by: so many calls at once */
	HAPPENS_REJECTIONS,  /* by: so many reject the token they have */
	HAPPENS_REST,        /* by: 1: callers stop asking; 0: they ask again */
};

struct happening {
	enum happening_kind kind;
	int64_t at_s;
	int64_t within_s; /* at most this much later, by the seed */
	int64_t by;       /* see the kinds */
	unsigned times;   /* 0 means once */
	int64_t every_s;
};

#define HAPPENINGS_MAX 8

struct expectation {
	/* Token requests in all. */
	unsigned posts_min, posts_max;
	uint64_t heads_max;              /* 0: not judged */
	uint64_t knocks_min, knocks_max; /* 0: not judged */
	/* Calls that had to wait, and that got nothing. */
	uint64_t waited_max, errors_max;
	uint64_t longest_wait_ms; /* 0: not judged */
	/* So many the API may refuse: handed out in blind time; handed out before it and used in
	 * it or later; evicted; by a cluster just after the start. */
	uint64_t blind_max, overtaken_max, revoked_max, cold_max;
	/* Percentage of estimates whose interval holds the truth; 0 means all. */
	unsigned covered_percent;
	bool no_estimate;
	/* The estimate's error after 8 exchanges; 0: not judged. */
	int64_t point_error_ms;
	/* Fetching fails in [from, until): there may be one request a second in the first minute,
	 * then so many a minute (0 means two, as it is while nobody is refused); and the request
	 * that brings a token again leaves so long after its end. */
	int64_t failing_from_s, failing_until_s, recovered_in_s;
	unsigned failing_in_minute;
	/* At most so many requests in that time; 0: not judged. */
	unsigned failing_posts_max;
};

struct scenario {
	const char *name;
	const char *what;
	int64_t hours;
	unsigned seeds; /* 0 means 3 */
	struct machine_settings machine;
	struct server_settings server;
	struct driver_settings driver;
	struct caller_load load;
	struct happening happenings[HAPPENINGS_MAX];
	struct expectation expect;
};

/* One file each. */
struct scenario_table {
	const struct scenario *entries;
	size_t count;
};

extern const struct scenario_table scenarios_days, scenarios_clock, scenarios_server,
	scenarios_trouble, scenarios_rejections;

/* All tables one after the other; NULL past the end. */
const struct scenario *scenario_get(size_t index);

#endif
