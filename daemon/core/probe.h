/* When to ask the login server for its Date. A HEAD is sent so that the answer is written just
 * around a second boundary of the server's clock: whether Date has ticked over then halves the
 * interval, each time, down to the round trip. One plan for each token endpoint.
 *
 * A POST is never timed like this: an exchange aimed by the estimate always agrees with it, and
 * would hide that the server's clock was stepped. */
#ifndef GCTOKEND_CORE_PROBE_H
#define GCTOKEND_CORE_PROBE_H

#include "skew.h"
#include "times.h"
#include <stdbool.h>

#define PROBES_AT_START 6
#define PROBES_IN_WINDOW 30
#define PROBE_WINDOW_S 300

struct probe_plan {
	bool enabled;
	bool foreign; /* another clock answers there: never again */
	bool judged;  /* the first HEAD has been held against its POST */
	bool urgent;  /* send at once, not aligned */
	bool in_flight;
	bool until_narrow; /* what is wanted ends early when the interval is narrow enough */
	unsigned wanted;
	unsigned failures; /* in a row */
	struct boot_time not_before;
	struct boot_time planned; /* the next HEAD, once aimed; BOOT_TIME_NEVER: to be aimed anew */
	struct duration rtt_min;  /* over every exchange; 0: none yet */
	bool has_post;
	struct skew_sample post;                 /* of the latest POST */
	struct boot_time sent[PROBES_IN_WINDOW]; /* ring of the latest */
	unsigned sent_count;                     /* all */
};

enum probe_verdict {
	PROBE_USED = 0,
	PROBE_FOREIGN =
		1, /* just proved that another clock answers HEAD; the sample must not be used */
};

void probe_init(struct probe_plan *p, bool enabled);
/* The series after the first POST: up to PROBES_AT_START, until the interval is no wider than
 * max(100 ms, 1.25 round trips). */
void probe_want_series(struct probe_plan *p);
/* Wants `n` HEADs more than none (never fewer than wanted already). `urgent`: the first one at
 * once. */
void probe_want(struct probe_plan *p, unsigned n, bool urgent);
/* A POST was answered: its sample (NULL: no usable Date), and how many HEADs are good after it. */
void probe_posted(struct probe_plan *p, const struct skew_sample *sample, struct duration rtt);
/* When the next HEAD is to be sent, at or before now->boot when that is now; BOOT_TIME_NEVER if
 * none is. Aimed once and kept until something is learnt, so that it may be asked at every wake-up.
 */
struct boot_time probe_next(
	struct probe_plan *p, const struct skew *s, const struct clock_reading *now);
/* The HEAD leaves now. */
void probe_sent(struct probe_plan *p, struct boot_time now);
/* The HEAD came back; to be asked before the sample (NULL: no usable Date) is added to the
 * estimator. */
enum probe_verdict probe_answered(struct probe_plan *p, const struct skew_sample *sample,
	struct duration rtt, struct boot_time now);

#endif
