/* Until when one token may be handed out, judged by its own exchange and by later ones, on
 * CLOCK_BOOTTIME alone: neither a wrong wall clock nor a step of it nor a suspend matters.
 *
 *   end   = sent + (L - 1 s)(1 - rho); with a JWT's exp and a Date, where that comes earlier, the
 *           instant at which the server's clock surely has not yet passed exp
 *   dead  = end - step - bent - spread - min(use_margin, L/10)
 *   valid = received; with nbf or iat, when all of the server's clocks surely have passed them
 *
 * Caution has bounds, whatever any Date or claim says: spread counts for at most L/10, and a new
 * token is held back for at most 4 s where nothing else serves, 10 s while an older one does. If by
 * the Date it began in more than 10 s, the Date is not believed.
 *
 * bent is how far NTP has held our own clock back meanwhile, by CLOCK_MONOTONIC_RAW: a clock that
 * is slewed cannot stretch a life.
 *
 * step is how far the server's clock later turned out to run ahead of what this token's exchange
 * allowed for (stepped, or our machine was paused). A single exchange may lie, so it counts once a
 * second one says at least as much, or our wall clock was stepped by the same amount (+-3 s, and
 * what round trips and drift can hide). suspect is a forward step of our wall clock since the last
 * exchange: NTP repaired a wrong clock, or the machine stood still and time was lost; nobody can
 * tell until an exchange answers. */
#ifndef GCTOKEND_CORE_LIFETIME_H
#define GCTOKEND_CORE_LIFETIME_H

#include "jwt_claims.h"
#include "random.h"
#include "skew.h"
#include "times.h"
#include <stdbool.h>

struct lifetime_policy {
	struct duration use_margin;
	bool refresh_margin_auto;
	struct duration refresh_margin;
};

/* All that is known when a token arrives. */
struct lifetime_evidence {
	struct clock_reading sent;
	struct boot_time received;
	const struct skew_sample *sample; /* NULL: its response's Date proves nothing */
	struct duration expires_in;       /* L */
	struct jwt_claims claims;
	struct duration spread; /* of the estimator, this exchange included */
	bool background;        /* an older token still serves */
};

struct lifetime {
	struct clock_reading sent;
	struct boot_time received;
	struct boot_time end;
	struct boot_time valid;       /* not before this */
	struct boot_time guard_until; /* while the older token serves, not before this */
	struct duration issued;       /* L */
	struct duration margin;       /* min(use_margin, L/10) */
	struct duration spread;       /* the widest so far that counts: dead never moves back out */
	bool dated;
	struct duration hi0;                    /* theta's upper bound then, where dated */
	struct duration step_most, step_second; /* the two largest steps seen */
	struct duration step;                   /* what counts */
	struct duration bent;                   /* the most so far */
	struct duration wall_ref;               /* wall offset at the last exchange */
	struct boot_time wall_ref_at;           /* and when that was */
	bool by_exp;                            /* exp decides, not expires_in */
};

enum lifetime_verdict {
	LIFETIME_FINE = 0,
	LIFETIME_CLAIMS_IGNORED = 1, /* they contradict the response's own expires_in */
	LIFETIME_DEAD = 2,           /* of no use even so: *ret is not set */
};

enum lifetime_verdict lifetime_begin(struct lifetime *ret, const struct lifetime_evidence *e,
	const struct lifetime_policy *policy);

struct boot_time lifetime_dead(const struct lifetime *l);
/* When use_margin is over as well: a token that arrives by then may still be accepted. */
struct boot_time lifetime_over(const struct lifetime *l);
/* dead - m - random(0 .. m/4), m = max(10 s, 15 % of L) but at most L/4, or the configured margin
 * (half of L at most); never in the first half of the time the token can be served. The longer a
 * token lives, the longer an outage at its end may last before a caller notices: no upper bound. */
struct boot_time lifetime_refresh_at(
	const struct lifetime *l, const struct lifetime_policy *policy, struct random *random);
/* The latest that lifetime_refresh_at can return. */
struct boot_time lifetime_refresh_latest(
	const struct lifetime *l, const struct lifetime_policy *policy);

/* Takes off what our clock has been held back by, as of now. */
void lifetime_look(struct lifetime *l, const struct clock_reading *now);

/* A forward wall step not yet explained; zero up to half a second. */
struct duration lifetime_suspect(const struct lifetime *l, const struct clock_reading *now);

enum lifetime_step {
	LIFETIME_STEP_NONE = 0,
	LIFETIME_STEP_ALONE = 1,   /* one exchange says so: refresh and ask again */
	LIFETIME_STEP_COUNTED = 2, /* `step` grew */
};

/* A later exchange, already added to the estimator whose spread is given. */
enum lifetime_step lifetime_exchange(
	struct lifetime *l, const struct skew_sample *sample, struct duration spread);

#endif
