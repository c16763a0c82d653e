/* The life of a token that another host of the fleet requested: what this host knows is an end that
 * core/fleet judged by the order of events at the store, and, authenticated by the host that minted
 * it, an end by the login server's clock, which this host measures as well. From there on it is
 * judged by later exchanges like any other life. */
#ifndef GCTOKEND_CORE_LIFETIME_ADOPT_H
#define GCTOKEND_CORE_LIFETIME_ADOPT_H

#include "lifetime.h"

#include <stdbool.h>

struct lifetime_adoption {
	struct clock_reading now; /* when it came */
	struct boot_time end;     /* as core/fleet knows it */
	struct duration issued;
	struct duration not_before;  /* it is not to be used at once, but so much later */
	struct wall_time server_end; /* its end by the login server's clock, at the earliest;
					ns 0: not known */
	struct duration spread;      /* of the estimator of that clock */
	bool background;             /* an older token still serves */
};

/* LIFETIME_FINE or LIFETIME_DEAD, as lifetime_begin. */
enum lifetime_verdict lifetime_adopt(struct lifetime *ret, const struct lifetime_adoption *a,
	const struct lifetime_policy *policy);

/* For other hosts: when a token ends by the server's clock, at the earliest. `sample`: of the
 * response that brought it; NULL: ns 0, nothing is known. */
struct wall_time lifetime_server_end(
	const struct skew_sample *sample, struct duration issued, const struct jwt_claims *claims);
/* The earliest instant at which the server's clock may say `server_end`, as far as it is known now;
 * BOOT_TIME_NEVER: it is not. To be asked for when a token is adopted, and after each later
 * exchange: fleet_ends and token_source_end_earlier take it. */
struct boot_time lifetime_ceiling(
	const struct skew *skew, const struct clock_reading *now, struct wall_time server_end);

/* When a shared token is to be replaced: by the host that requested it at 66 % of its life, by the
 * others at 70 to 80 %, so that normally that host alone asks. One request serves all, and an
 * outage of a third of a life is noticed by no caller. */
struct boot_time lifetime_shared_refresh_at(
	const struct lifetime *l, bool own, struct random *random);

#endif
