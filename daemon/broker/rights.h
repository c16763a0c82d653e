/* Who may what: the one place where the rules of the configuration are asked about a caller. */
#ifndef GCTOKEND_BROKER_RIGHTS_H
#define GCTOKEND_BROKER_RIGHTS_H

#include "core/right.h"

#include <stdbool.h>

struct broker;
struct connection;
struct profile;

/* Has the caller at `c` the right, to `p` where it is about a profile (else NULL is fine)? Nothing
 * changes by asking. By the rules as they are now: a reload may have changed them since the caller
 * connected. */
bool rights_may(
	const struct broker *b, struct connection *c, enum right right, const struct profile *p);
/* For whoever turns a caller away because of that: counted, and remembered in the profile's
 * history with the rule that was missed. */
void rights_refused(struct profile *p, struct connection *c, enum right right);

#endif
