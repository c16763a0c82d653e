/* Who the users and groups in the rules are, as that changes while the daemon runs. */
#ifndef GCTOKEND_BROKER_NAMES_H
#define GCTOKEND_BROKER_NAMES_H

#include "core/config_storage.h"

#include <event2/event_struct.h>

struct broker;
struct name_table;

struct names {
	struct name_table *table;
	struct event minute;
	struct config_unknown unknown; /* nothing is granted to them */
};

/* `table` is taken over. */
void names_init(struct broker *b, struct name_table *table);
void names_fini(struct broker *b);
/* The rules are there: from now on names, if there are any, are looked up again every minute. */
void names_started(struct broker *b);
/* Answers have come: into the rules with them. Pages made under the older ones are retired. */
void names_apply(struct broker *b);
/* After a reload, taken over or not: the names of the rules in force, and no others. */
void names_reloaded(struct broker *b);

#endif
