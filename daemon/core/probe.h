/* When to ask the login server for its Date. A HEAD is timed so that the server writes its response
 * close to the start of a second by its own clock. Whether Date has ticked over by then halves the
 * interval each time, down to the round trip. There is one plan for each token endpoint.
 *
 * A POST is never timed this way: an exchange aimed by the estimate always agrees with it, and
 * would hide a step of the server's clock. */
#ifndef GCTOKEND_CORE_PROBE_H
#define GCTOKEND_CORE_PROBE_H

#include "skew.h"
#include "times.h"
#include <stdbool.h>

#define PROBES_AT_START 6
#define PROBES_ON_DEMAND 5
#define PROBES_KEPT_BACK 10         /* of a window, from what is measured on demand */
#define PROBES_BY_AGE 4             /* in one series, */
#define PROBES_BY_AGE_IN_AN_HOUR 12 /* and in all of them */
#define PROBES_FOR_CONFLICTS 3      /* from one POST to the next */
#define PROBES_IN_WINDOW 30         /* with knocks that are answered (knock.h); the last only */
/* after a step of our wall clock, or for a knock */
#define PROBE_WINDOW_S 300

struct probe_plan {
	bool enabled;
	bool foreign; /* HEADs are answered by another clock: send no more */
	bool judged;  /* the first HEAD was compared with the POST before it */
	bool urgent;  /* send the next at once instead of aiming it */
	bool in_flight;
	bool until_narrow; /* stop early once the interval is narrow enough */
	bool by_age;       /* the series is one that age made necessary */
	bool after_step;   /* what is wanted is urgent because our wall clock was stepped */
	bool knocking;     /* a knock is under way */
	unsigned wanted;
	unsigned for_conflicts; /* HEADs since the latest POST */
	unsigned failures;      /* in a row */
	struct boot_time not_before;
	struct boot_time planned; /* of the next HEAD; BOOT_TIME_NEVER: still to be aimed */
	struct duration rtt_min;  /* of all exchanges; 0: none yet */
	bool has_post;
	struct skew_sample post;                 /* the latest POST's */
	struct boot_time sent[PROBES_IN_WINDOW]; /* ring: the latest HEADs, and answers to knocks */
	unsigned sent_count;                     /* all of them ever */
	struct boot_time by_age_sent[PROBES_BY_AGE_IN_AN_HOUR]; /* ring: the latest of those */
	unsigned by_age_count;
};

enum probe_verdict {
	PROBE_USED = 0,
	PROBE_FOREIGN = 1, /* it proves that another clock answers HEAD: its sample is void */
};

void probe_init(struct probe_plan *p, bool enabled);
/* Wants the series after the first POST: up to PROBES_AT_START, until the interval is no wider than
 * max(100 ms, 1.25 round trips). */
void probe_want_series(struct probe_plan *p);
/* Wants at least `n` HEADs; wishes do not add up. `urgent`: the first one leaves at once. */
void probe_want(struct probe_plan *p, unsigned n, bool urgent);
/* Our wall clock was stepped: one HEAD at once, for which there is always room but after another
 * such step. */
void probe_want_after_step(struct probe_plan *p);
/* An exchange agreed with nothing known: one HEAD at once. But an answer that conflicts again leads
 * to the next, so there are PROBES_FOR_CONFLICTS at most until the next POST. */
void probe_want_after_conflict(struct probe_plan *p);
/* Somebody wants to know: one HEAD at once, which also shows a step of the server's clock, and then
 * a series until the interval is narrow, PROBES_ON_DEMAND in all at most. */
void probe_want_measure(struct probe_plan *p);
/* May that be wanted now? Not where it could take of the last PROBES_KEPT_BACK of the window, which
 * are for what the daemon itself has to know: then false, and *ret_at is when it may. */
bool probe_may_measure(
	const struct probe_plan *p, const struct clock_reading *now, struct boot_time *ret_at);
/* Call this when nothing is wanted. If age has made the estimate wider than max(250 ms, 3 round
 * trips), wants a series of PROBES_BY_AGE at most until it is narrow again;
 * PROBES_BY_AGE_IN_AN_HOUR are the limit. Returns when to call again if nothing is learnt until
 * then; BOOT_TIME_NEVER: no need to. */
struct boot_time probe_look_at_age(
	struct probe_plan *p, const struct skew *s, const struct clock_reading *now);
/* Is a HEAD under way, or still to be sent? */
bool probe_is_busy(
	const struct probe_plan *p, const struct skew *s, const struct clock_reading *now);
/* A POST had a response. `sample`: NULL if its Date proves nothing. */
void probe_posted(struct probe_plan *p, const struct skew_sample *sample, struct duration rtt);
/* When to send the next HEAD: now->boot or before means now, BOOT_TIME_NEVER means none is wanted.
 * It is aimed once and then kept until something is learnt, so call this at any wake-up. */
struct boot_time probe_next(
	struct probe_plan *p, const struct skew *s, const struct clock_reading *now);
/* The HEAD leaves now. */
void probe_sent(struct probe_plan *p, struct boot_time now);
/* When the window has room for a knock that is answered; in the past, if it has. */
struct boot_time probe_knock_from(const struct probe_plan *p);
/* A knock leaves, and a place is kept for it. */
void probe_knock_left(struct probe_plan *p);
/* It has ended. Answered, it is to the server a HEAD like any other. */
void probe_knock_ended(struct probe_plan *p, struct boot_time now, bool answered);
/* The HEAD ended. `sample`: NULL if there was no response or its Date proves nothing. Call this
 * before adding the sample to the estimate. */
enum probe_verdict probe_ended(struct probe_plan *p, const struct skew_sample *sample,
	struct duration rtt, struct boot_time now);

#endif
