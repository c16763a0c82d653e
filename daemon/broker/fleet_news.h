/* What the store of a fleet says, passed on to the members that it is about: a connection, answers,
 * messages, and the tokens and stops in them. */
#ifndef GCTOKEND_BROKER_FLEET_NEWS_H
#define GCTOKEND_BROKER_FLEET_NEWS_H

#include "store/store.h"

/* `context` of store_new is the broker. */
extern const struct store_hooks fleet_hooks;

#endif
