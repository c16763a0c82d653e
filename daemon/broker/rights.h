/* Who may do what: the only place where the rules of the configuration are applied to a caller. */
#ifndef GCTOKEND_BROKER_RIGHTS_H
#define GCTOKEND_BROKER_RIGHTS_H

#include "core/right.h"

#include <stdbool.h>

struct broker;
struct connection;
struct profile;

/* Does the caller at `c` have the right? `p` is the profile, for rights that are about one; else it
 * may be NULL. Asking changes nothing. The rules are those of now: a reload may have changed them
 * since the caller connected. */
bool rights_may(
	const struct broker *b, struct connection *c, enum right right, const struct profile *p);
/* A caller was turned away for lack of that right: counts it, and notes in the profile's history
 * which rule was missed. */
void rights_refused(struct profile *p, struct connection *c, enum right right);

#endif
